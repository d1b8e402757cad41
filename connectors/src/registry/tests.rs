//! The registry in memory, and the client against a server that plays a registry.
