//! Canonical chat requests written for a target that speaks this dialect.
//!
//! Owns the parameters; items are next door. Must not know providers: the profile says what a target refuses. Nothing is stored
//! at the target: state comes back sealed, and what a client wants kept the gateway keeps.

use super::item_encode;
use super::request_decode::{INCLUDE, SHARED};
use crate::codec::{EncodeError, Encoded, Profile, ReasoningStyle};
use crate::names::{NameRule, fit};
use crate::openai;
use crate::write::{NO_TOOLS, Object, array, float, string, whole};
use bytes::Bytes;
use std::borrow::Cow;
use trunkline_model::capability::Support;
use trunkline_model::dialect::{Delivery, Dialect};
use trunkline_model::request::{
    ChatRequest, Effort, Extra, OutputFormat, Reasoning, Request, Tool, ToolChoice, Visibility,
};
use trunkline_model::warning::Warning;

/// Why a refused parameter was left out.
const REFUSED: &str = "the target refuses it";
/// Why a parameter of another dialect was.
const UNKNOWN: &str = "the target's dialect has nothing like it";

/// Writes a request for a target.
///
/// # Errors
/// What the target cannot express.
pub fn encode_request(
    request: &Request,
    profile: &Profile,
    delivery: Delivery,
) -> Result<Encoded, EncodeError> {
    match request {
        Request::Chat(chat) => encode_chat(chat, profile, delivery),
        Request::Embeddings(_) | Request::Rerank(_) => openai::encode_request(request, profile, delivery),
    }
}

fn encode_chat(chat: &ChatRequest, profile: &Profile, delivery: Delivery) -> Result<Encoded, EncodeError> {
    let mut out = Vec::with_capacity(crate::pieces::room(chat));
    let mut parameters = Draft::open(&mut out, chat, profile)?;
    parameters.tools(chat)?;
    parameters.limits(chat)?;
    parameters.sampling(chat);
    parameters.text(chat)?;
    if let Some(reasoning) = &chat.reasoning {
        parameters.reasoning(reasoning);
    }
    if let Some(user) = &chat.user {
        parameters.write("user", |out| string(out, user));
    }
    parameters.extras(chat);
    if !profile.refuses("store") {
        parameters.body.boolean("store", false);
    }
    parameters.include(chat);
    if delivery.is_stream() {
        parameters.body.boolean("stream", true);
    }
    let warnings = parameters.close();
    Ok(Encoded::new(Bytes::from(out), warnings))
}

/// A body under way.
pub(super) struct Draft<'o, 'p> {
    body: Object<'o, Vec<u8>>,
    profile: &'p Profile,
    warnings: Vec<Warning>,
}

impl<'o, 'p> Draft<'o, 'p> {
    /// Begins a body with its conversation.
    pub(super) fn open(
        out: &'o mut Vec<u8>,
        chat: &ChatRequest,
        profile: &'p Profile,
    ) -> Result<Self, EncodeError> {
        let mut warnings = Vec::new();
        let mut body = Object::open(out);
        body.text("model", &profile.model);
        item_encode::write(body.key("input"), &chat.messages, &mut warnings)?;
        Ok(Self { body, profile, warnings })
    }

    /// Writes what else counts as a part of the prompt.
    pub(super) fn prompt(&mut self, chat: &ChatRequest) -> Result<(), EncodeError> {
        self.tools(chat)?;
        self.text(chat)?;
        if let Some(reasoning) = &chat.reasoning {
            self.reasoning(reasoning);
        }
        Ok(())
    }

    /// Ends it.
    pub(super) fn close(self) -> Vec<Warning> {
        self.body.close();
        self.warnings
    }

    fn dropped(&mut self, feature: impl Into<Cow<'static, str>>, reason: &'static str) {
        self.warnings.push(Warning::dropped(feature, reason));
    }

    /// Writes a parameter that may be left out.
    fn write(&mut self, name: &'static str, value: impl FnOnce(&mut Vec<u8>)) {
        if self.profile.refuses(name) {
            self.dropped(name, REFUSED);
        } else {
            value(self.body.key(name));
        }
    }

    fn tools(&mut self, chat: &ChatRequest) -> Result<(), EncodeError> {
        for (index, tool) in chat.tools.iter().enumerate() {
            if let Tool::BuiltIn { origin, kind, .. } = tool
                && *origin != Dialect::Responses
            {
                return Err(unsupported(
                    &format!("tools[{index}] ({kind})"),
                    &format!("it is a tool that only {origin} providers run"),
                ));
            }
        }
        if chat.tools.is_empty() {
            if chat.tool_choice.is_some() {
                self.dropped("tool_choice", NO_TOOLS);
            }
            self.parallel(chat);
            return Ok(());
        }
        if self.profile.refuses("tools") {
            return Err(unsupported("tools", "the target refuses it; leave it out or choose another model"));
        }
        if chat.tools.iter().any(|tool| matches!(tool, Tool::Function(function) if function.cache.is_some()))
        {
            self.dropped("tools[].cache_control", item_encode::NO_CACHE_MARKS);
        }
        array(self.body.key("tools"), &chat.tools, write_tool);
        if let Some(choice) = &chat.tool_choice {
            write_choice(self.body.key("tool_choice"), choice, chat);
        }
        self.parallel(chat);
        Ok(())
    }

    /// Unlike that of chat completions, this dialect takes it without tools as well.
    fn parallel(&mut self, chat: &ChatRequest) {
        if let Some(parallel) = chat.parallel_tool_calls {
            let word: &[u8] = if parallel { b"true" } else { b"false" };
            self.write("parallel_tool_calls", |out| out.extend_from_slice(word));
        }
    }

    fn limits(&mut self, chat: &ChatRequest) -> Result<(), EncodeError> {
        if let Some(limit) = chat.max_output_tokens {
            self.write("max_output_tokens", |out| whole(out, limit));
        }
        if !chat.stop.is_empty() {
            return Err(unsupported("stop", "the target's dialect has no stop texts; choose another model"));
        }
        if chat.choices.is_some_and(|choices| choices > 1) {
            return Err(unsupported("n", "the target's dialect gives one answer; choose another model"));
        }
        if let Some(alternatives) = chat.logprobs
            && alternatives > 0
        {
            self.write("top_logprobs", |out| whole(out, alternatives));
        }
        Ok(())
    }

    fn sampling(&mut self, chat: &ChatRequest) {
        let sampling = &chat.sampling;
        let takes_sampling = self.profile.sampling.may_work();
        for (name, value) in [("temperature", sampling.temperature), ("top_p", sampling.top_p)] {
            match value {
                None => {}
                Some(value) if takes_sampling => self.write(name, |out| float(out, value)),
                // One is what such models do anyway.
                Some(1.0) => {}
                Some(_) => self.dropped(name, "the model does not take sampling parameters"),
            }
        }
        let unknown = [
            ("top_k", sampling.top_k.is_some()),
            ("frequency_penalty", sampling.frequency_penalty.is_some_and(|value| value != 0.0)),
            ("presence_penalty", sampling.presence_penalty.is_some_and(|value| value != 0.0)),
            ("seed", sampling.seed.is_some()),
        ];
        for (name, _) in unknown.into_iter().filter(|(_, is_given)| *is_given) {
            self.dropped(name, UNKNOWN);
        }
    }

    fn text(&mut self, chat: &ChatRequest) -> Result<(), EncodeError> {
        let verbosity = chat
            .extras
            .iter()
            .find(|extra| extra.origin == Dialect::OpenAi && extra.name == "verbosity")
            .map(|extra| extra.value.text());
        if chat.output == OutputFormat::Text && verbosity.is_none() {
            return Ok(());
        }
        let is_schema = matches!(chat.output, OutputFormat::JsonSchema { .. });
        if is_schema && self.profile.json_schema == Support::No {
            return Err(unsupported(
                "text.format",
                "the target cannot follow a JSON schema; choose another model",
            ));
        }
        let mut text = Object::open(self.body.key("text"));
        match &chat.output {
            OutputFormat::Text => {}
            OutputFormat::JsonObject => text.raw("format", r#"{"type":"json_object"}"#),
            OutputFormat::JsonSchema { name, description, schema, strict } => {
                let mut format = Object::open(text.key("format"));
                format.text("type", "json_schema");
                // The dialect demands a name.
                format.text("name", &fit(name.as_deref().unwrap_or("answer"), NameRule::STRICT_64));
                if let Some(description) = description {
                    format.text("description", description);
                }
                format.raw("schema", schema.text());
                if let Some(strict) = strict {
                    format.boolean("strict", *strict);
                }
                format.close();
            }
        }
        if let Some(verbosity) = verbosity {
            text.raw("verbosity", verbosity);
        }
        text.close();
        Ok(())
    }

    fn reasoning(&mut self, reasoning: &Reasoning) {
        if self.profile.reasoning == ReasoningStyle::None {
            if reasoning.effort != Some(Effort::None) && !reasoning.is_only_hidden() {
                self.dropped("reasoning", "the model cannot reason");
            }
            return;
        }
        let effort = match (reasoning.effort, reasoning.budget_tokens) {
            (Some(effort), _) => Some(effort),
            (None, Some(budget)) => {
                let reason = "the token budget became a level of effort";
                self.warnings.push(Warning::emulated("reasoning budget", reason));
                Some(openai::effort_of(budget))
            }
            (None, None) => {
                if reasoning.adaptive {
                    self.warnings.push(Warning::emulated("reasoning", crate::write::OWN_DEFAULT));
                }
                None
            }
        };
        let is_visible = reasoning.visibility == Visibility::Shown;
        if effort.is_none() && !is_visible {
            return;
        }
        self.write("reasoning", |out| {
            let mut object = Object::open(out);
            if let Some(effort) = effort {
                object.text("effort", effort.name());
            }
            if is_visible {
                object.text("summary", "auto");
            }
            object.close();
        });
    }

    fn extras(&mut self, chat: &ChatRequest) {
        for extra in &chat.extras {
            let is_known = match extra.origin {
                Dialect::Responses => !extra.name.contains(['.', '[']),
                Dialect::OpenAi => extra.name == "metadata" || SHARED.contains(&extra.name.as_str()),
                _ => false,
            };
            let is_placed = match extra.origin {
                Dialect::OpenAi => extra.name == "verbosity",
                Dialect::Responses => extra.name == INCLUDE,
                _ => false,
            };
            if is_placed {
                continue;
            }
            if extra.origin == Dialect::OpenAi && extra.name == "store" {
                self.dropped("store", "nothing is kept at the target");
            } else if extra.origin == Dialect::OpenAi && extra.name == "top_logprobs" {
                // Here it would ask for them by itself.
                self.dropped("top_logprobs", "`logprobs`, to which it belongs, is not asked for");
            } else if !is_known {
                self.dropped(extra.name.clone(), UNKNOWN);
            } else if self.profile.refuses(&extra.name) {
                self.dropped(extra.name.clone(), REFUSED);
            } else {
                self.body.raw(&extra.name, extra.value.text());
            }
        }
    }

    /// Sealed reasoning is asked for, because nothing is kept at the target that could stand for it.
    fn include(&mut self, chat: &ChatRequest) {
        let is_given = |extra: &&Extra| extra.origin == Dialect::Responses && extra.name == INCLUDE;
        let given = chat.extras.iter().find(is_given);
        if self.profile.refuses(INCLUDE) {
            if given.is_some() {
                self.dropped(INCLUDE, REFUSED);
            }
            return;
        }
        let given: Vec<String> = given.and_then(|given| given.value.read().ok()).unwrap_or_default();
        let mut names: Vec<&str> = given.iter().map(String::as_str).collect();
        if self.profile.reasoning != ReasoningStyle::None {
            names.push("reasoning.encrypted_content");
        }
        if chat.logprobs.is_some() {
            names.push("message.output_text.logprobs");
        }
        if !names.is_empty() {
            array(self.body.key(INCLUDE), names, string);
        }
    }
}

fn write_choice(out: &mut Vec<u8>, choice: &ToolChoice, chat: &ChatRequest) {
    match choice {
        ToolChoice::Auto => string(out, "auto"),
        ToolChoice::None => string(out, "none"),
        ToolChoice::Required => string(out, "required"),
        ToolChoice::Named(name) => write_name(out, name, chat),
        ToolChoice::Allowed { names, required } => {
            let mut object = Object::open(out);
            object.text("type", "allowed_tools");
            object.text("mode", if *required { "required" } else { "auto" });
            array(object.key("tools"), names, |out, name| write_name(out, name, chat));
            object.close();
        }
    }
}

/// Functions are named by name, tools of the provider by their type.
fn write_name(out: &mut Vec<u8>, name: &str, chat: &ChatRequest) {
    let is_built_in =
        chat.tools.iter().any(|tool| matches!(tool, Tool::BuiltIn { kind, .. } if kind == name));
    let mut object = Object::open(out);
    if is_built_in {
        object.text("type", name);
    } else {
        object.text("type", "function");
        object.text("name", &fit(name, NameRule::STRICT_64));
    }
    object.close();
}

fn write_tool(out: &mut Vec<u8>, tool: &Tool) {
    match tool {
        Tool::BuiltIn { json, .. } => out.extend_from_slice(json.text().as_bytes()),
        Tool::Function(function) => {
            let mut tool = Object::open(out);
            tool.text("type", "function");
            tool.text("name", &fit(&function.name, NameRule::STRICT_64));
            if let Some(description) = &function.description {
                tool.text("description", description);
            }
            match &function.parameters {
                Some(parameters) => tool.raw("parameters", parameters.text()),
                None => tool.raw("parameters", "null"),
            }
            // Here functions are strict unless they say otherwise; in the other dialects it is the other way round.
            tool.boolean("strict", function.strict.unwrap_or(false));
            tool.close();
        }
    }
}

pub(super) fn unsupported(feature: &str, reason: &str) -> EncodeError {
    EncodeError::Unsupported { feature: feature.to_owned(), reason: reason.to_owned() }
}
