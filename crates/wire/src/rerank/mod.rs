//! Ordering documents: Cohere's form, which clients speak too, and that of the many services beside OpenAI's dialect.
//!
//! Owns both forms; they differ in few members, so they share a module that two dialects use. Must not know providers: what
//! a look-alike calls otherwise is in the profile. Answers are read leniently: a list called `results` or `data`, a score called
//! `relevance_score` or `score`, usage in tokens or in searches.

mod answer;
mod request;

#[cfg(test)]
mod tests;

pub(crate) use answer::{Decoder, Encoder, Observer};
pub(crate) use request::{Form, decode, encode, may_pass};
