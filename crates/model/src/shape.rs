//! What can be told of a request without building a tree of it.
//!
//! Owns the cheap facts every decision may read: the wire scanner fills them in one pass over the bytes, filters and rules
//! read them. Must not hold the prompt. Anything dearer (language, embeddings) is a lazy feature of `route`.

use crate::dialect::{Delivery, Dialect, Operation};
use serde::{Deserialize, Serialize};

/// The cheap facts of one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// The protocol the client speaks.
    pub dialect: Dialect,
    /// What it asks for.
    pub operation: Operation,
    /// Plain or streamed.
    pub delivery: Delivery,
    /// What the client put in `model`.
    pub model: String,
    /// Size of the body.
    pub body_bytes: u64,
    /// Bytes of text in the prompt: messages, system, tool declarations; not inline media.
    pub text_bytes: u64,
    /// Messages (or inputs to embed).
    pub messages: u32,
    /// Tools offered.
    pub tools: u32,
    /// Pictures in the prompt.
    pub images: u32,
    /// Documents in the prompt.
    pub documents: u32,
    /// Sounds in the prompt.
    pub audio: u32,
    /// Videos in the prompt.
    pub videos: u32,
    /// A tool must be called.
    pub forces_tool: bool,
    /// Earlier tool calls or results are in the conversation.
    pub has_tool_history: bool,
    /// The answer must be some JSON object.
    pub wants_json: bool,
    /// The answer must follow a JSON schema.
    pub wants_schema: bool,
    /// Reasoning is asked for in so many words.
    pub wants_reasoning: bool,
    /// Log-probabilities are asked for.
    pub wants_logprobs: bool,
    /// Opaque provider state (signatures, encrypted reasoning) is in the conversation.
    pub has_opaque_state: bool,
    /// How many answers.
    pub choices: u32,
    /// Most tokens to generate, where the client says.
    pub max_output_tokens: Option<u64>,
    /// The end user named in the body.
    pub user: Option<String>,
}

impl Shape {
    /// A shape of an empty request.
    #[must_use]
    pub const fn new(dialect: Dialect, operation: Operation) -> Self {
        Self {
            dialect,
            operation,
            delivery: Delivery::Plain,
            model: String::new(),
            body_bytes: 0,
            text_bytes: 0,
            messages: 0,
            tools: 0,
            images: 0,
            documents: 0,
            audio: 0,
            videos: 0,
            forces_tool: false,
            has_tool_history: false,
            wants_json: false,
            wants_schema: false,
            wants_reasoning: false,
            wants_logprobs: false,
            has_opaque_state: false,
            choices: 1,
            max_output_tokens: None,
            user: None,
        }
    }

    /// Estimated prompt tokens. Four bytes of text make a token on average in English and code (the vendors' own rule of
    /// thumb), each message costs about four more, a picture about 1,000, a document or sound about 2,000. Used for limits
    /// and filters, never for a bill that the provider's own figures can settle.
    #[must_use]
    pub const fn estimated_input_tokens(&self) -> u64 {
        self.text_bytes.div_ceil(4)
            + self.messages as u64 * 4
            + self.images as u64 * 1_000
            + (self.documents as u64 + self.audio as u64 + self.videos as u64) * 2_000
    }
}
