//! The processing log as a stream that is always there: KSQL_PROCESSING_LOG.

use std::sync::Arc;

use millrace_sql::catalog::{
    Catalog, Column, ColumnRole, FormatKind, FormatSpec, Source, SourceKind,
};
use millrace_sql::types::{SqlType, StructField};

use crate::names::Names;

/// Name of the stream.
pub const NAME: &str = "KSQL_PROCESSING_LOG";

/// A catalog with nothing but the processing log.
pub fn catalog(names: &Names) -> Catalog {
    let mut catalog = Catalog::default();
    catalog.sources.insert(NAME.to_owned(), Arc::new(source(names)));
    catalog
}

fn source(names: &Names) -> Source {
    let value = |name: &str, ty| Column { name: name.to_owned(), ty, role: ColumnRole::Value };
    let format = |kind| FormatSpec::new(kind, true);
    let topic = names.processing_log();
    Source {
        name: NAME.to_owned(),
        kind: SourceKind::Stream,
        columns: vec![
            value("LOGGER", SqlType::String),
            value("LEVEL", SqlType::String),
            value("TIME", SqlType::Bigint),
            value("MESSAGE", message()),
        ],
        sql: format!(
            "CREATE STREAM {NAME} (LOGGER STRING, LEVEL STRING, TIME BIGINT, MESSAGE {}) \
             WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='JSON');",
            message()
        ),
        topic,
        partitions: 1,
        key_format: format(FormatKind::Kafka),
        value_format: format(FormatKind::Json),
        window: None,
        timestamp: None,
        query: None,
        read_only: false,
        row_ttl_ms: None,
    }
}

fn message() -> SqlType {
    let text = || SqlType::String;
    let list = || SqlType::Array(Box::new(SqlType::String));
    let origin =
        || [("TOPIC", text()), ("PARTITION", SqlType::Integer), ("OFFSET", SqlType::Bigint)];
    let common = || [("ERRORMESSAGE", text()), ("CAUSE", list())];
    let with = |more: &[(&str, SqlType)]| {
        let fields: Vec<(&str, SqlType)> = common().into_iter().chain(more.to_vec()).collect();
        structure(&fields)
    };
    let deserialization: Vec<_> =
        [("TARGET", text()), ("RECORDB64", text())].into_iter().chain(origin()).collect();
    structure(&[
        ("TYPE", SqlType::Integer),
        ("DESERIALIZATIONERROR", with(&deserialization)),
        ("RECORDPROCESSINGERROR", with(&[("RECORD", text())])),
        ("PRODUCTIONERROR", structure(&[("ERRORMESSAGE", text())])),
        ("SERIALIZATIONERROR", with(&[("TARGET", text()), ("RECORD", text()), ("TOPIC", text())])),
        (
            "KAFKASTREAMSTHREADERROR",
            structure(&[("ERRORMESSAGE", text()), ("THREADNAME", text()), ("CAUSE", list())]),
        ),
    ])
}

fn structure(fields: &[(&str, SqlType)]) -> SqlType {
    let field =
        |(name, ty): &(&str, SqlType)| StructField { name: (*name).to_owned(), ty: ty.clone() };
    SqlType::Struct(fields.iter().map(field).collect())
}
