//! Events written as OpenAI chat answers, whole and streamed.
//!
//! Owns nothing itself: what chunks and whole answers share is in files by what it is about.

mod head;
mod logprobs;
mod picture;
mod plain;
mod state;
mod stream;

pub(crate) use head::write_usage;
pub(super) use plain::PlainEncoder;
pub(super) use stream::StreamEncoder;
