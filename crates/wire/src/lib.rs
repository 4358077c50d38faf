//! Dialect codecs and stream framing: bytes in, values out.
//!
//! Owns every byte format Trunkline speaks. Must not know providers, prices, policies, sockets or time. N + M codecs meet
//! in the canonical form of `trunkline-model`; what passes between equal dialects is scanned, not parsed.
//!
//! A request's way: `scan` looks at the body once. Same dialect on both sides: `dispatch::pass_edits` says which fields
//! change and `splice` lays the changes over the bytes. Otherwise `dispatch::decode_request` and `dispatch::encode_request`.
//! An answer's way: `frame` cuts the bytes; an observer watches the frames pass, or a decoder turns them into events that
//! an encoder writes for the client.

pub mod anthropic;
mod call_ids;
mod carried;
mod cited;
pub mod codec;
pub mod cohere;
#[cfg(test)]
mod collected;
pub mod completions;
mod conversation;
pub mod converse;
mod count;
mod cursor;
pub mod dispatch;
pub mod effort;
pub mod frame;
pub mod gemini;
mod json_text;
mod leftovers;
pub mod media;
pub mod mistral;
pub mod names;
pub mod openai;
pub mod picture;
mod pieces;
pub mod places;
pub mod relayed;
mod rerank;
pub mod responses;
pub mod scan;
pub mod sealed;
pub mod source;
pub mod splice;
pub mod tally;
mod terms;
mod token_ids;
pub mod veil;

pub(crate) mod write;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod goldens;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod silence;
#[cfg(test)]
pub(crate) mod testing;
