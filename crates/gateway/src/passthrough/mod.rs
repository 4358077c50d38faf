//! Any method and path of a provider, with the gateway's credential put on: `/passthrough/PROVIDER/...`.
//!
//! Owns what the endpoints with a protocol do not cover. Must not choose, translate or retry: who is asked stands in the path, and
//! nobody knows whether a call may be made twice. The host can never be the client's choice, which is why addresses are put
//! together from parts and never parsed from what came.

mod aim;
mod headers;
mod meter;
mod permit;
mod pump;
mod serve;
mod target;
mod upload;

pub(crate) use serve::serve;
