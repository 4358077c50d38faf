//! The JSON types of the top-level fields that every provider of a dialect takes alike.
//!
//! Owns the table of them. Must not judge values, nor fields that providers of one dialect take in different types: a body that
//! passes through untouched keeps what is new or odd. A wrong type is told here, by path and in the client's own words, because the
//! providers' own messages for it differ and some answer 200 as if the field were not there.

use super::reader::{Fault, Kind, Reader, wrong_type};
use trunkline_model::dialect::{Dialect, Operation};

/// What a field may be, beside null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Text,
    Number,
    Boolean,
    Array,
    Object,
    TextOrArray,
    TextOrObject,
}

impl Type {
    const fn described(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Array => "an array",
            Self::Object => "an object",
            Self::TextOrArray => "a string or an array",
            Self::TextOrObject => "a string or an object",
        }
    }

    const fn includes(self, kind: Kind) -> bool {
        match kind {
            // What is no value is told with its place, by who reads it.
            Kind::Null | Kind::Invalid => true,
            Kind::Text => matches!(self, Self::Text | Self::TextOrArray | Self::TextOrObject),
            Kind::Number => matches!(self, Self::Number),
            Kind::Boolean => matches!(self, Self::Boolean),
            Kind::Array => matches!(self, Self::Array | Self::TextOrArray),
            Kind::Object => matches!(self, Self::Object | Self::TextOrObject),
        }
    }
}

/// Refuses the value that comes next where its field is known and is of another type.
pub(super) fn check(
    dialect: Dialect,
    operation: Operation,
    name: &str,
    reader: &Reader<'_>,
) -> Result<(), Fault> {
    let kind = reader.kind();
    match of(dialect, operation, name).filter(|known| !known.includes(kind)) {
        Some(known) => Err(wrong_type(name, known.described(), kind.described())),
        None => Ok(()),
    }
}

fn of(dialect: Dialect, operation: Operation, name: &str) -> Option<Type> {
    match (dialect, operation) {
        (Dialect::OpenAi, Operation::Chat) => chat(name),
        (Dialect::OpenAi, Operation::Completions) => completions(name),
        (Dialect::OpenAi, Operation::Embeddings) => embeddings(name),
        (_, Operation::Rerank) => rerank(name),
        (Dialect::Responses, _) => responses(name),
        (Dialect::Anthropic, _) => anthropic(name),
        (Dialect::Gemini, Operation::Chat) => gemini(name),
        _ => None,
    }
}

/// Source: `CreateChatCompletionRequest` of OpenAI's specification.
fn chat(name: &str) -> Option<Type> {
    Some(match name {
        "temperature" | "top_p" | "top_k" | "frequency_penalty" | "presence_penalty" | "seed"
        | "top_logprobs" => Type::Number,
        "logprobs" | "parallel_tool_calls" | "store" => Type::Boolean,
        "tools" | "functions" | "modalities" => Type::Array,
        "response_format" | "stream_options" | "logit_bias" | "metadata" => Type::Object,
        "stop" => Type::TextOrArray,
        "tool_choice" | "function_call" => Type::TextOrObject,
        "reasoning_effort" | "user" | "service_tier" | "verbosity" => Type::Text,
        _ => return None,
    })
}

/// Source: `CreateCompletionRequest` there.
fn completions(name: &str) -> Option<Type> {
    Some(match name {
        "temperature" | "top_p" | "frequency_penalty" | "presence_penalty" | "seed" | "logprobs"
        | "best_of" => Type::Number,
        "echo" => Type::Boolean,
        "stream_options" | "logit_bias" => Type::Object,
        "prompt" | "stop" => Type::TextOrArray,
        "suffix" | "user" => Type::Text,
        _ => return None,
    })
}

/// Source: `CreateEmbeddingRequest` there.
fn embeddings(name: &str) -> Option<Type> {
    Some(match name {
        "dimensions" => Type::Number,
        "encoding_format" | "user" => Type::Text,
        _ => return None,
    })
}

/// Source: `/v1/rerank` and `/v2/rerank` of Cohere's specification, and those who follow it.
fn rerank(name: &str) -> Option<Type> {
    Some(match name {
        "top_n" | "max_tokens_per_doc" | "max_chunks_per_doc" => Type::Number,
        "return_documents" => Type::Boolean,
        // Some take pictures.
        "query" => Type::TextOrObject,
        "rank_fields" => Type::Array,
        _ => return None,
    })
}

/// Source: `CreateResponse` of OpenAI's specification.
fn responses(name: &str) -> Option<Type> {
    Some(match name {
        "temperature" | "top_p" | "top_logprobs" | "max_tool_calls" => Type::Number,
        "parallel_tool_calls" | "store" | "background" => Type::Boolean,
        "tools" | "include" => Type::Array,
        "text" | "reasoning" | "metadata" | "prompt" | "stream_options" => Type::Object,
        "instructions" => Type::TextOrArray,
        "tool_choice" | "conversation" => Type::TextOrObject,
        "previous_response_id"
        | "truncation"
        | "service_tier"
        | "user"
        | "safety_identifier"
        | "prompt_cache_key" => Type::Text,
        _ => return None,
    })
}

/// Source: `CreateMessageParams` of Anthropic's specification.
fn anthropic(name: &str) -> Option<Type> {
    Some(match name {
        "temperature" | "top_p" | "top_k" => Type::Number,
        "tools" | "stop_sequences" | "mcp_servers" => Type::Array,
        "tool_choice" | "thinking" | "metadata" | "output_config" => Type::Object,
        "system" => Type::TextOrArray,
        "service_tier" => Type::Text,
        _ => return None,
    })
}

/// Source: `GenerateContentRequest` of the discovery document; both spellings that the JSON form of protocol buffers allows.
fn gemini(name: &str) -> Option<Type> {
    Some(match name {
        // Lists may be an object alone there.
        "generationConfig" | "generation_config" | "toolConfig" | "tool_config" => Type::Object,
        "systemInstruction" | "system_instruction" => Type::TextOrObject,
        "cachedContent" | "cached_content" => Type::Text,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::PathParts;
    use crate::scan::envelope;
    use serde_json::{Value, json};

    const KNOWN: &[(Dialect, Operation, &[&str])] = &[
        (
            Dialect::OpenAi,
            Operation::Chat,
            &[
                "temperature",
                "top_p",
                "top_k",
                "frequency_penalty",
                "presence_penalty",
                "seed",
                "top_logprobs",
                "logprobs",
                "parallel_tool_calls",
                "store",
                "tools",
                "functions",
                "modalities",
                "response_format",
                "stream_options",
                "logit_bias",
                "metadata",
                "stop",
                "tool_choice",
                "function_call",
                "reasoning_effort",
                "user",
                "service_tier",
                "verbosity",
            ],
        ),
        (
            Dialect::OpenAi,
            Operation::Completions,
            &[
                "temperature",
                "top_p",
                "frequency_penalty",
                "presence_penalty",
                "seed",
                "logprobs",
                "best_of",
                "echo",
                "stream_options",
                "logit_bias",
                "prompt",
                "stop",
                "suffix",
                "user",
            ],
        ),
        (Dialect::OpenAi, Operation::Embeddings, &["dimensions", "encoding_format", "user"]),
        (
            Dialect::OpenAi,
            Operation::Rerank,
            &[
                "top_n",
                "max_tokens_per_doc",
                "max_chunks_per_doc",
                "return_documents",
                "query",
                "rank_fields",
            ],
        ),
        (
            Dialect::Responses,
            Operation::Chat,
            &[
                "temperature",
                "top_p",
                "top_logprobs",
                "max_tool_calls",
                "parallel_tool_calls",
                "store",
                "background",
                "tools",
                "include",
                "text",
                "reasoning",
                "metadata",
                "prompt",
                "stream_options",
                "instructions",
                "tool_choice",
                "conversation",
                "previous_response_id",
                "truncation",
                "service_tier",
                "user",
                "safety_identifier",
                "prompt_cache_key",
            ],
        ),
        (
            Dialect::Anthropic,
            Operation::Chat,
            &[
                "temperature",
                "top_p",
                "top_k",
                "tools",
                "stop_sequences",
                "mcp_servers",
                "tool_choice",
                "thinking",
                "metadata",
                "output_config",
                "system",
                "service_tier",
            ],
        ),
        (
            Dialect::Gemini,
            Operation::Chat,
            &[
                "generationConfig",
                "generation_config",
                "toolConfig",
                "tool_config",
                "systemInstruction",
                "system_instruction",
                "cachedContent",
                "cached_content",
            ],
        ),
    ];

    fn values() -> [Value; 6] {
        [json!("text"), json!(0.5), json!(true), json!([]), json!({}), Value::Null]
    }

    /// Says what is wrong with a request that has one field more.
    fn refusal(dialect: Dialect, operation: Operation, name: &str, value: &Value) -> Option<String> {
        let mut body = match (dialect, operation) {
            (_, Operation::Rerank) => json!({"documents": []}),
            (_, Operation::Completions) => json!({"prompt": "x"}),
            (Dialect::Gemini, _) => json!({"contents": []}),
            (Dialect::Responses, _) | (_, Operation::Embeddings) => json!({"input": "x"}),
            _ => json!({"messages": []}),
        };
        body[name] = value.clone();
        let path = PathParts { model: Some("m".to_owned()), ..PathParts::default() };
        envelope(dialect, operation, body.to_string().as_bytes(), &path).err().map(|error| {
            assert_eq!(error.path.as_deref(), Some(name));
            error.message
        })
    }

    #[test]
    fn a_known_field_of_another_type_is_named() {
        let mut lines = Vec::new();
        for (dialect, operation, names) in KNOWN {
            for name in *names {
                let refusals: Vec<String> =
                    values().iter().filter_map(|value| refusal(*dialect, *operation, name, value)).collect();
                assert!(matches!(refusals.len(), 3 | 4), "{dialect} {operation:?} {name}: {refusals:?}");
                lines.push(format!("{dialect} {operation:?}: {}", refusals[0]));
            }
        }
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_field_that_is_not_known_may_be_anything() {
        for (dialect, operation, _) in KNOWN {
            for (name, value) in ["thinking_mode", "x_new", "chat_template_kwargs"].iter().zip(values()) {
                assert_eq!(refusal(*dialect, *operation, name, &value), None);
            }
        }
    }
}
