//! The sandbox: what statements would do to a catalog, without any effect outside. A request's
//! statements are all tried here before the first one runs.

use std::sync::Arc;

use millrace_sql::analyze::{Analyzed, NewQuery, NewSink, NewSource};
use millrace_sql::catalog::{Catalog, QueryInfo, SourceKind};
use millrace_sql::olap::OlapSink;

use crate::api::{ApiError, ApiResult, Properties};
use crate::service::Inner;
use crate::service::apply;
use crate::service::control::effective;
use crate::service::ddl::{Checked, refused};
use crate::service::kept::{is_kept, sandbox_query};
use crate::service::replace::writer_of;
use crate::service::targets::terminable;
use crate::topology::Topology;
use crate::upgrade::upgraded;

impl Inner {
    /// Does to `catalog` what the statement would do.
    pub(super) fn validate(
        &self,
        catalog: &mut Catalog,
        sql: &str,
        properties: &Properties,
    ) -> ApiResult<()> {
        self.booted()?;
        let properties = effective(self, properties)?;
        let Checked { text, analyzed } = self.analyze_ddl(sql, catalog, &properties)?;
        for change in self.following(sql, catalog, &analyzed)? {
            catalog.sinks.insert(change.sink.name.clone(), Arc::new(change.sink));
        }
        match analyzed {
            Analyzed::CreateSource(new) => {
                self.try_source(catalog, &new, sql, text, &properties)?
            }
            Analyzed::CreateAs(new) => self.try_query(catalog, *new, text)?,
            Analyzed::InsertInto(new) => {
                Topology::of(&new.plan).map_err(ApiError::Engine)?;
            }
            Analyzed::Drop(drop) => {
                catalog.sources.remove(&drop.source.name);
                if let Some(query) = drop.terminates {
                    catalog.queries.remove(&query);
                }
            }
            Analyzed::CreateSink(new) => self.try_sink(catalog, *new)?,
            Analyzed::AlterSink(change) => {
                catalog.sinks.insert(change.sink.name.clone(), Arc::new(change.sink));
            }
            Analyzed::DropSink(drop) => {
                catalog.sinks.remove(&drop.sink.name);
                catalog.queries.remove(&drop.sink.query);
            }
            Analyzed::AlterSource(source) => {
                catalog.sources.insert(source.name.clone(), Arc::new(*source));
            }
            Analyzed::CreateType(new) => {
                catalog.types.insert(new.name, new.ty);
            }
            Analyzed::DropType(name) => {
                catalog.types.remove(&name);
            }
            Analyzed::Terminate(target) => {
                let queries = self.targets(sql, catalog, &target)?;
                for query in terminable(sql, catalog, &target, queries)? {
                    catalog.queries.remove(&query);
                }
            }
            Analyzed::Pause(target) | Analyzed::Resume(target) => {
                self.targets(sql, catalog, &target)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn try_source(
        &self,
        catalog: &mut Catalog,
        new: &NewSource,
        sql: &str,
        text: String,
        properties: &Properties,
    ) -> ApiResult<()> {
        let mut source = self.with_topic(new, false)?;
        if is_kept(&source, properties) {
            let info = sandbox_query(&source, text).map_err(refused(sql))?;
            source.query = Some(info.id.clone());
            catalog.queries.insert(info.id.clone(), Arc::new(info));
        }
        catalog.sources.insert(source.name.clone(), Arc::new(source));
        Ok(())
    }

    fn try_sink(&self, catalog: &mut Catalog, new: NewSink) -> ApiResult<()> {
        self.olap()?;
        let NewSink { sink, plan, former, .. } = new;
        Topology::of(&plan).map_err(ApiError::Engine)?;
        if let Some(former) = former {
            apply::rename_sink(catalog, &sink.name, &former);
        }
        let sink = OlapSink { query: format!("SANDBOX_SINK_{}", sink.name), ..sink };
        let info = QueryInfo {
            id: sink.query.clone(),
            sql: sink.sql.clone(),
            reads: plan.reads.clone(),
            writes: String::new(),
            paused: false,
            materialized: false,
        };
        catalog.queries.insert(sink.query.clone(), Arc::new(info));
        catalog.sinks.insert(sink.name.clone(), Arc::new(sink));
        Ok(())
    }

    fn try_query(&self, catalog: &mut Catalog, new: NewQuery, text: String) -> ApiResult<()> {
        let writer = writer_of(catalog, &new)?;
        match writer.as_ref().and_then(|id| self.registry.get(id)) {
            Some(old) => upgraded(&old.topology, &new.plan),
            None => Topology::of(&new.plan),
        }
        .map_err(ApiError::Engine)?;
        let mut sink = new.source;
        sink.partitions = new.topic.partitions;
        let id = writer.unwrap_or_else(|| format!("SANDBOX_{}", sink.name));
        sink.query = Some(id.clone());
        let info = QueryInfo {
            id: id.clone(),
            sql: text,
            reads: new.plan.reads.clone(),
            writes: sink.name.clone(),
            paused: false,
            materialized: sink.kind == SourceKind::Table,
        };
        catalog.queries.insert(id, Arc::new(info));
        catalog.sources.insert(sink.name.clone(), Arc::new(sink));
        Ok(())
    }
}
