//! The configuration: read, checked with places and hints, compiled to an immutable snapshot.
//!
//! Owns every setting's name, form and meaning. Must not open files, read the environment or the clock: texts, a lookup
//! function and a date are arguments, so that `check`, `serve`, a reload and the tests run the same code.

mod compile;
mod digest;
pub mod file;
mod load;
mod mask;
mod problem;
mod scalar;
mod snapshot;
mod source;
mod structure;
mod zero;

pub use compile::{Inputs, Labelled};
pub use digest::{KeyDigest, Pepper};
pub use load::{Loaded, json_schema, load, load_standing_in};
pub use problem::{InvalidConfiguration, Place, Problem, Problems, Severity};
pub use scalar::duration;
pub use snapshot::{
    BatchPolicy, KeyLimits, KeyRing, Origin, ProviderSummary, Routes, Server, Snapshot, Store, VirtualKey,
};
pub use source::{LONGEST_TEXT, Source};
pub use zero::from_environment;
