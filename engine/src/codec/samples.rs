//! Random types and values for property tests, without a dependency: proptest's own would have
//! the whole tree built twice, with other features.

use std::cmp::Ordering;

use arrow::array::ArrayRef;
use millrace_sql::types::{SqlType, StructField};

use super::builder::{ColumnBuilder, Data};
use crate::seams::{Entropy, SeededEntropy};

/// A value of any type; NULL is lowest.
#[derive(Debug, Clone)]
pub enum Value {
    Null,
    Boolean(bool),
    Int32(i32),
    Int64(i64),
    Double(f64),
    Decimal(i128),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Struct(Vec<Value>),
}

impl Value {
    /// SQL order of values of one type; maps have none.
    pub fn order(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => Ordering::Less,
            (_, Value::Null) => Ordering::Greater,
            (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
            (Value::Int32(a), Value::Int32(b)) => a.cmp(b),
            (Value::Int64(a), Value::Int64(b)) => a.cmp(b),
            (Value::Double(a), Value::Double(b)) => a.total_cmp(b),
            (Value::Decimal(a), Value::Decimal(b)) => a.cmp(b),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (Value::List(a), Value::List(b)) | (Value::Struct(a), Value::Struct(b)) => order(a, b),
            _ => panic!("values of different types"),
        }
    }
}

/// Order of lists and of rows: the first difference decides.
pub fn order(a: &[Value], b: &[Value]) -> Ordering {
    let items = a.iter().zip(b).map(|(a, b)| a.order(b));
    items.fold(Ordering::Equal, Ordering::then).then(a.len().cmp(&b.len()))
}

/// Runs `test` on `runs` random tables: types, and rows of them. The seed is printed on failure.
pub fn for_tables(maps: bool, runs: u64, mut test: impl FnMut(&[SqlType], &[Vec<Value>], &Random)) {
    for seed in 0..runs {
        let random = Random(SeededEntropy::new(seed));
        let types: Vec<_> = (0..1 + random.below(3)).map(|_| random.ty(maps, 3)).collect();
        let row = |_| types.iter().map(|ty| random.value(ty)).collect();
        let rows: Vec<Vec<Value>> = (0..random.below(20)).map(row).collect();
        let shown = PrintOnPanic(seed);
        test(&types, &rows, &random);
        std::mem::forget(shown);
    }
}

struct PrintOnPanic(u64);

impl Drop for PrintOnPanic {
    fn drop(&mut self) {
        eprintln!("the failing table has seed {}", self.0);
    }
}

/// A source of types and values; the same seed gives the same ones.
pub struct Random(SeededEntropy);

impl Random {
    pub fn below(&self, n: usize) -> usize {
        (self.0.next_u64() % n as u64) as usize
    }

    fn pick<T: Copy>(&self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn ty(&self, maps: bool, depth: usize) -> SqlType {
        let nested = if depth == 0 || self.below(2) == 0 { 0 } else { 2 + usize::from(maps) };
        let inner = || self.ty(maps, depth - 1);
        match self.below(10 + nested) {
            0 => SqlType::Boolean,
            1 => SqlType::Integer,
            2 => SqlType::Bigint,
            3 => SqlType::Double,
            4 => SqlType::Decimal { precision: 38, scale: 5 },
            5 => SqlType::String,
            6 => SqlType::Bytes,
            7 => SqlType::Date,
            8 => SqlType::Time,
            9 => SqlType::Timestamp,
            10 => SqlType::Array(Box::new(inner())),
            11 => {
                let field = |i| StructField { name: format!("F{i}"), ty: inner() };
                SqlType::Struct((0..self.below(4)).map(field).collect())
            }
            _ => SqlType::Map(Box::new(SqlType::String), Box::new(inner())),
        }
    }

    fn value(&self, ty: &SqlType) -> Value {
        if self.below(6) == 0 {
            return Value::Null;
        }
        let some = |max| 0..self.below(max);
        match ty {
            SqlType::Boolean => Value::Boolean(self.below(2) == 1),
            SqlType::Integer | SqlType::Date | SqlType::Time => Value::Int32(self.int() as i32),
            SqlType::Bigint | SqlType::Timestamp => Value::Int64(self.int()),
            SqlType::Double => Value::Double(self.double()),
            SqlType::Decimal { .. } => {
                let high = self.pick(&[0, -1, self.int()]);
                Value::Decimal(i128::from(high) << 64 | i128::from(self.int()))
            }
            SqlType::String => {
                Value::Text(some(5).map(|_| self.pick(&['\0', '\u{1}', 'a', 'b', 'ü'])).collect())
            }
            SqlType::Bytes => {
                Value::Bytes(some(5).map(|_| self.pick(&[0, 1, 2, 254, 255])).collect())
            }
            SqlType::Array(item) => Value::List(some(4).map(|_| self.value(item)).collect()),
            SqlType::Map(_, item) => {
                let entry = |i| (Value::Text(format!("k{i}")), self.value(item));
                Value::Map(some(4).map(entry).collect())
            }
            SqlType::Struct(fields) => {
                Value::Struct(fields.iter().map(|field| self.value(&field.ty)).collect())
            }
        }
    }

    fn int(&self) -> i64 {
        let any = self.0.next_u64() as i64;
        self.pick(&[any, any % 3, any % 300, any as i32 as i64, i64::MIN, i64::MAX])
    }

    fn double(&self) -> f64 {
        let any = f64::from_bits(self.0.next_u64());
        let any = if any.is_nan() { 1.5 } else { any };
        self.pick(&[any, 0.0, -0.0, 1.0, -1.0, f64::INFINITY, f64::NEG_INFINITY])
    }
}

/// Rows as columns.
pub fn columns(types: &[SqlType], rows: &[Vec<Value>]) -> Vec<ArrayRef> {
    let mut builders: Vec<_> = types.iter().map(ColumnBuilder::new).collect();
    for row in rows {
        for (builder, value) in builders.iter_mut().zip(row) {
            push(builder, value);
        }
    }
    builders.iter_mut().map(|builder| builder.finish().expect("small")).collect()
}

fn push(builder: &mut ColumnBuilder, value: &Value) {
    match (&mut builder.data, value) {
        (_, Value::Null) => return builder.push_null(),
        (Data::Boolean(bits), Value::Boolean(v)) => bits.append(*v),
        (Data::Int32(values), Value::Int32(v)) => values.push(*v),
        (Data::Int64(values), Value::Int64(v)) => values.push(*v),
        (Data::Double(values), Value::Double(v)) => values.push(*v),
        (Data::Decimal(values), Value::Decimal(v)) => values.push(*v),
        (Data::String(bytes), Value::Text(v)) => bytes.push(v.as_bytes()),
        (Data::Bytes(bytes), Value::Bytes(v)) => bytes.push(v),
        (Data::List(ends, child), Value::List(items)) => {
            items.iter().for_each(|item| push(child, item));
            ends.push(child.len() as i32);
        }
        (Data::Map(ends, keys, values), Value::Map(entries)) => {
            for (key, value) in entries {
                push(keys, key);
                push(values, value);
            }
            ends.push(keys.len() as i32);
        }
        (Data::Struct(fields), Value::Struct(values)) => {
            fields.iter_mut().zip(values).for_each(|(field, value)| push(field, value));
        }
        other => panic!("value of another type: {other:?}"),
    }
    builder.push_valid();
}
