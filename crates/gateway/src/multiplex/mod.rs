//! Connections of HTTP/2 clients.
//!
//! Owns what the library that serves them leaves open: their end where nothing goes on (`connection`), streams whose client
//! takes nothing while others on the connection go on (`stream`, `pieces`), and their farewell (`farewell`). Must not know what
//! requests mean.

mod connection;
mod farewell;
mod pieces;
mod presence;
mod stream;

pub(crate) use connection::{Served, serve};
