//! Canonical requests into Anthropic messages and count_tokens bodies.
//!
//! Owns the top level of the body and what is reported about it. Turns and blocks are `turns`'s, thinking is `reasoning`'s.
//! Must not know which model needs what: the profile says. A body is written once, in the order of the documentation, with
//! `max_tokens` always present because the dialect requires it.

use super::reasoning::{self, Thinking};
use super::turns;
use super::{ANSWER_TOOL, schema};
use crate::codec::{EncodeError, Encoded, Profile};
use crate::conversation::{CacheMarks, check_end};
use crate::json_text::JsonText;
use crate::write::{NO_CALLS, NO_TOOLS, SCHEMA_DESCRIPTION, said_of_tools};
use bytes::BytesMut;
use std::borrow::Cow;
use trunkline_model::capability::Support;
use trunkline_model::content::CacheMark;
use trunkline_model::dialect::{Delivery, Dialect};
use trunkline_model::json::Json;
use trunkline_model::request::{
    ChatRequest, Extra, FunctionTool, OutputFormat, Request, Sampling, Tool, ToolChoice,
};
use trunkline_model::warning::Warning;

/// The output limit where neither the client nor the catalogue names one: what every Claude model can generate.
const DEFAULT_MAX_TOKENS: u64 = 4_096;
/// What chat completions call the end user now; `user` was its name before.
const SAFETY_IDENTIFIER: &str = "safety_identifier";

/// Writes a request to the messages endpoint.
///
/// # Errors
/// What the dialect cannot express, or refuses in this combination.
pub fn encode_request(
    request: &Request,
    profile: &Profile,
    delivery: Delivery,
) -> Result<Encoded, EncodeError> {
    let chat = chat(request)?;
    let mut draft = Draft::new(chat, profile)?;
    check_end(&chat.messages, profile.prefill, draft.thinking.is_on())?;
    let mut out = BytesMut::with_capacity(crate::pieces::room(chat));
    out.open_object();
    if profile.model_in_body {
        out.field("model", &profile.model);
    }
    fixed(&mut out, profile);
    out.field_unsigned("max_tokens", draft.max_tokens);
    draft.conversation(&mut out)?;
    draft.parameters(&mut out);
    if delivery.is_stream() {
        out.key("stream");
        out.boolean(true);
    }
    out.close_object();
    Ok(Encoded::new(out.freeze(), draft.warnings))
}

/// Writes a request to the `count_tokens` endpoint, which takes the prompt and refuses everything else.
///
/// # Errors
/// As [`encode_request`].
pub fn encode_count_request(request: &Request, profile: &Profile) -> Result<Encoded, EncodeError> {
    let chat = chat(request)?;
    let mut draft = Draft::new(chat, profile)?;
    let mut out = BytesMut::with_capacity(crate::pieces::room(chat));
    out.open_object();
    out.field("model", &profile.model);
    fixed(&mut out, profile);
    draft.conversation(&mut out)?;
    draft.thinking.write(&mut out);
    out.close_object();
    Ok(Encoded::new(out.freeze(), draft.warnings))
}

fn fixed(out: &mut BytesMut, profile: &Profile) {
    for (name, value) in &profile.fixed {
        out.field(name, value);
    }
}

fn chat(request: &Request) -> Result<&ChatRequest, EncodeError> {
    match request {
        Request::Chat(chat) => Ok(chat),
        Request::Rerank(_) => Err(EncodeError::Unsupported {
            feature: "rerank".to_owned(),
            reason: "the dialect orders no documents".to_owned(),
        }),
        Request::Embeddings(_) => Err(EncodeError::Unsupported {
            feature: "embeddings".to_owned(),
            reason: "Anthropic has no embeddings endpoint".to_owned(),
        }),
    }
}

/// How the demanded form of the answer is reached.
enum Form {
    Free,
    Native(Json),
    Instruction,
    Tool { schema: Json, description: Option<String> },
}

/// Everything decided before the first byte is written.
struct Draft<'r> {
    request: &'r ChatRequest,
    profile: &'r Profile,
    max_tokens: u64,
    thinking: Thinking,
    form: Form,
    warnings: Vec<Warning>,
}

impl<'r> Draft<'r> {
    fn new(request: &'r ChatRequest, profile: &'r Profile) -> Result<Self, EncodeError> {
        if request.choices.is_some_and(|choices| choices > 1) {
            return Err(EncodeError::Unsupported {
                feature: "n".to_owned(),
                reason: "Anthropic gives one answer per request: send the request several times".to_owned(),
            });
        }
        let mut warnings = Vec::new();
        let form = form(request, profile, &mut warnings)?;
        let mut max_tokens = max_tokens(request, profile, &mut warnings);
        let mut thinking = reasoning::plan(request, profile, &mut max_tokens, &mut warnings);
        if thinking.is_on() {
            if matches!(form, Form::Tool { .. }) {
                warnings.push(Warning::dropped(
                    "reasoning",
                    "the JSON schema is reached with a forced tool, which Anthropic refuses while thinking",
                ));
                thinking = Thinking::default();
            } else if forces_a_tool(request) {
                return Err(EncodeError::Invalid {
                    path: "tool_choice".to_owned(),
                    reason:
                        "Anthropic does not force a tool while it thinks: use `auto`, or turn reasoning off"
                            .to_owned(),
                });
            }
        }
        Ok(Self { request, profile, max_tokens, thinking, form, warnings })
    }

    fn conversation(&mut self, out: &mut BytesMut) -> Result<(), EncodeError> {
        let instruction = matches!(self.form, Form::Instruction).then_some(schema::JSON_INSTRUCTION);
        // The API takes at most four cache marks; those on tools come first in its order.
        let mut marks = CacheMarks::new(turns::TOO_MANY_MARKS);
        let mut tools = BytesMut::new();
        self.tools(&mut tools, &mut marks)?;
        turns::write(self.request, self.profile, instruction, &mut marks, out, &mut self.warnings)?;
        out.extend_from_slice(&tools);
        Ok(())
    }

    /// Writes `tools` and `tool_choice`, each with its comma before it.
    fn tools(&mut self, out: &mut BytesMut, marks: &mut CacheMarks) -> Result<(), EncodeError> {
        let allowed = match &self.request.tool_choice {
            Some(ToolChoice::Allowed { names, .. }) if !self.request.tools.is_empty() => {
                self.warnings.push(Warning::emulated("tool_choice", "only the allowed tools are sent"));
                Some(names)
            }
            _ => None,
        };
        let mut count = 0;
        let mut written = BytesMut::new();
        for (index, tool) in self.request.tools.iter().enumerate() {
            match tool {
                Tool::Function(function) => {
                    if allowed.is_some_and(|names| !names.contains(&function.name)) {
                        continue;
                    }
                    write_function(function, marks, &mut written, &mut self.warnings, index);
                }
                Tool::BuiltIn { origin: Dialect::Anthropic, json, .. } => written.raw(json.text()),
                Tool::BuiltIn { origin, kind, .. } => {
                    return Err(EncodeError::Unsupported {
                        feature: format!("tools[{index}]"),
                        reason: format!("the built-in tool `{kind}` is run by {origin} providers only"),
                    });
                }
            }
            count += 1;
        }
        if let Form::Tool { schema, description } = &self.form {
            write_answer_tool(schema, description.as_deref(), &mut written);
        }
        if !written.is_empty() {
            out.extend_from_slice(b",\"tools\":[");
            out.extend_from_slice(&written);
            out.extend_from_slice(b"]");
        }
        self.tool_choice(count, out);
        Ok(())
    }

    fn tool_choice(&mut self, tools: usize, out: &mut BytesMut) {
        let one_at_a_time = self.request.parallel_tool_calls == Some(false);
        let answers_with_a_tool = matches!(self.form, Form::Tool { .. });
        if tools == 0 {
            self.without_tools(answers_with_a_tool && one_at_a_time);
        }
        let (kind, name): (&str, Option<Cow<'_, str>>) = if answers_with_a_tool {
            self.answering_choice(tools)
        } else if tools == 0 {
            return;
        } else {
            match &self.request.tool_choice {
                None if one_at_a_time => ("auto", None),
                None => return,
                Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => ("auto", None),
                Some(ToolChoice::None) => ("none", None),
                Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => ("any", None),
                Some(ToolChoice::Named(name)) => ("tool", Some(turns::tool_name(name))),
            }
        };
        if one_at_a_time && kind == "none" {
            self.warnings.push(Warning::dropped("parallel_tool_calls", NO_CALLS));
        }
        out.extend_from_slice(b",\"tool_choice\":");
        out.open_object();
        out.field("type", kind);
        if let Some(name) = name {
            out.field("name", &name);
        }
        if one_at_a_time && kind != "none" {
            out.key("disable_parallel_tool_use");
            out.boolean(true);
        }
        out.close_object();
    }

    /// Tells what is said of the use of tools where none is offered. The answer's own tool is called one at a time, if that is
    /// asked for.
    fn without_tools(&mut self, is_serial: bool) {
        // What is made of a list of allowed tools is told where they are chosen.
        let is_listed = !self.request.tools.is_empty()
            && matches!(self.request.tool_choice, Some(ToolChoice::Allowed { .. }));
        let is_told =
            |name: &&str| (*name == "tool_choice" && is_listed) || (*name != "tool_choice" && is_serial);
        for name in said_of_tools(self.request).filter(|name| !is_told(name)) {
            self.warnings.push(Warning::dropped(name, NO_TOOLS));
        }
    }

    /// The choice where the answer is a call of its own tool.
    fn answering_choice(&mut self, tools: usize) -> (&'static str, Option<Cow<'r, str>>) {
        let request = self.request;
        match &request.tool_choice {
            _ if tools == 0 => ("tool", Some(Cow::Borrowed(ANSWER_TOOL))),
            Some(ToolChoice::None) => ("tool", Some(Cow::Borrowed(ANSWER_TOOL))),
            Some(ToolChoice::Named(name)) => ("tool", Some(turns::tool_name(name))),
            Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => {
                self.warnings.push(Warning::emulated("tool_choice", schema::MAY_ANSWER));
                ("any", None)
            }
            Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) | None => ("any", None),
        }
    }

    fn parameters(&mut self, out: &mut BytesMut) {
        self.thinking.write(out);
        self.output_config(out);
        self.stop(out);
        self.sampling(out);
        self.user(out);
        self.dropped();
        for extra in self.request.extras.iter().filter(|extra| !names_the_user(extra, self.request)) {
            // A name with a path in it is a leftover from inside another value; there is no place to put it back.
            let nested = extra.name.contains(['.', '[']);
            if extra.origin == Dialect::Anthropic && !nested {
                if !self.profile.refuses(&extra.name) {
                    out.field_raw(&extra.name, extra.value.text());
                    continue;
                }
                self.warnings.push(Warning::dropped(extra.name.clone(), "the target refuses it"));
            } else {
                self.warnings.push(Warning::dropped(extra.name.clone(), "Anthropic has nothing like it"));
            }
        }
    }

    fn user(&mut self, out: &mut BytesMut) {
        let request = self.request;
        let identifier = request.extras.iter().find(|extra| names_the_user(extra, request));
        let name = if identifier.is_some() { SAFETY_IDENTIFIER } else { "user" };
        if (request.user.is_none() && identifier.is_none()) || !self.accepts("metadata", name) {
            return;
        }
        out.key("metadata");
        out.open_object();
        if let Some(user) = &request.user {
            out.field("user_id", user);
        } else if let Some(identifier) = identifier {
            out.field_raw("user_id", identifier.value.text());
        }
        out.close_object();
    }

    /// Whether the target takes a parameter; a refusal is reported under the client's name.
    fn accepts(&mut self, name: &str, feature: &'static str) -> bool {
        let refused = self.profile.refuses(name);
        if refused {
            self.warnings.push(Warning::dropped(feature, "the target refuses it"));
        }
        !refused
    }

    fn output_config(&mut self, out: &mut BytesMut) {
        let format = if let Form::Native(schema) = &self.form { Some(schema) } else { None };
        let effort = self.thinking.effort();
        if format.is_none() && effort.is_none() {
            return;
        }
        out.key("output_config");
        out.open_object();
        if let Some(effort) = effort {
            out.field("effort", effort);
        }
        if let Some(schema) = format {
            out.key("format");
            out.open_object();
            out.field("type", "json_schema");
            out.field_raw("schema", schema.text());
            out.close_object();
        }
        out.close_object();
    }

    fn stop(&mut self, out: &mut BytesMut) {
        if self.request.stop.is_empty() || !self.accepts("stop_sequences", "stop") {
            return;
        }
        let usable = |text: &&String| !text.trim().is_empty();
        if !self.request.stop.iter().all(|text| usable(&text)) {
            self.warnings.push(Warning::dropped("stop", "Anthropic refuses stop texts made of blanks only"));
        }
        if self.request.stop.iter().any(|text| usable(&text)) {
            out.key("stop_sequences");
            out.open_array();
            for text in self.request.stop.iter().filter(usable) {
                out.string(text);
            }
            out.close_array();
        }
    }

    fn sampling(&mut self, out: &mut BytesMut) {
        let Sampling { temperature, top_p, top_k, .. } = self.request.sampling;
        let refused: Option<&'static str> = if self.profile.sampling == Support::No {
            Some("the model does not take sampling parameters")
        } else if self.thinking.is_on() {
            Some("Anthropic does not take it while thinking is on")
        } else {
            None
        };
        if let Some(value) = temperature {
            let clamped = value.clamp(0.0, 1.0);
            let outside = !(0.0..=1.0).contains(&value);
            if let Some(reason) = refused {
                if outside || clamped < 1.0 {
                    self.warnings.push(Warning::dropped("temperature", reason));
                }
            } else if self.accepts("temperature", "temperature") {
                if outside {
                    self.warnings.push(Warning::emulated("temperature", "limited to the range 0 to 1"));
                }
                out.key("temperature");
                out.float(clamped);
            }
        }
        if let Some(value) = top_p {
            // While thinking, 0.95 to 1 is accepted.
            let passes = refused.is_none() || (self.profile.sampling != Support::No && value >= 0.95);
            if !passes {
                self.warnings.push(Warning::dropped("top_p", refused.unwrap_or_default()));
            } else if self.accepts("top_p", "top_p") {
                out.key("top_p");
                out.float(value);
            }
        }
        if let Some(value) = top_k {
            if let Some(reason) = refused {
                self.warnings.push(Warning::dropped("top_k", reason));
            } else if self.accepts("top_k", "top_k") {
                out.field_unsigned("top_k", value);
            }
        }
    }

    fn dropped(&mut self) {
        let sampling = &self.request.sampling;
        let absent = [
            ("frequency_penalty", sampling.frequency_penalty.is_some_and(|value| value != 0.0)),
            ("presence_penalty", sampling.presence_penalty.is_some_and(|value| value != 0.0)),
            ("seed", sampling.seed.is_some()),
            ("logprobs", self.request.logprobs.is_some()),
        ];
        for (name, given) in absent {
            if given {
                self.warnings.push(Warning::dropped(name, "Anthropic has nothing like it"));
            }
        }
    }
}

/// Whether an extra is OpenAI's newer name for the end user, and the only one given.
fn names_the_user(extra: &Extra, request: &ChatRequest) -> bool {
    request.user.is_none()
        && extra.origin == Dialect::OpenAi
        && extra.name == SAFETY_IDENTIFIER
        && extra.value.text().starts_with('"')
}

const fn forces_a_tool(request: &ChatRequest) -> bool {
    matches!(
        request.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, .. })
    )
}

fn max_tokens(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<Warning>) -> u64 {
    let Some(wanted) = request.max_output_tokens else {
        return profile.max_output_tokens.unwrap_or(DEFAULT_MAX_TOKENS).max(1);
    };
    match profile.max_output_tokens {
        Some(most) if wanted > most && most > 0 => {
            let reason = format!("limited to {most}, the most the model generates");
            warnings.push(Warning::emulated("max_tokens", reason));
            most
        }
        _ => wanted.max(1),
    }
}

fn form(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<Warning>) -> Result<Form, EncodeError> {
    match &request.output {
        OutputFormat::Text => Ok(Form::Free),
        OutputFormat::JsonObject => {
            warnings.push(Warning::emulated("response_format", "asked for in the system instructions"));
            Ok(Form::Instruction)
        }
        OutputFormat::JsonSchema { schema, description, .. } => {
            if !schema.is_object() {
                return Err(EncodeError::Invalid {
                    path: "response_format.json_schema.schema".to_owned(),
                    reason: "expected an object (a JSON Schema)".to_owned(),
                });
            }
            if profile.json_schema != Support::No && !profile.refuses("output_config") {
                if description.is_some() {
                    let reason = "Anthropic has nothing like it";
                    warnings.push(Warning::dropped(SCHEMA_DESCRIPTION, reason));
                }
                return Ok(Form::Native(schema::native(schema, "Anthropic", warnings)));
            }
            if !schema::describes_an_object(schema) {
                return Err(EncodeError::Unsupported {
                    feature: "response_format.json_schema".to_owned(),
                    reason:
                        "the model takes no schema, and a forced tool can only emulate one of type object"
                            .to_owned(),
                });
            }
            warnings.push(Warning::emulated("response_format", "reached with a forced tool"));
            Ok(Form::Tool { schema: schema.clone(), description: description.clone() })
        }
    }
}

fn write_function(
    tool: &FunctionTool,
    marks: &mut CacheMarks,
    out: &mut BytesMut,
    warnings: &mut Vec<Warning>,
    index: usize,
) {
    out.open_object();
    let name = turns::tool_name(&tool.name);
    if matches!(name, Cow::Owned(_)) {
        let feature = format!("tools[{index}].name");
        warnings.push(Warning::emulated(feature, "renamed to what Anthropic accepts"));
    }
    out.field("name", &name);
    if let Some(description) = &tool.description {
        out.field("description", description);
    }
    out.key("input_schema");
    match &tool.parameters {
        Some(parameters) => schema::write_input(parameters, out),
        None => out.raw(r#"{"type":"object","properties":{}}"#),
    }
    if let Some(strict) = tool.strict {
        out.key("strict");
        out.boolean(strict);
    }
    write_mark(marks.take(tool.cache, || format!("tools[{index}]"), warnings), out);
    out.close_object();
}

fn write_answer_tool(schema: &Json, description: Option<&str>, out: &mut BytesMut) {
    out.open_object();
    out.field("name", ANSWER_TOOL);
    let default = "Gives the final answer. Call it once, with the whole answer as its arguments.";
    out.field("description", description.unwrap_or(default));
    out.key("input_schema");
    schema::write_input(schema, out);
    out.close_object();
}

/// Writes a cache mark.
pub(super) fn write_mark(mark: Option<CacheMark>, out: &mut BytesMut) {
    let Some(mark) = mark else { return };
    out.key("cache_control");
    out.open_object();
    out.field("type", "ephemeral");
    if mark == CacheMark::Long {
        out.field("ttl", "1h");
    }
    out.close_object();
}
