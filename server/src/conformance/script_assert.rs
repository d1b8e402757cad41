//! ASSERT in scripts of tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::util::display::array_value_to_string;
use millrace_engine::format::Formats;
use millrace_engine::ids::{Offset, TopicId, Tp};
use millrace_engine::log::{RawBatch, Record, RecordRef, borrow_headers};
use millrace_engine::service::insert;
use millrace_sql::analyze::{self, Analyzed, Settings};
use millrace_sql::ast::{AssertValues, CreateSource, Ident, InsertValues, Statement};
use millrace_sql::catalog::{Catalog, ColumnRole, Source, pseudo};
use millrace_sql::plan::ScanColumn;

use super::session::Session;

/// A record and what it should be.
pub struct Asserted<'a> {
    pub source: &'a Arc<Source>,
    pub record: &'a Record,
    pub assert: &'a AssertValues,
}

impl Asserted<'_> {
    /// Compares the columns that the statement lists.
    ///
    /// # Errors
    /// The first that differs.
    pub fn check(
        &self,
        formats: &dyn Formats,
        session: &Session,
        tombstone: bool,
    ) -> Result<(), String> {
        let columns = self.columns(tombstone);
        let (values, rowtime) = self.expected(session, &columns)?;
        let (actual, live) = self.actual(formats)?;
        if tombstone == live {
            let (want, got) = if tombstone { ("no value", "one") } else { ("a value", "none") };
            return Err(format!("expected {want}, but there was {got}"));
        }
        for name in &columns {
            if name == pseudo::ROWTIME {
                let got = self.record.timestamp.0;
                match rowtime {
                    Some(want) if want != got => {
                        return Err(format!("ROWTIME: expected {want}, but it was {got}"));
                    }
                    _ => continue,
                }
            }
            let at = self.source.columns.iter().position(|column| column.name == *name);
            let at = at.ok_or_else(|| format!("there is no column {name}"))?;
            if values[at].as_ref() != actual[at].as_ref() {
                let text = |array: &ArrayRef| match array.is_null(0) {
                    true => "NULL".to_owned(),
                    false => array_value_to_string(array, 0).unwrap_or_default(),
                };
                let (want, got) = (text(&values[at]), text(&actual[at]));
                return Err(format!("column {name}: expected {want}, but it was {got}"));
            }
        }
        Ok(())
    }

    /// Names of the columns that values are given for.
    fn columns(&self, tombstone: bool) -> Vec<String> {
        if !self.assert.columns.is_empty() {
            return self.assert.columns.iter().map(|name| name.value.clone()).collect();
        }
        let columns = self.source.columns.iter();
        let wanted = columns.filter(|c| !tombstone || c.role == ColumnRole::Key);
        wanted.map(|column| column.name.clone()).collect()
    }

    /// One array per column of the source: what INSERT VALUES would make of the values.
    fn expected(
        &self,
        session: &Session,
        columns: &[String],
    ) -> Result<(Vec<ArrayRef>, Option<i64>), String> {
        let plain = Source {
            window: None,
            read_only: false,
            row_ttl_ms: None,
            kind: millrace_sql::catalog::SourceKind::Stream,
            ..self.source.as_ref().clone()
        };
        let name = plain.name.clone();
        let catalog = Catalog {
            sources: BTreeMap::from([(name.clone(), Arc::new(plain))]),
            ..session.catalog.clone()
        };
        let row = Statement::InsertValues(Box::new(InsertValues {
            name: Ident::new(name),
            columns: columns.iter().map(Ident::new).collect(),
            values: self.assert.values.clone(),
        }));
        let analyzed = analyze::analyze(&row, "", &catalog, &Settings::default());
        let Analyzed::InsertValues(row) = analyzed.map_err(|e| e.message)? else {
            return Err("the values are no row".to_owned());
        };
        insert::evaluate_row(&row).map_err(|e| format!("{e:?}"))
    }

    /// One array per column of the source, and whether the record has a value.
    fn actual(&self, formats: &dyn Formats) -> Result<(Vec<ArrayRef>, bool), String> {
        let all: Vec<ScanColumn> =
            (0..self.source.columns.len()).map(ScanColumn::Declared).collect();
        let mut decoder = formats.decoder(self.source, &all).map_err(|e| e.to_string())?;
        let mut raw = RawBatch::new(Tp::new(TopicId::default(), 0));
        let headers = borrow_headers(&self.record.headers);
        let record = RecordRef {
            timestamp: self.record.timestamp,
            key: self.record.key.as_deref(),
            value: self.record.value.as_deref(),
            headers: &headers,
        };
        raw.push(Offset(0), &record);
        let decoded = decoder.decode(&raw, 0..1).map_err(|e| e.to_string())?;
        if let Some(reject) = decoded.rejects.first() {
            return Err(reject.reason.clone());
        }
        let live = decoded.live.is_none_or(|live| live.value(0));
        Ok((decoded.rows.columns().to_vec(), live))
    }
}

/// A property of a source as text.
type TextOf = fn(&Source) -> String;

/// `ASSERT STREAM|TABLE`: the source is as a CREATE of these words would make it.
///
/// # Errors
/// What differs.
pub fn source(session: &Session, create: &CreateSource) -> Result<(), String> {
    let name = &create.name.value;
    let actual = session.catalog.source(name).ok_or(format!("{name} does not exist"))?;
    let mut without = session.catalog.clone();
    without.sources.remove(name);
    let statement = Statement::CreateSource(Box::new(create.clone()));
    let settings = Settings::from(&session.properties);
    let analyzed = analyze::analyze(&statement, "", &without, &settings);
    let Analyzed::CreateSource(new) = analyzed.map_err(|e| e.message)? else {
        return Err(format!("{name}: no source"));
    };
    let expected = new.source;
    let columns = |source: &Source| {
        let column = |c: &millrace_sql::catalog::Column| {
            let key = if c.role == ColumnRole::Key { " KEY" } else { "" };
            format!("`{}` {}{key}", c.name, c.ty)
        };
        source.columns.iter().map(column).collect::<Vec<_>>().join(", ")
    };
    let properties: [(&str, TextOf); 5] = [
        ("kind", |s| format!("{:?}", s.kind)),
        ("topic", |s| s.topic.clone()),
        ("key format", |s| s.key_format.kind.name().to_owned()),
        ("value format", |s| {
            let wrapped = if s.value_format.wrapped { "wrapped" } else { "unwrapped" };
            format!("{} {wrapped}", s.value_format.kind.name())
        }),
        ("timestamp", |s| format!("{:?}", s.timestamp)),
    ];
    if columns(&expected) != columns(actual) {
        let (want, got) = (columns(&expected), columns(actual));
        return Err(format!("{name}: expected the columns {want}, but they are {got}"));
    }
    for (what, of) in properties {
        let (want, got) = (of(&expected), of(actual));
        if want != got {
            return Err(format!("{name}: expected the {what} {want}, but it is {got}"));
        }
    }
    Ok(())
}
