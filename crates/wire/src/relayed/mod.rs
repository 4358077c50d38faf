//! Endpoints that exist in one form only: judging texts, making pictures, audio to text and back.
//!
//! Owns the few facts that are read of such bodies while they pass: the model, what the request weighs, what the answer cost and
//! whether it is one. Must not translate: there is nothing to translate to. Requests are JSON or forms with files, answers JSON,
//! text, events or sound; what an answer is, its content type says, because some models ignore the wish for a stream.

mod answer;
mod form;
mod request;
mod told;
mod usage;

#[cfg(test)]
mod tests;

pub use answer::{AnswerForm, observer};
pub use form::MOST_PARTS;
pub use request::{Asked, BodyForm, asked, envelope, pass_edits};
pub use told::{model_told, usage_told};
