//! One JSON value into a column of its type.

use millrace_engine::codec::builder::{ColumnBuilder, Data};
use millrace_sql::types::SqlType;

use super::entries;
use super::object::ObjectPlan;
use super::scan::{Fail, RawNumber, RawString, Scan, Scanner};
use super::text::write_text;
use crate::formats::base64;
use crate::formats::number::{self, Digits, NumberError};

/// Milliseconds of a day: TIME values lie below.
pub const DAY_MS: i32 = 86_400_000;
/// A number without exponent and shorter than this is within the range of a double.
const DOUBLE_SAFE_LEN: usize = 300;

/// How values of one type are read.
#[derive(Debug)]
pub enum Node {
    Boolean,
    Integer,
    Date,
    Time,
    Bigint,
    Timestamp,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    String,
    Bytes,
    Array(Box<Node>),
    Map(Box<Node>),
    /// A map that may also come as an array of entries.
    Entries(Box<Node>),
    Struct(Box<ObjectPlan>),
}

impl Node {
    /// # Errors
    /// For a MAP whose keys are not STRING: JSON has no other names.
    pub fn new(ty: &SqlType) -> Result<Self, String> {
        Ok(match ty {
            SqlType::Boolean => Node::Boolean,
            SqlType::Integer => Node::Integer,
            SqlType::Bigint => Node::Bigint,
            SqlType::Double => Node::Double,
            SqlType::Decimal { precision, scale } => {
                Node::Decimal { precision: *precision, scale: *scale }
            }
            SqlType::String => Node::String,
            SqlType::Bytes => Node::Bytes,
            SqlType::Date => Node::Date,
            SqlType::Time => Node::Time,
            SqlType::Timestamp => Node::Timestamp,
            SqlType::Array(item) => Node::Array(Box::new(Node::new(item)?)),
            SqlType::Map(key, value) if **key == SqlType::String => {
                Node::Map(Box::new(Node::new(value)?))
            }
            SqlType::Map(..) => {
                return Err(format!("JSON has only STRING keys in a MAP; {ty} cannot be stored"));
            }
            SqlType::Struct(fields) => {
                let fields = fields.iter().map(|field| (field.name.as_str(), &field.ty, true));
                Node::Struct(Box::new(ObjectPlan::new(fields)?))
            }
        })
    }

    /// Takes maps also as arrays of entries.
    pub fn take_entries(&mut self) {
        match self {
            Node::Map(value) => {
                value.take_entries();
                let value = std::mem::replace(value.as_mut(), Node::Boolean);
                *self = Node::Entries(Box::new(value));
            }
            Node::Array(item) => item.take_entries(),
            Node::Struct(plan) => plan.take_entries(),
            _ => {}
        }
    }

    fn name(&self) -> String {
        match self {
            Node::Boolean => "BOOLEAN".into(),
            Node::Integer => "INTEGER".into(),
            Node::Date => "DATE".into(),
            Node::Time => "TIME".into(),
            Node::Bigint => "BIGINT".into(),
            Node::Timestamp => "TIMESTAMP".into(),
            Node::Double => "DOUBLE".into(),
            Node::Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
            Node::String => "STRING".into(),
            Node::Bytes => "BYTES".into(),
            Node::Array(_) => "ARRAY".into(),
            Node::Map(_) | Node::Entries(_) => "MAP".into(),
            Node::Struct(_) => "STRUCT".into(),
        }
    }

    /// Skips the value here if a look at it shows that it fits; false: decode it to know.
    #[inline]
    pub fn skip_if_fits(&self, scanner: &mut Scanner<'_>) -> Scan<bool> {
        let start = scanner.at;
        let fits = match (self, scanner.peek()) {
            (Node::String, _) => return scanner.skip_value().map(|()| true),
            (Node::Bigint | Node::Timestamp, b'-' | b'0'..=b'9') => scanner.small_int().is_some(),
            (Node::Integer | Node::Date, b'-' | b'0'..=b'9') => {
                scanner.small_int().is_some_and(|value| i32::try_from(value).is_ok())
            }
            (Node::Double, b'-' | b'0'..=b'9') => {
                let text = scanner.number()?.text;
                text.len() < DOUBLE_SAFE_LEN && !text.contains(&b'e') && !text.contains(&b'E')
            }
            _ => false,
        };
        if !fits {
            scanner.at = start;
        }
        Ok(fits)
    }

    /// Reads the value here as the next row of `builder`; on error a part of it may be left behind.
    pub fn decode(&mut self, scanner: &mut Scanner<'_>, builder: &mut ColumnBuilder) -> Scan<()> {
        if scanner.peek() == b'n' {
            scanner.literal("null")?;
            builder.push_null();
            return Ok(());
        }
        let row = builder.len();
        match (&mut *self, &mut builder.data) {
            (Node::Bigint | Node::Timestamp, Data::Int64(values)) => {
                let value = match scanner.small_int() {
                    Some(value) => value,
                    None => self.whole(scanner)?,
                };
                values.push(value);
            }
            (Node::String, Data::String(text)) => {
                match scanner.peek() {
                    b'"' => match scanner.string()? {
                        RawString { body, escaped: false } => text.data.extend_from_slice(body),
                        escaped => escaped.unescape(&mut text.data),
                    },
                    _ => write_text(scanner, &mut text.data)?,
                }
                text.end_row();
            }
            (Node::Integer | Node::Date | Node::Time, Data::Int32(values)) => {
                values.push(self.whole_32(scanner)?);
            }
            (Node::Double, Data::Double(values)) => values.push(self.double(scanner)?),
            (Node::Decimal { .. }, Data::Decimal(values)) => values.push(self.decimal(scanner)?),
            (Node::Boolean, Data::Boolean(bits)) => bits.append(self.boolean(scanner)?),
            (Node::Bytes, Data::Bytes(bytes)) => {
                self.base64(scanner, &mut bytes.data)?;
                bytes.end_row();
            }
            (Node::Struct(plan), Data::Struct(fields)) => {
                if scanner.peek() != b'{' {
                    return self.mismatch(scanner);
                }
                plan.decode(scanner, fields, row)?;
            }
            (Node::Array(item), Data::List(ends, items)) => {
                if scanner.peek() != b'[' {
                    return self.mismatch(scanner);
                }
                decode_items(item, scanner, items)?;
                ends.push(items.len() as i32);
            }
            (Node::Map(value), Data::Map(ends, keys, values)) => {
                if scanner.peek() != b'{' {
                    return self.mismatch(scanner);
                }
                decode_entries(value, scanner, keys, values)?;
                ends.push(keys.len() as i32);
            }
            (Node::Entries(value), Data::Map(ends, keys, values)) => {
                match scanner.peek() {
                    b'{' => decode_entries(value, scanner, keys, values)?,
                    b'[' => entries::decode_list(value, scanner, keys, values)?,
                    _ => return self.mismatch(scanner),
                }
                ends.push(keys.len() as i32);
            }
            _ => return Err(Fail::type_error("the decoder does not fit its column (a bug)")),
        }
        builder.push_valid();
        Ok(())
    }

    #[cold]
    fn mismatch<T>(&self, scanner: &mut Scanner<'_>) -> Scan<T> {
        let kind = scanner.kind();
        scanner.skip_value()?;
        Err(Fail::type_error(format!("{kind} cannot be read as {}", self.name())))
    }

    #[cold]
    fn bad_number<T>(&self, text: &[u8], error: NumberError) -> Scan<T> {
        let shown: String = String::from_utf8_lossy(text).chars().take(60).collect();
        let why = match error {
            NumberError::Malformed => "is not a number that can be read as",
            NumberError::OutOfRange => "is out of the range of",
            NumberError::NeedsRounding => "does not fit without rounding into",
        };
        Err(Fail::type_error(format!("{shown} {why} {}", self.name())))
    }

    /// Hands the digits of a number or of a string to one of two parsers.
    fn number<T>(
        &self,
        scanner: &mut Scanner<'_>,
        from_number: impl Fn(RawNumber<'_>) -> Result<T, NumberError>,
        from_text: impl Fn(&[u8]) -> Result<T, NumberError>,
    ) -> Scan<T> {
        match scanner.peek() {
            b'"' => {
                let raw = scanner.string()?;
                let mut unescaped = Vec::new();
                let text = if raw.escaped {
                    raw.unescape(&mut unescaped);
                    &unescaped
                } else {
                    raw.body
                };
                from_text(text).or_else(|error| self.bad_number(text, error))
            }
            b'{' | b'[' | b't' | b'f' => self.mismatch(scanner),
            _ => {
                let raw = scanner.number()?;
                from_number(raw).or_else(|error| self.bad_number(raw.text, error))
            }
        }
    }

    fn whole(&self, scanner: &mut Scanner<'_>) -> Scan<i64> {
        self.number(scanner, whole_part, number::parse_i64)
    }

    fn whole_32(&self, scanner: &mut Scanner<'_>) -> Scan<i32> {
        let start = scanner.at;
        let value = match scanner.small_int() {
            Some(value) => value,
            None => self.whole(scanner)?,
        };
        let fits = !matches!(self, Node::Time) || (0..i64::from(DAY_MS)).contains(&value);
        match i32::try_from(value) {
            Ok(value) if fits => Ok(value),
            _ => self.bad_number(&scanner.bytes()[start..scanner.at], NumberError::OutOfRange),
        }
    }

    fn double(&self, scanner: &mut Scanner<'_>) -> Scan<f64> {
        self.number(scanner, |raw| number::parse_f64(raw.text), number::parse_f64)
    }

    fn decimal(&self, scanner: &mut Scanner<'_>) -> Scan<i128> {
        let Node::Decimal { precision, scale } = *self else { return self.mismatch(scanner) };
        let parse = |text: &[u8]| number::parse_decimal(text, precision, scale);
        self.number(scanner, |raw| parse(raw.text), parse)
    }

    fn boolean(&self, scanner: &mut Scanner<'_>) -> Scan<bool> {
        match scanner.peek() {
            b't' => scanner.literal("true").map(|()| true),
            b'f' => scanner.literal("false").map(|()| false),
            _ => self.mismatch(scanner),
        }
    }

    fn base64(&self, scanner: &mut Scanner<'_>, out: &mut Vec<u8>) -> Scan<()> {
        if scanner.peek() != b'"' {
            return self.mismatch(scanner);
        }
        let raw = scanner.string()?;
        let fits = if raw.escaped {
            let mut text = Vec::new();
            raw.unescape(&mut text);
            base64::decode(&text, out)
        } else {
            base64::decode(raw.body, out)
        };
        if fits { Ok(()) } else { Err(Fail::type_error("a string that is not base64 as BYTES")) }
    }
}

/// The whole part of a number; the fraction is cut off.
fn whole_part(raw: RawNumber<'_>) -> Result<i64, NumberError> {
    if raw.whole {
        return number::parse_i64(raw.text);
    }
    Digits::parse(raw.text).ok_or(NumberError::Malformed)?.to_i64()
}

fn decode_items(item: &mut Node, scanner: &mut Scanner<'_>, items: &mut ColumnBuilder) -> Scan<()> {
    scanner.enter()?;
    let mut count = 0;
    while scanner.next_item(b']', count == 0)? {
        item.decode(scanner, items).map_err(|fail| fail.below(|| format!("[{count}]")))?;
        count += 1;
    }
    scanner.leave();
    Ok(())
}

/// Two passes, since of equal keys the last one stays: find the entries, then read the values.
fn decode_entries(
    value: &mut Node,
    scanner: &mut Scanner<'_>,
    keys: &mut ColumnBuilder,
    values: &mut ColumnBuilder,
) -> Scan<()> {
    let mut entries: Vec<(Vec<u8>, usize)> = Vec::new();
    scanner.enter()?;
    let depth = scanner.depth();
    while scanner.next_item(b'}', entries.is_empty())? {
        let mut key = Vec::new();
        scanner.key()?.unescape(&mut key);
        entries.push((key, scanner.at));
        scanner.skip_value()?;
    }
    read_entries(entries, depth, value, scanner, keys, values)?;
    scanner.leave();
    Ok(())
}

/// Reads the values of entries that were found, the last one of each key, and goes back to where
/// the scanner stood.
pub(super) fn read_entries(
    mut entries: Vec<(Vec<u8>, usize)>,
    depth: u32,
    value: &mut Node,
    scanner: &mut Scanner<'_>,
    keys: &mut ColumnBuilder,
    values: &mut ColumnBuilder,
) -> Scan<()> {
    let (end, end_depth) = (scanner.at, scanner.depth());
    drop_repeated(&mut entries);
    for (key, at) in entries {
        scanner.rewind(at, depth);
        let below = |fail: Fail| fail.below(|| format!(".{}", String::from_utf8_lossy(&key)));
        value.decode(scanner, values).map_err(below)?;
        if let Data::String(text) = &mut keys.data {
            text.push(&key);
            keys.push_valid();
        }
    }
    scanner.rewind(end, end_depth);
    Ok(())
}

/// Keeps the last entry of each key.
fn drop_repeated(entries: &mut Vec<(Vec<u8>, usize)>) {
    entries.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    entries.dedup_by(|later, kept| later.0 == kept.0);
    entries.sort_by_key(|entry| entry.1);
}
