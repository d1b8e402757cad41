//! What inferring columns from a schema has in common over the languages of schemas.

use millrace_engine::format::Naming;
use millrace_sql::types::{SqlType, StructField};

/// Types within types that columns may have; a recursive schema has more.
pub const DEPTH_MAX: usize = 32;

/// A column or member named after a field: in upper case unless names are kept.
pub fn field_name(name: &str, keep_case: bool) -> String {
    if keep_case { name.to_string() } else { name.to_uppercase() }
}

/// The columns of a schema whose root has type `ty`.
///
/// # Errors
/// When the root is no record and is not to stand alone, or is a record without columns.
pub fn root_columns(
    ty: SqlType,
    wrapped: bool,
    naming: Naming,
) -> Result<Vec<(String, SqlType)>, String> {
    check_names(&ty)?;
    if !wrapped {
        return Ok(vec![(naming.single.to_string(), ty)]);
    }
    let SqlType::Struct(fields) = ty else {
        return Err("Schema returned from schema registry is anonymous type. To use this schema \
                    with ksqlDB, set 'WRAP_SINGLE_VALUE=false' in the WITH clause properties."
            .to_string());
    };
    if fields.is_empty() {
        return Err(
            "Schema does not include any columns with types that ksqlDB supports.".to_string()
        );
    }
    Ok(fields.into_iter().map(|StructField { name, ty }| (name, ty)).collect())
}

fn check_names(ty: &SqlType) -> Result<(), String> {
    match ty {
        SqlType::Array(item) => check_names(item),
        SqlType::Map(_, value) => check_names(value),
        SqlType::Struct(fields) => {
            for (i, field) in fields.iter().enumerate() {
                check_names(&field.ty)?;
                if fields[..i].iter().any(|other| other.name == field.name) {
                    return Err(format!(
                        "Cannot create field because of field name duplication {}",
                        field.name
                    ));
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
