//! JSON records to columns and back.

mod ahead;
mod digits;
pub mod encode;
mod entries;
mod object;
mod scan;
mod text;
mod value;

use millrace_engine::codec::builder::ColumnBuilder;
use millrace_sql::types::SqlType;

use self::object::ObjectPlan;
pub use self::scan::DEPTH_MAX;
use self::scan::{Fail, Scan, Scanner};
pub use self::value::DAY_MS;
use self::value::Node;
use super::columns::{ColumnDecoder, Field};

/// Reads one JSON document per record.
#[derive(Debug)]
pub struct JsonDecoder {
    root: Root,
}

#[derive(Debug)]
enum Root {
    /// An object with a member per column.
    Object(ObjectPlan),
    /// The value of the only column, without an object around it.
    Single(Node),
}

impl JsonDecoder {
    /// # Errors
    /// For types that JSON cannot hold.
    pub fn new(fields: &[Field], wrapped: bool) -> Result<Self, String> {
        let root = match fields {
            [only] if !wrapped => Root::Single(Node::new(&only.ty)?),
            fields => {
                let members = fields.iter().map(|f| (f.name.as_str(), &f.ty, f.wanted));
                Root::Object(ObjectPlan::new(members)?)
            }
        };
        Ok(JsonDecoder { root })
    }

    /// Takes maps also as arrays of entries, as Connect's converters write them.
    pub fn with_entries(mut self) -> Self {
        match &mut self.root {
            Root::Object(plan) => plan.take_entries(),
            Root::Single(node) => node.take_entries(),
        }
        self
    }

    fn read(&mut self, bytes: &[u8], columns: &mut [ColumnBuilder], row: usize) -> Scan<bool> {
        let mut scanner = Scanner::new(bytes)?;
        match (&mut self.root, scanner.peek()) {
            (_, b'n') => {
                scanner.literal("null")?;
                return Ok(false);
            }
            (Root::Object(plan), b'{') => plan.decode(&mut scanner, columns, row)?,
            (Root::Object(_), _) => {
                let kind = scanner.kind();
                scanner.skip_value()?;
                return Err(Fail::type_error(format!("{kind} where an object is wanted")));
            }
            (Root::Single(node), _) => node.decode(&mut scanner, &mut columns[0])?,
        }
        Ok(true)
    }
}

impl ColumnDecoder for JsonDecoder {
    fn read_row(
        &mut self,
        bytes: &[u8],
        columns: &mut [ColumnBuilder],
        row: usize,
    ) -> Result<bool, String> {
        self.read(bytes, columns, row).map_err(|fail| fail.to_string())
    }
}

/// Checks that JSON can hold a column of this type.
///
/// # Errors
/// Says what it cannot.
pub fn check_type(ty: &SqlType) -> Result<(), String> {
    Node::new(ty).map(|_| ())
}

#[cfg(test)]
mod tests;
