//! Reading: the text says what it is, so no schema is needed.

use millrace_engine::codec::builder::ColumnBuilder;

use crate::formats::columns::{ColumnDecoder, Field};
use crate::formats::json::JsonDecoder;
use crate::formats::wire::split_head;

/// Reads one JSON document per record, behind the head.
pub struct JsonSrDecoder {
    json: JsonDecoder,
}

impl JsonSrDecoder {
    /// # Errors
    /// For types that JSON cannot hold.
    pub fn new(fields: &[Field], wrapped: bool) -> Result<Self, String> {
        Ok(JsonSrDecoder { json: JsonDecoder::new(fields, wrapped)?.with_entries() })
    }
}

impl ColumnDecoder for JsonSrDecoder {
    fn read_row(
        &mut self,
        bytes: &[u8],
        columns: &mut [ColumnBuilder],
        row: usize,
    ) -> Result<bool, String> {
        let (_, text) = split_head(bytes)?;
        self.json.read_row(text, columns, row)
    }
}
