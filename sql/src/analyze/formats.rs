//! Which columns a format can carry.

use crate::catalog::{Column, ColumnRole, FormatKind, FormatSpec, SchemaSpec};
use crate::error::{Result, SqlError};
use crate::types::SqlType;

/// Key or value of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Key,
    Value,
}

impl Side {
    /// `KEY_<name>` or `VALUE_<name>`.
    pub(super) fn property(self, name: &str) -> String {
        let side = if self == Side::Key { "KEY" } else { "VALUE" };
        format!("{side}_{name}")
    }
}

/// Checks key and value columns of a source against its formats.
///
/// # Errors
/// ksqlDB's: the format, the columns, and the reason.
pub(super) fn check(columns: &[Column], key: &FormatSpec, value: &FormatSpec) -> Result<()> {
    let of =
        |role: ColumnRole| -> Vec<&Column> { columns.iter().filter(|c| c.role == role).collect() };
    let keys = of(ColumnRole::Key);
    check_no_maps(&keys)?;
    check_side(Side::Key, key.kind, &keys)?;
    check_side(Side::Value, value.kind, &of(ColumnRole::Value))
}

/// True if one side of records can carry columns of these types.
pub(super) fn supports(kind: FormatKind, types: &[SqlType]) -> bool {
    let columns: Vec<Column> = types
        .iter()
        .map(|ty| Column { name: String::new(), ty: ty.clone(), role: ColumnRole::Key })
        .collect();
    reason(kind, &columns.iter().collect::<Vec<_>>()).is_none()
}

fn check_side(side: Side, kind: FormatKind, columns: &[&Column]) -> Result<()> {
    let Some(reason) = reason(kind, columns) else { return Ok(()) };
    let name = if side == Side::Key { "Key" } else { "Value" };
    let unwrapped = side == Side::Key && kind.wraps() && columns.len() == 1;
    let features = if unwrapped { "UNWRAP_SINGLES" } else { "" };
    let hint = format!(
        "set {} in the WITH clause to a format that holds these columns, e.g. 'JSON' or 'AVRO'",
        side.property("FORMAT")
    );
    let error = SqlError::invalid(format!(
        "{name} format does not support schema.\nformat: {}\nschema: Persistence{{columns=[{}], \
         features=[{features}]}}\nreason: {reason}",
        kind.name(),
        describe(columns),
    ));
    Err(error.hint(hint))
}

fn reason(kind: FormatKind, columns: &[&Column]) -> Option<String> {
    match kind {
        FormatKind::None if columns.is_empty() => None,
        FormatKind::None => Some(format!(
            "The 'NONE' format can only be used when no columns are defined. Got: [{}]",
            describe(columns)
        )),
        FormatKind::Kafka if columns.len() > 1 => Some(format!(
            "The 'KAFKA' format only supports a single field. Got: [{}]",
            describe(columns)
        )),
        FormatKind::Kafka => columns
            .iter()
            .find(|c| !kafka_type(&c.ty))
            .map(|c| format!("The 'KAFKA' format does not support type '{}'", c.ty.base_name())),
        FormatKind::Delimited => columns.iter().find(|c| is_nested(&c.ty)).map(|c| {
            let ty = c.ty.base_name();
            format!("The 'DELIMITED' format does not support type '{ty}', column: `{}`", c.name)
        }),
        FormatKind::Json | FormatKind::JsonSr => columns
            .iter()
            .any(|c| has_odd_map(&c.ty))
            .then(|| "JSON only supports MAP types with STRING keys".to_string()),
        FormatKind::Avro => columns
            .iter()
            .any(|c| has_odd_map(&c.ty))
            .then(|| "Avro only supports MAPs with STRING keys".to_string()),
        FormatKind::Protobuf | FormatKind::ProtobufNoSr => protobuf_reason(columns),
    }
}

fn protobuf_reason(columns: &[&Column]) -> Option<String> {
    if columns.iter().any(|c| has_odd_map(&c.ty)) {
        let why = "PROTOBUF format only supports MAP types with STRING keys. See \
                   https://github.com/confluentinc/ksql/issues/6177.";
        return Some(why.to_string());
    }
    let nested = |ty: &SqlType| match ty {
        SqlType::Array(item) | SqlType::Map(_, item) => {
            matches!(**item, SqlType::Array(_) | SqlType::Map(..))
        }
        _ => false,
    };
    let nested = columns.iter().any(|c| contains(&c.ty, &nested));
    nested.then(|| "Array cannot be nested".to_string())
}

fn check_no_maps(keys: &[&Column]) -> Result<()> {
    keys.iter().try_for_each(|column| check_no_map(&column.name, &column.ty))
}

/// # Errors
/// A type of a key that contains a map.
pub(super) fn check_no_map(name: &str, ty: &SqlType) -> Result<()> {
    if !has_map(ty) {
        return Ok(());
    }
    Err(SqlError::invalid(format!(
        "Map keys, including types that contain maps, are not supported as they may lead to \
         unexpected behavior due to inconsistent serialization. Key column name: `{name}`. Column \
         type: {ty}. See https://github.com/confluentinc/ksql/issues/6621 for more."
    )))
}

/// ```K` STRING KEY, `V` INTEGER``, as messages show schemas.
pub(super) fn describe(columns: &[&Column]) -> String {
    let column = |c: &&Column| {
        let key = if c.role == ColumnRole::Key { " KEY" } else { "" };
        format!("`{}` {}{key}", c.name, c.ty)
    };
    columns.iter().map(column).collect::<Vec<_>>().join(", ")
}

fn kafka_type(ty: &SqlType) -> bool {
    use SqlType::*;
    matches!(ty, Integer | Bigint | Double | String | Bytes)
}

fn is_nested(ty: &SqlType) -> bool {
    matches!(ty, SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_))
}

fn has_map(ty: &SqlType) -> bool {
    contains(ty, &|t| matches!(t, SqlType::Map(..)))
}

fn has_odd_map(ty: &SqlType) -> bool {
    contains(ty, &|t| matches!(t, SqlType::Map(key, _) if **key != SqlType::String))
}

fn contains(ty: &SqlType, test: &dyn Fn(&SqlType) -> bool) -> bool {
    test(ty)
        || match ty {
            SqlType::Array(item) => contains(item, test),
            SqlType::Map(key, value) => contains(key, test) || contains(value, test),
            SqlType::Struct(fields) => fields.iter().any(|f| contains(&f.ty, test)),
            _ => false,
        }
}

/// The key format of an internal topic: `wish`, or JSON where it cannot carry the types.
pub(super) fn internal_key_format(wish: &FormatSpec, types: &[SqlType]) -> FormatSpec {
    if wish.kind != FormatKind::None && supports(wish.kind, types) {
        // A schema belongs to a topic and its columns, not to the format.
        return FormatSpec { schema: SchemaSpec::default(), ..wish.clone() };
    }
    let kafka = wish.kind == FormatKind::None && supports(FormatKind::Kafka, types);
    let kind = if kafka { FormatKind::Kafka } else { FormatKind::Json };
    FormatSpec::new(kind, false)
}
