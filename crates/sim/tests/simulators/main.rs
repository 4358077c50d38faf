//! Simulators as clients see them, through a raw HTTP client.
//!
//! One binary for all, so that it links once.

#![expect(clippy::unwrap_used, reason = "a test's helper that cannot go on is a failed test")]

mod anthropic;
mod client;
mod converse;
mod faults;
mod gemini;
mod mistral;
mod mock;
mod openai;
mod server;
