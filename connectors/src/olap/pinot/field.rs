//! How a column stands in a schema of Pinot.

use millrace_sql::olap::OlapColumn;
use millrace_sql::types::SqlType;
use serde_json::{Value, json};

/// Without it, Pinot cuts text after 512 characters.
const LENGTH_MAX: i32 = i32::MAX;

/// In which list of the schema a field stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Dimension,
    Metric,
}

/// The field, and where it stands.
pub fn field(column: &OlapColumn) -> (Place, Value) {
    let name = &column.name;
    let data_type = data_type(column);
    let mut field = json!({ "name": name, "dataType": data_type });
    if matches!(data_type, "STRING" | "JSON" | "BYTES") {
        field["maxLength"] = json!(LENGTH_MAX);
    }
    // Only a metric may be a BIG_DECIMAL, in older versions.
    let place = if data_type == "BIG_DECIMAL" { Place::Metric } else { Place::Dimension };
    (place, field)
}

/// Keys are compared as they are written, so that those of exotic types are text.
fn data_type(column: &OlapColumn) -> &'static str {
    match &column.ty {
        SqlType::Boolean => "BOOLEAN",
        SqlType::Integer | SqlType::Time => "INT",
        SqlType::Bigint => "LONG",
        SqlType::Double => "DOUBLE",
        SqlType::String | SqlType::Date => "STRING",
        SqlType::Timestamp => "TIMESTAMP",
        SqlType::Decimal { .. } | SqlType::Bytes if column.key => "STRING",
        SqlType::Decimal { .. } => "BIG_DECIMAL",
        SqlType::Bytes => "BYTES",
        SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_) if column.key => "STRING",
        SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_) => "JSON",
    }
}
