//! The vocabulary every other crate speaks: requests, events, usage, money, failures, the catalogue.
//!
//! Owns the canonical forms (N + M codecs meet here) and the plain facts of a request's life. Must not know wire formats,
//! vendors, sockets, clocks or storage. It is one crate so that a word means the same thing everywhere.

pub mod asked;
pub mod capability;
pub mod catalogue;
pub mod citation;
pub mod comparison;
pub mod content;
pub mod credential;
pub mod dialect;
pub mod error;
pub mod event;
pub mod excerpt;
pub mod facts;
pub mod failure;
pub mod feedback;
pub mod file_type;
mod fingerprint;
pub mod headroom;
pub mod host;
pub mod id;
pub mod json;
pub mod moment;
pub mod money;
pub mod nearest;
pub mod record;
pub mod request;
pub mod rerank;
pub mod secret;
pub mod shape;
pub mod text;
pub mod usage;
pub mod warning;
