//! How messages of one schema become columns: decided once per schema.

use millrace_sql::catalog::ProtobufNulls;
use millrace_sql::types::{SqlType, StructField};

use super::infer::oneof_name;
use super::known::{Known, is_wrapper};
use super::schema::{Field, Kind, ProtoSchema};
use crate::formats::columns::Field as Column;

/// Field numbers that are found by their place in a table; others are searched.
const TABLE_MAX: u32 = 256;
/// Messages within messages.
const DEPTH_MAX: usize = 64;

/// A message.
#[derive(Debug, Default)]
pub struct MessageNode {
    pub fields: Vec<FieldNode>,
    /// Place in `fields` plus one, by field number.
    table: Vec<u16>,
    /// Columns that no field fills.
    pub missing: Vec<usize>,
    /// Why no message can be read at all.
    pub fail: Option<String>,
}

/// A field that is read.
#[derive(Debug)]
pub struct FieldNode {
    pub name: String,
    pub number: u32,
    pub column: usize,
    pub node: Node,
    /// A member of the STRUCT that a oneof is.
    pub member: Option<usize>,
    /// What a column without this field is.
    pub absent: Absent,
}

/// What a value on the wire becomes.
#[derive(Debug)]
pub enum Node {
    Scalar(Scalar, Into),
    Enum(Vec<(i32, String)>, String),
    Known(Known, Into),
    Wrapper(Scalar, Into),
    Message(Box<MessageNode>),
    /// Items, and whether they may come packed.
    List(Box<Node>),
    Map {
        key: (Scalar, bool),
        value: Box<Node>,
        value_absent: Absent,
    },
    Fail(String),
}

/// A scalar on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    Int32,
    Int64,
    Uint32,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Float,
    Double,
    Bool,
    String,
    Bytes,
}

/// The column that a scalar goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Into {
    Boolean,
    Int32,
    /// Within a day.
    Time,
    Int64,
    Double,
    Text,
    Bytes,
    Decimal {
        precision: u8,
        scale: u8,
    },
}

/// What stands for a field that a message does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    Null,
    /// The type's zero, or nothing in a list or a map.
    Zero,
}

impl MessageNode {
    /// The field of that number.
    #[inline]
    pub fn find(&self, number: u64) -> Option<usize> {
        match self.table.get(usize::try_from(number).ok()?) {
            Some(0) => None,
            Some(at) => Some(usize::from(*at) - 1),
            None if number < u64::from(TABLE_MAX) => None,
            None => self.fields.iter().position(|f| u64::from(f.number) == number),
        }
    }

    fn index(mut self) -> Self {
        let small = self.fields.iter().map(|f| f.number).filter(|n| *n < TABLE_MAX);
        self.table = vec![0; small.max().map_or(0, |n| n as usize + 1)];
        for (at, field) in self.fields.iter().enumerate() {
            if let Some(slot) = self.table.get_mut(field.number as usize) {
                *slot = u16::try_from(at + 1).unwrap_or(0);
            }
        }
        self
    }
}

/// A column or member as the plan sees it.
struct Target<'a> {
    name: &'a str,
    ty: &'a SqlType,
    wanted: bool,
}

/// The plan of a message as columns.
pub fn compile(
    schema: &ProtoSchema,
    message: usize,
    columns: &[Column],
    nulls: ProtobufNulls,
) -> MessageNode {
    let compiler = Compiler { schema, unwrap: nulls == ProtobufNulls::Wrapper };
    let targets: Vec<_> = columns
        .iter()
        .map(|Column { name, ty, wanted }| Target { name, ty, wanted: *wanted })
        .collect();
    compiler.message(message, &targets, 0)
}

struct Compiler<'a> {
    schema: &'a ProtoSchema,
    unwrap: bool,
}

impl Compiler<'_> {
    fn message(&self, id: usize, targets: &[Target<'_>], depth: usize) -> MessageNode {
        let message = self.schema.message(id);
        let mut node = MessageNode::default();
        if depth > DEPTH_MAX {
            node.fail = Some(format!("messages are nested more than {DEPTH_MAX} deep"));
            return node;
        }
        let mut taken = vec![false; targets.len()];
        for field in &message.fields {
            let found = match field.oneof {
                None => find(&field.name, targets).map(|at| (at, None)),
                Some(oneof) => {
                    let name = oneof_name(&message.oneofs[oneof], oneof);
                    find(&name, targets).map(|at| (at, Some(field)))
                }
            };
            let Some((column, in_oneof)) = found else { continue };
            let target = &targets[column];
            let (node_of, member) = match in_oneof {
                None => (self.field(field, target.ty, depth), None),
                Some(field) => match member_of(field, target.ty) {
                    Ok((at, ty)) => (self.field(field, ty, depth), Some(at)),
                    Err(None) => continue,
                    Err(Some(why)) => (Node::Fail(why), None),
                },
            };
            if let Node::Fail(why) = node_of {
                node.fail.get_or_insert(format!("{why} for path: ->{}", field.name));
                continue;
            }
            if !target.wanted || (taken[column] && member.is_none()) {
                continue;
            }
            taken[column] = true;
            let absent = if field.has_presence { Absent::Null } else { Absent::Zero };
            let (name, number) = (field.name.clone(), field.number);
            node.fields.push(FieldNode { name, number, column, node: node_of, member, absent });
        }
        let missing = (0..targets.len()).filter(|at| targets[*at].wanted && !taken[*at]);
        node.missing = missing.collect();
        node.index()
    }

    fn field(&self, field: &Field, ty: &SqlType, depth: usize) -> Node {
        if let Some((key, value)) = self.schema.entry(field) {
            return match ty {
                SqlType::Map(key_ty, value_ty) if **key_ty == SqlType::String => {
                    self.map(key, value, value_ty, depth)
                }
                other => mismatch("map", other),
            };
        }
        if !field.repeated {
            return self.value(field, ty, depth);
        }
        match ty {
            SqlType::Array(item) => match self.value(field, item, depth) {
                Node::Fail(why) => Node::Fail(why),
                node => Node::List(Box::new(node)),
            },
            other => mismatch("array", other),
        }
    }

    fn map(&self, key: &Field, value: &Field, ty: &SqlType, depth: usize) -> Node {
        let key = match self.value(key, &SqlType::String, depth) {
            Node::Scalar(scalar, _) => (scalar, false),
            Node::Wrapper(scalar, _) => (scalar, true),
            Node::Fail(why) => return Node::Fail(why),
            _ => return Node::Fail("Unsupported type for map key".to_string()),
        };
        let value_absent = if value.has_presence { Absent::Null } else { Absent::Zero };
        match self.value(value, ty, depth) {
            Node::Fail(why) => Node::Fail(why),
            value => Node::Map { key, value: Box::new(value), value_absent },
        }
    }

    fn value(&self, field: &Field, ty: &SqlType, depth: usize) -> Node {
        match field.kind {
            Kind::Enum(id) => {
                let values = &self.schema.enumeration(id).values;
                let first = values.first().map(|(_, name)| name.clone()).unwrap_or_default();
                match ty {
                    SqlType::String => Node::Enum(values.clone(), first),
                    other => mismatch("string", other),
                }
            }
            Kind::Message(id) => self.nested(id, ty, depth),
            kind => match scalar(kind) {
                None => Node::Fail("a group has no SQL type".to_string()),
                Some(scalar) => match into(scalar, ty) {
                    Some(into) => Node::Scalar(scalar, into),
                    None => mismatch(connect_name(scalar), ty),
                },
            },
        }
    }

    fn nested(&self, id: usize, ty: &SqlType, depth: usize) -> Node {
        let message = self.schema.message(id);
        if let Some(known) = Known::of(&message.name) {
            return match (known, ty) {
                (Known::Timestamp, SqlType::Timestamp | SqlType::Bigint) => {
                    Node::Known(known, Into::Int64)
                }
                (
                    Known::Date | Known::TimeOfDay,
                    SqlType::Date | SqlType::Time | SqlType::Integer,
                ) => Node::Known(known, Into::Int32),
                (Known::Date | Known::TimeOfDay, SqlType::Bigint) => {
                    Node::Known(known, Into::Int64)
                }
                (Known::Decimal, SqlType::Decimal { precision, scale }) => {
                    Node::Known(known, Into::Decimal { precision: *precision, scale: *scale })
                }
                _ => mismatch("message", ty),
            };
        }
        if self.unwrap && is_wrapper(&message.name) {
            let kind = message.fields.first().and_then(|inner| scalar(inner.kind));
            return match kind.map(|scalar| (scalar, into(scalar, ty))) {
                Some((scalar, Some(into))) => Node::Wrapper(scalar, into),
                Some((scalar, None)) => mismatch(connect_name(scalar), ty),
                None => Node::Fail("a wrapper without a value".to_string()),
            };
        }
        let SqlType::Struct(members) = ty else { return mismatch("struct", ty) };
        let targets: Vec<_> = members
            .iter()
            .map(|StructField { name, ty }| Target { name, ty, wanted: true })
            .collect();
        Node::Message(Box::new(self.message(id, &targets, depth + 1)))
    }
}

/// The member that a oneof's field fills. `Err(None)`: there is none.
fn member_of<'a>(field: &Field, ty: &'a SqlType) -> Result<(usize, &'a SqlType), Option<String>> {
    let SqlType::Struct(members) = ty else {
        return Err(Some(format!("Cannot deserialize type struct as type {ty}")));
    };
    let at = |name: &str| members.iter().position(|m| m.name == name);
    match at(&field.name).or_else(|| at(&field.name.to_uppercase())) {
        Some(at) => Ok((at, &members[at].ty)),
        None => Err(None),
    }
}

/// The column of that name, or of that name in upper case.
fn find(name: &str, targets: &[Target<'_>]) -> Option<usize> {
    let at = |name: &str| targets.iter().position(|target| target.name == name);
    at(name).or_else(|| at(&name.to_uppercase()))
}

fn mismatch(writer: &str, ty: &SqlType) -> Node {
    let ty = ty.to_string();
    Node::Fail(format!("Cannot deserialize type {writer} as type {ty}"))
}

/// The scalar of a kind that is one.
pub fn scalar(kind: Kind) -> Option<Scalar> {
    Some(match kind {
        Kind::Int32 => Scalar::Int32,
        Kind::Int64 | Kind::Uint64 => Scalar::Int64,
        Kind::Uint32 => Scalar::Uint32,
        Kind::Sint32 => Scalar::Sint32,
        Kind::Sint64 => Scalar::Sint64,
        Kind::Fixed32 => Scalar::Fixed32,
        Kind::Fixed64 | Kind::Sfixed64 => Scalar::Fixed64,
        Kind::Sfixed32 => Scalar::Sfixed32,
        Kind::Float => Scalar::Float,
        Kind::Double => Scalar::Double,
        Kind::Bool => Scalar::Bool,
        Kind::String => Scalar::String,
        Kind::Bytes => Scalar::Bytes,
        Kind::Enum(_) | Kind::Message(_) | Kind::Group => return None,
    })
}

/// The column that a scalar may go to.
fn into(scalar: Scalar, ty: &SqlType) -> Option<Into> {
    use Scalar::*;
    Some(match (ty, scalar) {
        (SqlType::Boolean, Bool) => Into::Boolean,
        (SqlType::Integer | SqlType::Date, Int32 | Sint32 | Sfixed32) => Into::Int32,
        (SqlType::Time, Int32 | Sint32 | Sfixed32) => Into::Time,
        (
            SqlType::Bigint | SqlType::Timestamp,
            Int32 | Sint32 | Sfixed32 | Int64 | Uint32 | Sint64 | Fixed32 | Fixed64,
        ) => Into::Int64,
        (SqlType::Double, Float | Double) => Into::Double,
        (SqlType::Bytes, Bytes) => Into::Bytes,
        (SqlType::String, Bytes) => return None,
        (SqlType::String, _) => Into::Text,
        _ => return None,
    })
}

fn connect_name(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::Int32 | Scalar::Sint32 | Scalar::Sfixed32 => "int32",
        Scalar::Int64 | Scalar::Uint32 | Scalar::Sint64 | Scalar::Fixed32 | Scalar::Fixed64 => {
            "int64"
        }
        Scalar::Float => "float32",
        Scalar::Double => "float64",
        Scalar::Bool => "boolean",
        Scalar::String => "string",
        Scalar::Bytes => "bytes",
    }
}
