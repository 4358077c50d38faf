//! Canonical events as the dialect's stream events, or as one response object.
//!
//! Owns the order the official SDKs accumulate by: the response is created, items are added, filled and done in turn, the last
//! event repeats all of it. What each kind of item tells is in a file of its own.

mod call;
mod encoder;
mod message;
mod picture;
mod reasoning;

pub(super) use encoder::Encoder;
