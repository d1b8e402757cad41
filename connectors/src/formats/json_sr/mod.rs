//! JSON behind the id of its schema.

mod decode;
mod describe;
mod infer;

pub use self::decode::JsonSrDecoder;
pub use self::describe::describe;
pub use self::infer::infer;

#[cfg(test)]
mod tests;
