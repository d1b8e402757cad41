//! Avro records behind the id of their schema, to columns and back, as Connect's converters lay
//! out SQL types.

mod decode;
mod describe;
mod encode;
mod infer;
mod plan;
mod read;
mod schema;

pub use self::decode::AvroDecoder;
pub use self::describe::describe;
pub use self::encode::{AvroEncoder, Shape};
pub use self::infer::infer;

#[cfg(test)]
mod tests;
