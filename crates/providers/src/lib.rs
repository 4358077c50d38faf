//! Providers: presets as data, the bundled catalogue, and what the request path needs of a deployment.
//!
//! Owns every fact about a vendor. Must not open sockets or decide anything. A provider that speaks a known dialect is one
//! TOML file; nothing outside this crate and the codecs may know a vendor's name.

pub mod batch;
pub mod bundled;
pub mod flagship;
pub mod identity;
pub mod limits;
pub mod preset;
pub mod signing;
pub mod upstream;
