//! What WITH says. Every property is understood or refused; none is ignored.

use crate::ast::{Literal, Properties, Property};
use crate::catalog::{FormatKind, FormatSpec, KeyWindow, SchemaSpec};
use crate::error::{Result, SqlError};
use crate::expr::double_text;

use super::settings::Settings;

/// Properties of CREATE over a topic.
pub(super) const CREATE: &[&str] = &[
    "KAFKA_TOPIC",
    "PARTITIONS",
    "REPLICAS",
    "RETENTION_MS",
    "FORMAT",
    "KEY_FORMAT",
    "VALUE_FORMAT",
    "KEY_DELIMITER",
    "VALUE_DELIMITER",
    "WRAP_SINGLE_VALUE",
    "KEY_SCHEMA_ID",
    "VALUE_SCHEMA_ID",
    "KEY_SCHEMA_FULL_NAME",
    "VALUE_SCHEMA_FULL_NAME",
    "VALUE_AVRO_SCHEMA_FULL_NAME",
    "KEY_PROTOBUF_NULLABLE_REPRESENTATION",
    "VALUE_PROTOBUF_NULLABLE_REPRESENTATION",
    "TIMESTAMP",
    "TIMESTAMP_FORMAT",
    "WINDOW_TYPE",
    "WINDOW_SIZE",
    // Where rows come from, for whoever reads the statement: nothing depends on them.
    "SOURCED_BY_CONNECTOR",
    "SOURCE_CONNECTOR",
];

/// Properties of CREATE ... AS SELECT.
pub(super) const CREATE_AS: &[&str] = &[
    "KAFKA_TOPIC",
    "PARTITIONS",
    "REPLICAS",
    "RETENTION_MS",
    "FORMAT",
    "KEY_FORMAT",
    "VALUE_FORMAT",
    "KEY_DELIMITER",
    "VALUE_DELIMITER",
    "WRAP_SINGLE_VALUE",
    "KEY_SCHEMA_ID",
    "VALUE_SCHEMA_ID",
    "KEY_SCHEMA_FULL_NAME",
    "VALUE_SCHEMA_FULL_NAME",
    "VALUE_AVRO_SCHEMA_FULL_NAME",
    "KEY_PROTOBUF_NULLABLE_REPRESENTATION",
    "VALUE_PROTOBUF_NULLABLE_REPRESENTATION",
    "TIMESTAMP",
    "TIMESTAMP_FORMAT",
];

/// How long rows of a table live, a property of both; it belongs to the extensions.
pub(super) const ROW_TTL: &str = "ROW_TTL";

/// Properties of INSERT INTO ... SELECT.
pub(super) const INSERT_INTO: &[&str] = &["QUERY_ID"];

/// The WITH clause of a statement, checked for unknown names.
pub(super) struct With<'a>(&'a Properties);

impl<'a> With<'a> {
    /// # Errors
    /// A property that the statement does not take.
    pub fn new(properties: &'a Properties, allowed: &[&str]) -> Result<Self> {
        for property in &properties.list {
            let name = property.name.value.to_uppercase();
            if allowed.contains(&name.as_str()) {
                continue;
            }
            let message = match name.as_str() {
                "CLEANUP_POLICY" => "Invalid config variable in the WITH clause: CLEANUP_POLICY.\n\
                     The CLEANUP_POLICY config is automatically inferred based on the type of \
                     source (STREAM or TABLE).\n\
                     Users can't set the CLEANUP_POLICY config manually."
                    .to_string(),
                _ => prepare(&format!("Invalid config variable(s) in the WITH clause: {name}")),
            };
            return Err(SqlError::invalid(message).at(property.name.span()));
        }
        Ok(With(properties))
    }

    /// As [`With::new`], for a statement that makes a stream or table.
    ///
    /// # Errors
    /// A property that the statement does not take.
    pub fn of_source(
        properties: &'a Properties,
        allowed: &[&str],
        settings: &Settings,
    ) -> Result<Self> {
        match settings.extensions() {
            true => With::new(properties, &[allowed, &[ROW_TTL]].concat()),
            false => With::new(properties, allowed),
        }
    }

    pub fn text(&self, name: &str) -> Result<Option<String>> {
        self.value(name, |value| match value {
            Literal::String(text) => Ok(text.clone()),
            other => {
                Err(format!("Expected value to be a string, but it was a {}", java_class(other)))
            }
        })
    }

    /// A number that is at least `min`; text is read as a number, as ksqlDB does.
    pub fn number(&self, name: &str, min: i64) -> Result<Option<i64>> {
        let (ty, wanted) = match name {
            "REPLICAS" => ("SHORT", "16-bit integer (i.e. short)"),
            "RETENTION_MS" => ("LONG", "64-bit integer (i.e. long)"),
            _ => ("INT", "32-bit integer"),
        };
        let number = self.value(name, |value| match value {
            Literal::Integer(n) => Ok(i64::from(*n)),
            Literal::Bigint(n) => Ok(*n),
            Literal::String(text) => {
                text.trim().parse().map_err(|_| format!("Not a number of type {ty}"))
            }
            other => {
                Err(format!("Expected value to be a {wanted}, but it was a {}", java_class(other)))
            }
        })?;
        match number {
            Some(n) if n < min => {
                let message = format!("Invalid value {n} for property {name}: at least {min}");
                Err(self.located(name, SqlError::invalid(message)))
            }
            other => Ok(other),
        }
    }

    pub fn switch(&self, name: &str) -> Result<Option<bool>> {
        self.value(name, |value| match value {
            Literal::Boolean(b) => Ok(*b),
            Literal::String(text) if text.trim().eq_ignore_ascii_case("true") => Ok(true),
            Literal::String(text) if text.trim().eq_ignore_ascii_case("false") => Ok(false),
            _ => Err("Expected value to be either true or false".to_string()),
        })
    }

    fn value<T>(
        &self,
        name: &str,
        read: impl Fn(&Literal) -> Result<T, String>,
    ) -> Result<Option<T>> {
        let Some(Property { value, value_loc, .. }) = self.0.get(name) else { return Ok(None) };
        read(value).map(Some).map_err(|why| {
            let message =
                prepare(&format!("Invalid value {} for property {name}: {why}", shown(value)));
            SqlError::invalid(message).at(value_loc.0)
        })
    }

    /// Puts an error under the value of a property.
    pub fn located(&self, name: &str, error: SqlError) -> SqlError {
        match self.0.get(name) {
            Some(property) => error.at(property.value_loc.0),
            None => error.at(self.0.loc.0),
        }
    }

    /// The format of the key or the value, if the statement names one.
    pub fn format(&self, name: &str) -> Result<Option<FormatKind>> {
        let both = self.text("FORMAT")?;
        let own = self.text(name)?;
        if both.is_some() && own.is_some() {
            let message = format!(
                "Cannot supply both '{name}' and 'FORMAT' properties, as 'FORMAT' sets both key \
                 and value formats. Either use just 'FORMAT', or use 'KEY_FORMAT' and \
                 'VALUE_FORMAT'."
            );
            return Err(self.located("FORMAT", SqlError::invalid(message)));
        }
        let property = if own.is_some() { name } else { "FORMAT" };
        let kind = own.or(both).map(|text| format_kind(&text)).transpose();
        kind.map_err(|e| self.located(property, e))
    }

    /// KEY_DELIMITER or VALUE_DELIMITER.
    ///
    /// # Errors
    /// When the format takes none, or it is not one character, SPACE or TAB.
    pub fn delimiter(&self, name: &str, kind: FormatKind) -> Result<Option<char>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        delimiter(name, &text, kind).map(Some).map_err(|e| self.located(name, e))
    }

    /// A length of time such as `10 SECONDS`, in milliseconds.
    ///
    /// # Errors
    /// Other text, and a length that is not positive or has too many digits.
    pub fn duration_ms(&self, name: &str) -> Result<Option<i64>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        duration_ms(name, &text).map(Some).map_err(|e| self.located(name, e))
    }

    /// WINDOW_TYPE and WINDOW_SIZE of an existing topic.
    pub fn key_window(&self) -> Result<Option<KeyWindow>> {
        let size = self.text("WINDOW_SIZE")?;
        let Some(kind) = self.text("WINDOW_TYPE")? else {
            return match size {
                None => Ok(None),
                Some(_) => {
                    let message = prepare(NO_SIZE);
                    let error = SqlError::invalid(message).hint("give a WINDOW_TYPE, too");
                    Err(self.located("WINDOW_SIZE", error))
                }
            };
        };
        let size_ms = size.map(|text| duration_ms("WINDOW_SIZE", &text)).transpose();
        let size_ms = size_ms.map_err(|e| self.located("WINDOW_SIZE", e))?;
        let window = key_window(&kind.to_uppercase(), size_ms);
        window.map(Some).map_err(|e| self.located("WINDOW_TYPE", e))
    }
}

const NO_SIZE: &str = "'WINDOW_SIZE' should not be set for SESSION windows.";

/// ksqlDB finds what is wrong with a WITH clause before it looks at the rest of a statement.
fn prepare(message: &str) -> String {
    format!("Failed to prepare statement: {message}")
}

fn shown(literal: &Literal) -> String {
    match literal {
        Literal::Null => "null".to_string(),
        Literal::Boolean(value) => value.to_string(),
        Literal::Integer(value) => value.to_string(),
        Literal::Bigint(value) => value.to_string(),
        Literal::Double(value) => double_text(*value),
        Literal::Decimal(text) | Literal::String(text) => text.clone(),
    }
}

/// What Java calls the type of a literal.
fn java_class(literal: &Literal) -> &'static str {
    match literal {
        Literal::Integer(_) => "java.lang.Integer",
        Literal::Bigint(_) => "java.lang.Long",
        Literal::Double(_) => "java.lang.Double",
        Literal::Decimal(_) => "java.math.BigDecimal",
        Literal::Boolean(_) => "java.lang.Boolean",
        Literal::String(_) | Literal::Null => "java.lang.String",
    }
}

/// # Errors
/// An unknown format.
pub(super) fn format_kind(text: &str) -> Result<FormatKind> {
    let name = text.trim().to_uppercase();
    match name.as_str() {
        "JSON" => Ok(FormatKind::Json),
        "JSON_SR" => Ok(FormatKind::JsonSr),
        "AVRO" => Ok(FormatKind::Avro),
        "PROTOBUF" => Ok(FormatKind::Protobuf),
        "PROTOBUF_NOSR" => Ok(FormatKind::ProtobufNoSr),
        "DELIMITED" => Ok(FormatKind::Delimited),
        "KAFKA" => Ok(FormatKind::Kafka),
        "NONE" => Ok(FormatKind::None),
        _ => Err(SqlError::invalid(format!("Unknown format: {name}"))),
    }
}

fn delimiter(name: &str, text: &str, kind: FormatKind) -> Result<char> {
    if kind != FormatKind::Delimited {
        let message =
            format!("{} does not support the following configs: [delimiter]", kind.name());
        return Err(SqlError::invalid(message));
    }
    if text.trim().is_empty() {
        return Err(SqlError::invalid(format!(
            "Failed to prepare statement: Configuration {name} is invalid: Delimiter cannot be empty, if you meant to have a \
             tab or space for delimiter, please use the special values 'TAB' or 'SPACE'\n\
             Example valid value: ';'"
        )));
    }
    let mut chars = text.chars();
    match (chars.next(), chars.next(), text.to_uppercase().as_str()) {
        (_, _, "TAB") => Ok('\t'),
        (_, _, "SPACE") => Ok(' '),
        (Some(c), None, _) => Ok(c),
        _ => Err(SqlError::invalid(format!(
            "Failed to prepare statement: Configuration {name} is invalid: Invalid delimiter value: '{text}'. Delimiter must \
             be a single character or TAB,SPACE\nExample valid value: ';'"
        ))),
    }
}

fn key_window(kind: &str, size_ms: Option<i64>) -> Result<KeyWindow> {
    match (kind, size_ms) {
        ("SESSION", None) => Ok(KeyWindow::Session),
        ("SESSION", Some(_)) => Err(SqlError::invalid(prepare(NO_SIZE))),
        ("TUMBLING", Some(size_ms)) => Ok(KeyWindow::Time { size_ms, hopping: false }),
        ("HOPPING", Some(size_ms)) => Ok(KeyWindow::Time { size_ms, hopping: true }),
        ("TUMBLING" | "HOPPING", None) => Err(SqlError::invalid(prepare(&format!(
            "{kind} windows require 'WINDOW_SIZE' to be provided in the WITH clause. For example: \
             'WINDOW_SIZE'='10 SECONDS'"
        )))),
        _ => Err(SqlError::invalid(prepare(&format!(
            "Invalid value {kind} for property WINDOW_TYPE: String must be one of: SESSION, \
             HOPPING, TUMBLING, null"
        )))),
    }
}

/// Length of e.g. `10 SECONDS` in milliseconds.
fn duration_ms(name: &str, text: &str) -> Result<i64> {
    let invalid = |why: String| {
        let message = format!(
            "Failed to prepare statement: Configuration {name} is invalid: Invalid duration: '{text}'. {why}"
        );
        Err(SqlError::invalid(message))
    };
    let mut words = text.split_whitespace();
    let (Some(number), Some(unit), None) = (words.next(), words.next(), words.next()) else {
        return invalid(format!("Expected 2 tokens, got: {}", text.split_whitespace().count()));
    };
    let Ok(number) = number.parse::<i64>() else {
        return invalid(format!("Not numeric: '{number}'"));
    };
    let unit = unit.to_uppercase();
    match crate::ast::IntervalUnit::from_word(&unit) {
        None => invalid(format!(
            "Unknown time unit: '{unit}'\n\
             Supported time units are: NANOSECONDS, MICROSECONDS, MILLISECONDS, SECONDS, MINUTES, \
             HOURS, DAYS"
        )),
        Some(unit) => match number.checked_mul(unit.millis()) {
            Some(ms) if ms > 0 => Ok(ms),
            _ => invalid("Size must be positive".to_string()),
        },
    }
}

/// How keys and values of a new source are written.
pub(super) struct Formats {
    pub key: FormatSpec,
    pub value: FormatSpec,
}

/// A key format with its options. A single key column stands alone where the format can do that.
pub(super) fn key_format(
    kind: FormatKind,
    delimiter: Option<char>,
    schema: SchemaSpec,
) -> FormatSpec {
    FormatSpec { kind, delimiter: delimiter.unwrap_or(','), wrapped: kind.always_wrapped(), schema }
}

/// A value format with its options; `columns` is the number of value columns.
///
/// # Errors
/// WRAP_SINGLE_VALUE where it makes no sense.
pub(super) fn value_format(
    with: &With<'_>,
    kind: FormatKind,
    delimiter: Option<char>,
    schema: SchemaSpec,
    columns: usize,
    settings: &Settings,
) -> Result<FormatSpec> {
    let wish = with.switch("WRAP_SINGLE_VALUE")?;
    if let Some(wrap) = wish {
        let refuse =
            |message: String| Err(with.located("WRAP_SINGLE_VALUE", SqlError::invalid(message)));
        let fixed = (!kind.wraps()).then(|| kind.always_wrapped());
        if kind == FormatKind::None || fixed.is_some_and(|fixed| fixed != wrap) {
            return refuse(format!(
                "Format '{}' does not support 'WRAP_SINGLE_VALUE' set to '{wrap}'.",
                kind.name()
            ));
        }
        if columns != 1 {
            let message = "'WRAP_SINGLE_VALUE' is only valid for single-field value schemas";
            return refuse(message.to_string());
        }
    }
    let default = settings.is_on("ksql.persistence.wrap.single.values", true);
    let wrapped =
        kind.always_wrapped() || kind.wraps() && (columns != 1 || wish.unwrap_or(default));
    Ok(FormatSpec { kind, delimiter: delimiter.unwrap_or(','), wrapped, schema })
}
