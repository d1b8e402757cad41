//! Avro bytes, both ways.
