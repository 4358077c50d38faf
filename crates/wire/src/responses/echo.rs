//! What an answer repeats of its request.
//!
//! Owns the fields of the response object that come from the request, as the client wrote them, with the specification's defaults
//! where it wrote nothing. Must not read more than the top level: the values pass as text.

use super::request_decode::decode_request;
use crate::codec::{Envelope, PathParts};
use std::fmt::Write as _;
use trunkline_model::dialect::Operation;

/// The request as its answer shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Echo {
    /// Members of the response object, with a comma behind each.
    pub(super) fields: String,
    /// Names of tools that take free text.
    pub(super) custom_tools: Vec<String>,
    /// The answer's id, where it was given out before the answer began.
    pub(super) id: Option<String>,
}

/// The fields and what stands there when a request does not give them.
const FIELDS: &[(&str, &str)] = &[
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("prompt_cache_retention", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("service_tier", "\"auto\""),
    ("store", "true"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"},"verbosity":"medium"}"#),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", "\"disabled\""),
    // Left out where not given: the specification has no null here.
    ("user", ""),
];

impl Echo {
    /// Takes from a request what its answer repeats.
    #[must_use]
    pub fn read(envelope: &Envelope, body: &[u8]) -> Self {
        let mut echo = Self::default();
        for (name, default) in FIELDS {
            let given = envelope
                .field(body, name)
                .and_then(|field| body.get(field.value.clone()))
                .and_then(|text| std::str::from_utf8(text).ok())
                .filter(|text| *text != "null")
                .unwrap_or(default);
            if given.is_empty() {
                continue;
            }
            // Line breaks are layout: those of strings are escaped. An event is one line.
            let given: std::borrow::Cow<'_, str> = if given.contains(['\n', '\r']) {
                given.replace(['\n', '\r'], " ").into()
            } else {
                given.into()
            };
            write!(echo.fields, "\"{name}\":{given},").expect("writing to a string cannot fail");
        }
        let tools = envelope.field(body, "tools").and_then(|field| body.get(field.value.clone()));
        if tools.is_some_and(|tools| memchr::memmem::find(tools, b"\"custom\"").is_some()) {
            echo.custom_tools = custom_tools(body);
        }
        echo
    }

    /// What is shown where the request is not known.
    pub(super) fn unknown() -> Self {
        let mut echo = Self::default();
        for (name, default) in FIELDS.iter().filter(|(_, default)| !default.is_empty()) {
            write!(echo.fields, "\"{name}\":{default},").expect("writing to a string cannot fail");
        }
        echo
    }

    /// The same with an id for the answer.
    #[must_use]
    pub fn with_id(mut self, id: String) -> Self {
        self.id = Some(id);
        self
    }
}

/// The names of custom tools. Where the request cannot be read its error is told by whoever translates it.
fn custom_tools(body: &[u8]) -> Vec<String> {
    if decode_request(Operation::Chat, body, &PathParts::default()).is_err() {
        return Vec::new();
    }
    #[derive(serde::Deserialize)]
    struct Tool {
        #[serde(rename = "type")]
        kind: String,
        name: Option<String>,
    }
    #[derive(serde::Deserialize)]
    struct Body {
        tools: Vec<Tool>,
    }
    let Ok(body) = serde_json::from_slice::<Body>(body) else { return Vec::new() };
    body.tools.into_iter().filter(|tool| tool.kind == "custom").filter_map(|tool| tool.name).collect()
}
