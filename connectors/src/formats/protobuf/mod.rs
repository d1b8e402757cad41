//! Protobuf messages, behind the id of their schema or bare, to columns and back, as Connect's
//! converters lay out SQL types.

mod decode;
mod describe;
mod encode;
mod infer;
mod known;
mod plan;
mod read;
mod schema;
mod skip;

pub use self::decode::ProtobufDecoder;
pub use self::describe::describe;
pub use self::encode::ProtobufEncoder;
pub use self::infer::infer;

#[cfg(test)]
mod tests;
