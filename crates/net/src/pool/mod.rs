//! The connections of one origin.
//!
//! `book` decides, `origin_pool` carries out, `lease` is the right to use one connection for one request.

mod book;
mod lease;
mod origin_pool;

pub(crate) use book::{ConnectionId, Freshness, Limits, Protocol};
pub(crate) use lease::{Exchange, Lease};
pub use origin_pool::OriginStats;
pub(crate) use origin_pool::{Granted, OriginPool};
