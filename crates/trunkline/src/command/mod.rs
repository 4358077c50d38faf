//! The commands, one file each.
//!
//! Owns nothing but the list. Each command has its options and a `run` that returns the exit code.

pub(crate) mod batches;
pub(crate) mod bench_router;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod drill;
pub(crate) mod eval;
pub(crate) mod explain;
pub(crate) mod feedback;
mod from_log;
mod in_process;
pub(crate) mod key;
pub(crate) mod log;
pub(crate) mod models;
mod outcome;
pub(crate) mod providers;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod serve;
pub(crate) mod simulate;
pub(crate) mod train;
