//! Pinot or Druid, whichever is tested.

use serde_json::Value;

use super::kinds::Who;
use crate::rig::{Druid, Pinot};

/// A running system.
pub enum Target {
    Pinot(Pinot),
    Druid(Druid),
}

impl Target {
    /// As statements name it.
    pub fn system(&self) -> &'static str {
        match self {
            Target::Pinot(_) => "PINOT",
            Target::Druid(_) => "DRUID",
        }
    }

    /// The property of WITH that says where it is.
    pub fn property(&self) -> &'static str {
        match self {
            Target::Pinot(_) => "CONTROLLER",
            Target::Druid(_) => "ROUTER",
        }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        match self {
            Target::Pinot(pinot) => pinot.url(),
            Target::Druid(druid) => druid.url(),
        }
    }

    /// Further properties of a sink.
    pub fn further(&self, sums: Option<&str>) -> String {
        match (self, sums) {
            (Target::Pinot(_), _) => String::new(),
            // Event times lie years apart, and each interval is a segment.
            (Target::Druid(_), None) => ", SEGMENT_GRANULARITY='ALL'".to_owned(),
            (Target::Druid(_), Some(granularity)) => {
                format!(", SEGMENT_GRANULARITY='{granularity}', ROLLUP=true")
            }
        }
    }

    /// How its rows are shown.
    pub fn who(&self) -> Who {
        match self {
            Target::Pinot(_) => Who::Pinot,
            Target::Druid(_) => Who::Druid,
        }
    }

    /// # Errors
    /// No answer, or what the system refuses.
    pub fn query(&self, sql: &str) -> Result<Vec<Vec<Value>>, String> {
        match self {
            Target::Pinot(pinot) => pinot.query(sql),
            Target::Druid(druid) => druid.query(sql),
        }
    }

    /// Kills it without warning.
    pub fn kill9(&self) {
        match self {
            Target::Pinot(pinot) => pinot.kill9(),
            Target::Druid(druid) => druid.kill9(),
        }
    }

    /// Starts it again on its own data.
    ///
    /// # Errors
    /// It does not come up.
    pub fn boot(&self) -> Result<(), String> {
        match self {
            Target::Pinot(pinot) => pinot.boot(),
            Target::Druid(druid) => druid.boot(),
        }
    }
}
