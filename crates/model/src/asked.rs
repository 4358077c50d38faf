//! What is kept of a request so that it can be decided again.
//!
//! Owns the facts of the shape and of the caller's wishes that a decision reads, in a form that takes no space where it says
//! nothing. Must not hold a text of the prompt: the record is safe to keep and to show. What stands elsewhere in the record (who
//! asked, for which model, in which protocol) is not repeated.

use crate::dialect::{Delivery, Dialect, Operation};
use crate::facts::Requirement;
use crate::id::Name;
use crate::shape::Shape;
use serde::{Deserialize, Serialize};

/// The facts by which a request was decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// Bytes of text in the prompt.
    #[serde(skip_serializing_if = "is_zero")]
    pub text_bytes: u64,
    /// Messages, or inputs to embed.
    #[serde(skip_serializing_if = "is_none_of")]
    pub messages: u32,
    /// Tools offered.
    #[serde(skip_serializing_if = "is_none_of")]
    pub tools: u32,
    /// Pictures in the prompt.
    #[serde(skip_serializing_if = "is_none_of")]
    pub images: u32,
    /// Documents in the prompt.
    #[serde(skip_serializing_if = "is_none_of")]
    pub documents: u32,
    /// Sounds in the prompt.
    #[serde(skip_serializing_if = "is_none_of")]
    pub audio: u32,
    /// Videos in the prompt.
    #[serde(skip_serializing_if = "is_none_of")]
    pub videos: u32,
    /// How many answers beyond the first.
    #[serde(skip_serializing_if = "is_none_of")]
    pub further_choices: u32,
    /// Most tokens to generate, where the client said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// A tool had to be called.
    #[serde(skip_serializing_if = "is_false")]
    pub forces_tool: bool,
    /// Earlier tool calls were in the conversation.
    #[serde(skip_serializing_if = "is_false")]
    pub has_tool_history: bool,
    /// The answer had to be JSON.
    #[serde(skip_serializing_if = "is_false")]
    pub wants_json: bool,
    /// The answer had to follow a schema.
    #[serde(skip_serializing_if = "is_false")]
    pub wants_schema: bool,
    /// Reasoning was asked for.
    #[serde(skip_serializing_if = "is_false")]
    pub wants_reasoning: bool,
    /// Log-probabilities were asked for.
    #[serde(skip_serializing_if = "is_false")]
    pub wants_logprobs: bool,
    /// Opaque provider state was in the conversation.
    #[serde(skip_serializing_if = "is_false")]
    pub has_opaque_state: bool,
    /// The deployment or model asked for by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<Name>,
    /// The pin is not the request's own but its virtual key's.
    #[serde(skip_serializing_if = "is_false")]
    pub pinned_by_key: bool,
    /// Hard demands of key and request together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<Requirement>,
    /// Refuse rather than drop or emulate.
    #[serde(skip_serializing_if = "is_false")]
    pub strict: bool,
    /// The decision also read what is not kept here: preferences or metadata in the body, headers named by rules.
    #[serde(skip_serializing_if = "is_false")]
    pub more: bool,
}

impl Asked {
    /// The facts of a shape; nothing of the caller yet.
    #[must_use]
    pub fn of(shape: &Shape) -> Self {
        Self {
            text_bytes: shape.text_bytes,
            messages: shape.messages,
            tools: shape.tools,
            images: shape.images,
            documents: shape.documents,
            audio: shape.audio,
            videos: shape.videos,
            further_choices: shape.choices.saturating_sub(1),
            max_output_tokens: shape.max_output_tokens,
            forces_tool: shape.forces_tool,
            has_tool_history: shape.has_tool_history,
            wants_json: shape.wants_json,
            wants_schema: shape.wants_schema,
            wants_reasoning: shape.wants_reasoning,
            wants_logprobs: shape.wants_logprobs,
            has_opaque_state: shape.has_opaque_state,
            ..Self::default()
        }
    }

    /// The shape again; the end user and the model asked for stand in the record.
    #[must_use]
    pub fn shape(&self, dialect: Dialect, operation: Operation, delivery: Delivery) -> Shape {
        Shape {
            delivery,
            text_bytes: self.text_bytes,
            messages: self.messages,
            tools: self.tools,
            images: self.images,
            documents: self.documents,
            audio: self.audio,
            videos: self.videos,
            choices: self.further_choices.saturating_add(1),
            max_output_tokens: self.max_output_tokens,
            forces_tool: self.forces_tool,
            has_tool_history: self.has_tool_history,
            wants_json: self.wants_json,
            wants_schema: self.wants_schema,
            wants_reasoning: self.wants_reasoning,
            wants_logprobs: self.wants_logprobs,
            has_opaque_state: self.has_opaque_state,
            ..Shape::new(dialect, operation)
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_none_of(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_survives_the_record() {
        let shape = Shape {
            delivery: Delivery::Stream,
            text_bytes: 4_000,
            messages: 3,
            tools: 2,
            images: 1,
            documents: 4,
            audio: 5,
            videos: 6,
            choices: 3,
            max_output_tokens: Some(77),
            forces_tool: true,
            has_tool_history: true,
            wants_json: true,
            wants_schema: true,
            wants_reasoning: true,
            wants_logprobs: true,
            has_opaque_state: true,
            ..Shape::new(Dialect::Anthropic, Operation::Chat)
        };
        let text = serde_json::to_string(&Asked::of(&shape)).expect("it is JSON");
        let read: Asked = serde_json::from_str(&text).expect("it reads its own JSON");
        assert_eq!(read.shape(Dialect::Anthropic, Operation::Chat, Delivery::Stream), shape);
    }

    #[test]
    fn what_says_nothing_takes_no_space_and_older_records_are_read() {
        let asked = Asked { text_bytes: 12, messages: 1, ..Asked::default() };
        assert_eq!(serde_json::to_string(&asked).expect("it is JSON"), r#"{"text_bytes":12,"messages":1}"#);
        let newer: Asked = serde_json::from_str(r#"{"messages":1,"unheard_of":true}"#).expect("it is read");
        assert_eq!(newer.messages, 1);
    }
}
