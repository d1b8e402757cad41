//! How records of one writer's schema become columns: decided once per schema, so that reading
//! follows it without a look at names or types.

use millrace_sql::types::{SqlType, StructField};

use super::schema::{AvroSchema, Decimal, Type, TypeId};
use crate::formats::columns::Field;

/// What the root of a record becomes.
#[derive(Debug)]
pub enum Root {
    /// A row that is not there.
    Null,
    /// A column per field.
    Columns(RecordNode),
    /// The only column.
    Single(Node),
    Union(Vec<Root>),
    Fail(String),
}

/// What a value on the wire becomes.
#[derive(Debug)]
pub enum Node {
    Null,
    Boolean,
    Int,
    /// An int that is a TIME: within a day.
    Time,
    IntToLong,
    Long,
    Float,
    Double,
    Decimal {
        size: Option<usize>,
        from: u32,
        scale: u8,
        precision: u8,
    },
    String,
    Bytes,
    Fixed(usize),
    Enum(Vec<String>),
    Text(Scalar),
    Array(Box<Node>),
    Map(Box<Node>),
    /// Entries as records: key first, or value first.
    Entries {
        key: Box<Node>,
        value: Box<Node>,
        key_first: bool,
    },
    Struct(RecordNode),
    /// NULL or a value; true: NULL is the first branch.
    Nullable(bool, Box<Node>),
    /// A union of one type: the wire still has the number of its branch.
    Only(Box<Node>),
    /// A union that is a STRUCT of its branches.
    Branches(Vec<Branch>),
    Fail(String),
}

/// A branch of a union.
#[derive(Debug)]
pub enum Branch {
    Null,
    Member(usize, Node),
    /// The STRUCT has no member for it.
    Skip(TypeId),
}

/// A scalar that is read as text.
#[derive(Debug, Clone, Copy)]
pub enum Scalar {
    Boolean,
    Int,
    Long,
    Float,
    Double,
}

#[derive(Debug)]
pub struct RecordNode {
    /// In the order of the wire.
    pub fields: Vec<FieldNode>,
    /// Columns that the wire does not have.
    pub missing: Vec<usize>,
}

#[derive(Debug)]
pub enum FieldNode {
    Skip(TypeId),
    Read {
        column: usize,
        name: String,
        node: Node,
    },
    /// Not wanted, but of a type that the column cannot hold.
    Fail {
        name: String,
        why: String,
    },
}

/// A column or member as the plan sees it.
struct Target<'a> {
    name: &'a str,
    ty: &'a SqlType,
    wanted: bool,
}

impl Root {
    /// Of columns, or of the only column when `wrapped` is false.
    pub fn new(schema: &AvroSchema, fields: &[Field], wrapped: bool) -> Self {
        let compiler = Compiler { schema };
        match fields {
            [only] if !wrapped => compiler.single(schema.root, &only.ty),
            _ => {
                let targets: Vec<_> = fields
                    .iter()
                    .map(|Field { name, ty, wanted }| Target { name, ty, wanted: *wanted })
                    .collect();
                compiler.columns(schema.root, &targets)
            }
        }
    }
}

struct Compiler<'a> {
    schema: &'a AvroSchema,
}

impl Compiler<'_> {
    fn columns(&self, id: TypeId, targets: &[Target<'_>]) -> Root {
        match self.schema.get(id) {
            Type::Record(record) => {
                let fields = record.fields.iter().map(|f| (f.name.clone(), f.ty));
                Root::Columns(self.record(fields, targets))
            }
            Type::Union(branches) if branches.len() <= 2 => {
                Root::Union(branches.iter().map(|id| self.columns(*id, targets)).collect())
            }
            Type::Null => Root::Null,
            other => Root::Fail(mismatch(other, "struct")),
        }
    }

    fn single(&self, id: TypeId, ty: &SqlType) -> Root {
        match (self.schema.nullable(id), self.schema.get(id)) {
            (Some(_), Type::Union(branches)) => {
                Root::Union(branches.iter().map(|id| self.single(*id, ty)).collect())
            }
            (_, Type::Null) => Root::Null,
            _ => Root::Single(self.node(id, ty)),
        }
    }

    fn record(
        &self,
        fields: impl Iterator<Item = (String, TypeId)>,
        targets: &[Target<'_>],
    ) -> RecordNode {
        let found: Vec<_> = fields.map(|(name, id)| (find(&name, targets), name, id)).collect();
        let is_last = |i: usize| !found[i + 1..].iter().any(|(t, ..)| *t == found[i].0);
        let node = |(i, (target, name, id)): (usize, &(Option<usize>, String, TypeId))| {
            let Some(column) = *target else { return FieldNode::Skip(*id) };
            let node = self.node(*id, targets[column].ty);
            let keep = targets[column].wanted && is_last(i);
            match node {
                Node::Fail(why) => FieldNode::Fail { name: name.clone(), why },
                node if keep => FieldNode::Read { column, name: name.clone(), node },
                _ => FieldNode::Skip(*id),
            }
        };
        let read = found.iter().enumerate().map(node).collect();
        let seen = |column: usize| found.iter().any(|(target, ..)| *target == Some(column));
        let missing = (0..targets.len()).filter(|i| targets[*i].wanted && !seen(*i)).collect();
        RecordNode { fields: read, missing }
    }

    fn node(&self, id: TypeId, ty: &SqlType) -> Node {
        if let Some(other) = self.schema.nullable(id) {
            let Type::Union(branches) = self.schema.get(id) else { return Node::Null };
            return match self.node(other, ty) {
                Node::Fail(why) => Node::Fail(why),
                node => Node::Nullable(branches.first() != Some(&other), Box::new(node)),
            };
        }
        let writer = self.schema.get(id);
        match (ty, writer) {
            (SqlType::Boolean, Type::Boolean) => Node::Boolean,
            (SqlType::Integer | SqlType::Date, Type::Int(_)) => Node::Int,
            (SqlType::Time, Type::Int(_)) => Node::Time,
            (SqlType::Bigint | SqlType::Timestamp, Type::Int(_)) => Node::IntToLong,
            (SqlType::Bigint | SqlType::Timestamp, Type::Long(_)) => Node::Long,
            (SqlType::Double, Type::Float) => Node::Float,
            (SqlType::Double, Type::Double) => Node::Double,
            (SqlType::String, Type::String) => Node::String,
            (SqlType::String, Type::Enum { symbols, .. }) => Node::Enum(symbols.clone()),
            (SqlType::String, Type::Boolean) => Node::Text(Scalar::Boolean),
            (SqlType::String, Type::Int(_)) => Node::Text(Scalar::Int),
            (SqlType::String, Type::Long(_)) => Node::Text(Scalar::Long),
            (SqlType::String, Type::Float) => Node::Text(Scalar::Float),
            (SqlType::String, Type::Double) => Node::Text(Scalar::Double),
            (SqlType::Bytes, Type::Bytes(None)) => Node::Bytes,
            (SqlType::Bytes, Type::Fixed { size, decimal: None, .. }) => Node::Fixed(*size),
            (SqlType::Decimal { .. }, Type::Bytes(Some(from))) => decimal(*from, None, ty),
            (SqlType::Decimal { .. }, Type::Fixed { size, decimal: Some(from), .. }) => {
                decimal(*from, Some(*size), ty)
            }
            (SqlType::Array(item), Type::Array(from)) if self.schema.map_entry(*from).is_none() => {
                Node::Array(Box::new(self.node(*from, item)))
            }
            (SqlType::Map(key, value), Type::Map(from)) if **key == SqlType::String => {
                Node::Map(Box::new(self.node(*from, value)))
            }
            (SqlType::Map(key, value), Type::Array(from)) if **key == SqlType::String => {
                self.entries(*from, key, value)
            }
            (SqlType::Struct(members), Type::Record(record)) => {
                let targets: Vec<_> = members.iter().map(member).collect();
                let fields = record.fields.iter().map(|f| (f.name.clone(), f.ty));
                Node::Struct(self.record(fields, &targets))
            }
            (_, Type::Union(branches)) => self.union(branches, ty),
            (_, Type::Null) => Node::Null,
            _ => Node::Fail(mismatch(writer, connect_name(ty))),
        }
    }

    fn entries(&self, item: TypeId, key: &SqlType, value: &SqlType) -> Node {
        let Some((from_key, from_value)) = self.schema.map_entry(item) else {
            return Node::Fail(mismatch(&Type::Array(item), "map"));
        };
        let Type::Record(record) = self.schema.get(item) else { return Node::Null };
        let key_first = record.fields.first().is_some_and(|f| f.name == "key");
        let (key, value) = (self.node(from_key, key), self.node(from_value, value));
        Node::Entries { key: Box::new(key), value: Box::new(value), key_first }
    }

    /// A union of more than NULL and a type is a STRUCT with a member per branch.
    fn union(&self, branches: &[TypeId], ty: &SqlType) -> Node {
        if let [only] = branches {
            return Node::Only(Box::new(self.node(*only, ty)));
        }
        let SqlType::Struct(members) = ty else {
            return Node::Fail(format!(
                "Cannot deserialize type struct as type {}",
                connect_name(ty)
            ));
        };
        let targets: Vec<_> = members.iter().map(member).collect();
        let branch = |id: &TypeId| {
            if *self.schema.get(*id) == Type::Null {
                return Branch::Null;
            }
            match find(&self.schema.branch_name(*id), &targets) {
                Some(at) => Branch::Member(at, self.node(*id, &members[at].ty)),
                None => Branch::Skip(*id),
            }
        };
        Node::Branches(branches.iter().map(branch).collect())
    }
}

fn member(field: &StructField) -> Target<'_> {
    Target { name: &field.name, ty: &field.ty, wanted: true }
}

/// The column of that name, or of that name in upper case.
fn find(name: &str, targets: &[Target<'_>]) -> Option<usize> {
    let at = |name: &str| targets.iter().position(|target| target.name == name);
    at(name).or_else(|| at(&name.to_uppercase()))
}

fn decimal(from: Decimal, size: Option<usize>, ty: &SqlType) -> Node {
    let SqlType::Decimal { precision, scale } = *ty else { return Node::Null };
    Node::Decimal { size, from: from.scale, scale, precision }
}

fn mismatch(writer: &Type, wanted: &str) -> String {
    let writer = match writer {
        Type::Int(_) => "int32",
        Type::Long(_) => "int64",
        Type::Float => "float32",
        Type::Double => "float64",
        Type::Bytes(Some(_)) | Type::Fixed { decimal: Some(_), .. } => "decimal",
        Type::Fixed { .. } => "bytes",
        Type::Enum { .. } => "string",
        Type::Record(_) | Type::Union(_) => "struct",
        other => other.word(),
    };
    format!("Cannot deserialize type {writer} as type {wanted}")
}

/// Connect's word for a column's type.
fn connect_name(ty: &SqlType) -> &'static str {
    match ty {
        SqlType::Boolean => "boolean",
        SqlType::Integer | SqlType::Date | SqlType::Time => "int32",
        SqlType::Bigint | SqlType::Timestamp => "int64",
        SqlType::Double => "float64",
        SqlType::String => "string",
        SqlType::Bytes => "bytes",
        SqlType::Decimal { .. } => "decimal",
        SqlType::Array(_) => "array",
        SqlType::Map(..) => "map",
        SqlType::Struct(_) => "struct",
    }
}
