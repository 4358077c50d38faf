//! Canonical chat requests written for a target that speaks this dialect.
//!
//! Owns the parameters; messages are next door. Must not know providers: the profile says what a target refuses, renames or
//! spells otherwise. What cannot pass is reported; what would change the meaning if it were left out is an error.

use super::leftovers::is_nested;
use super::{embeddings, message_encode};
use crate::codec::{EncodeError, Encoded, OutputLimitName, Profile, ReasoningStyle};
use crate::names::{NameRule, fit};
use crate::rerank;
use crate::write::{NO_TOOLS, Object, array, float, string};
use bytes::Bytes;
use std::borrow::Cow;
use trunkline_model::capability::Support;
use trunkline_model::dialect::{Delivery, Dialect};
use trunkline_model::request::{
    ChatRequest, Effort, Extra, FunctionTool, OutputFormat, Reasoning, Request, Tool, ToolChoice,
};
use trunkline_model::warning::Warning;

/// Why a refused parameter was left out.
pub(super) const REFUSED: &str = "the target refuses it";
/// Why a parameter that is sent counts as left out.
pub(super) const IGNORED: &str = "the target takes it and does nothing with it";
/// Why a parameter of sampling is left out.
pub(super) const NO_SAMPLING: &str = "the model does not take sampling parameters";

/// Why the older name of the output limit was.
pub(super) const NEWER_LIMIT: &str = "`max_completion_tokens`, its newer name, says something else";

/// What the client is told.
#[derive(Default)]
pub(super) struct Warnings {
    pub(super) list: Vec<Warning>,
}

impl Warnings {
    /// Notes a feature left out.
    pub(super) fn dropped(&mut self, feature: impl Into<Cow<'static, str>>, reason: &'static str) {
        self.list.push(Warning::dropped(feature, reason));
    }

    /// Notes a feature reached with other means, once.
    pub(super) fn emulated(&mut self, feature: impl Into<Cow<'static, str>>, reason: &'static str) {
        self.list.push(Warning::emulated(feature, reason));
    }
}

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
        Request::Embeddings(embeddings) => embeddings::encode(embeddings, profile),
        Request::Rerank(request) => rerank::encode(rerank::Form::Compatible, request, profile),
    }
}

fn encode_chat(chat: &ChatRequest, profile: &Profile, delivery: Delivery) -> Result<Encoded, EncodeError> {
    let mut out = Vec::with_capacity(crate::pieces::room(chat));
    let mut warnings = Warnings::default();
    let mut body = Object::open(&mut out);
    body.text("model", &profile.model);
    message_encode::write(body.key("messages"), &chat.messages, profile, &mut warnings)?;
    let mut parameters = Parameters { body, profile, warnings };
    parameters.tools(chat)?;
    parameters.limits(chat)?;
    parameters.sampling(chat);
    parameters.output(chat)?;
    if let Some(reasoning) = &chat.reasoning {
        parameters.reasoning(reasoning);
    }
    if let Some(user) = &chat.user {
        parameters.write("user", |out| string(out, user));
    }
    if delivery.is_stream() {
        parameters.body.boolean("stream", true);
        if profile.stream_usage {
            parameters.body.raw("stream_options", r#"{"include_usage":true}"#);
        }
    }
    let Parameters { mut body, mut warnings, .. } = parameters;
    write_extras(&mut body, &chat.extras, profile, &mut warnings);
    body.close();
    Ok(Encoded::new(Bytes::from(out), warnings.list))
}

/// The name a target has for a parameter.
fn renamed<'p>(profile: &'p Profile, name: &'p str) -> &'p str {
    profile.renamed.iter().find(|(ours, _)| ours == name).map_or(name, |(_, theirs)| theirs)
}

/// Writes back what only this dialect has; reports what only another has.
pub(super) fn write_extras(
    body: &mut Object<'_, Vec<u8>>,
    extras: &[Extra],
    profile: &Profile,
    warnings: &mut Warnings,
) {
    for extra in extras {
        if extra.origin != Dialect::OpenAi {
            warnings.dropped(extra.name.clone(), "the target's dialect has nothing like it");
        } else if is_nested(extra) {
            warnings
                .dropped(extra.name.clone(), "it is not known here, and the request had to be written anew");
        } else if extra.name == "max_tokens" {
            warnings.dropped("max_tokens", NEWER_LIMIT);
        } else if profile.refuses(&extra.name) {
            warnings.dropped(extra.name.clone(), REFUSED);
        } else {
            if profile.ignores(&extra.name) {
                warnings.dropped(extra.name.clone(), IGNORED);
            }
            body.raw(renamed(profile, &extra.name), extra.value.text());
        }
    }
}

struct Parameters<'o, 'p> {
    body: Object<'o, Vec<u8>>,
    profile: &'p Profile,
    warnings: Warnings,
}

impl Parameters<'_, '_> {
    /// Writes a parameter that may be left out.
    fn write(&mut self, name: &'static str, value: impl FnOnce(&mut Vec<u8>)) {
        if self.profile.refuses(name) {
            self.warnings.dropped(name, REFUSED);
        } else {
            self.note_ignored(name);
            value(self.body.key(renamed(self.profile, name)));
        }
    }

    /// What is taken and has no effect is sent all the same: the target's documentation may be behind.
    fn note_ignored(&mut self, name: &'static str) {
        if self.profile.ignores(name) {
            self.warnings.dropped(name, IGNORED);
        }
    }

    /// Writes a parameter without which the answer would be another one.
    fn write_needed(
        &mut self,
        name: &'static str,
        value: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), EncodeError> {
        if self.profile.refuses(name) {
            let reason = "the target refuses it; leave it out or choose another model".to_owned();
            return Err(EncodeError::Unsupported { feature: name.to_owned(), reason });
        }
        self.note_ignored(name);
        value(self.body.key(renamed(self.profile, name)));
        Ok(())
    }

    fn tools(&mut self, chat: &ChatRequest) -> Result<(), EncodeError> {
        if chat.tools.is_empty() {
            crate::write::said_of_tools(chat).for_each(|name| self.warnings.dropped(name, NO_TOOLS));
            return Ok(());
        }
        let allowed = match &chat.tool_choice {
            Some(ToolChoice::Allowed { names, .. }) => {
                // The dialect's own list of allowed tools is known to few targets; offering only these means the same.
                self.warnings.emulated("tool_choice", "only the allowed tools are offered");
                Some(names)
            }
            _ => None,
        };
        let is_offered = |tool: &&Tool| match (allowed, tool) {
            (Some(names), Tool::Function(function)) => names.contains(&function.name),
            (Some(names), Tool::BuiltIn { kind, .. }) => names.contains(kind),
            (None, _) => true,
        };
        for (index, tool) in chat.tools.iter().enumerate() {
            if let Tool::BuiltIn { origin, kind, .. } = tool
                && *origin != Dialect::OpenAi
            {
                return Err(EncodeError::Unsupported {
                    feature: format!("tools[{index}] ({kind})"),
                    reason: format!("it is a tool that only {origin} providers run"),
                });
            }
        }
        if chat.tools.iter().filter(is_offered).count() == 0 {
            if chat.parallel_tool_calls.is_some() {
                self.warnings.dropped("parallel_tool_calls", NO_TOOLS);
            }
            return Ok(());
        }
        if chat.tools.iter().any(|tool| matches!(tool, Tool::Function(FunctionTool { cache: Some(_), .. }))) {
            self.warnings.dropped("tools[].cache_control", message_encode::NO_CACHE_MARKS);
        }
        self.write_needed("tools", |out| array(out, chat.tools.iter().filter(is_offered), write_tool))?;
        let word = match &chat.tool_choice {
            Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => Some("\"auto\""),
            Some(ToolChoice::None) => Some("\"none\""),
            Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => Some("\"required\""),
            Some(ToolChoice::Named(name)) => {
                let name = fit(name, NameRule::STRICT_64);
                self.write_needed("tool_choice", |out| write_named_choice(out, &name))?;
                None
            }
            None => None,
        };
        if let Some(word) = word {
            self.write("tool_choice", |out| out.extend_from_slice(word.as_bytes()));
        }
        if let Some(parallel) = chat.parallel_tool_calls {
            let word: &[u8] = if parallel { b"true" } else { b"false" };
            self.write("parallel_tool_calls", |out| out.extend_from_slice(word));
        }
        Ok(())
    }

    fn limits(&mut self, chat: &ChatRequest) -> Result<(), EncodeError> {
        if let Some(limit) = chat.max_output_tokens {
            let name = limit_name(self.profile);
            self.write(name, |out| crate::write::whole(out, limit));
        }
        if let Some(most) = self.profile.most_stops
            && chat.stop.len() > most as usize
        {
            let reason = format!("the target takes at most {most} stop texts");
            return Err(EncodeError::Unsupported { feature: "stop".to_owned(), reason });
        }
        if !chat.stop.is_empty() {
            self.write_needed("stop", |out| array(out, &chat.stop, string))?;
        }
        match chat.choices {
            None => {}
            Some(1) if self.profile.refuses("n") => {}
            Some(choices) => self.write_needed("n", |out| crate::write::whole(out, choices))?,
        }
        if let Some(alternatives) = chat.logprobs {
            self.write_needed("logprobs", |out| out.extend_from_slice(b"true"))?;
            if alternatives > 0 {
                self.write("top_logprobs", |out| crate::write::whole(out, alternatives));
            }
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
                Some(_) => self.warnings.dropped(name, NO_SAMPLING),
            }
        }
        match sampling.top_k {
            None => {}
            Some(count) if takes_sampling => self.write("top_k", |out| crate::write::whole(out, count)),
            Some(_) => self.warnings.dropped("top_k", NO_SAMPLING),
        }
        let penalties = [
            ("frequency_penalty", sampling.frequency_penalty),
            ("presence_penalty", sampling.presence_penalty),
        ];
        for (name, value) in penalties {
            match value {
                None => {}
                Some(value) if takes_sampling => self.write(name, |out| float(out, value)),
                Some(0.0) => {}
                Some(_) => self.warnings.dropped(name, NO_SAMPLING),
            }
        }
        if let Some(seed) = sampling.seed {
            self.write("seed", |out| crate::write::whole(out, seed));
        }
    }

    fn output(&mut self, chat: &ChatRequest) -> Result<(), EncodeError> {
        match &chat.output {
            OutputFormat::Text => Ok(()),
            OutputFormat::JsonObject => self
                .write_needed("response_format", |out| out.extend_from_slice(br#"{"type":"json_object"}"#)),
            OutputFormat::JsonSchema { .. } if self.profile.json_schema == Support::No => {
                Err(EncodeError::Unsupported {
                    feature: "response_format".to_owned(),
                    reason: "the target cannot follow a JSON schema; choose another model".to_owned(),
                })
            }
            OutputFormat::JsonSchema { name, description, schema, strict } => {
                self.write_needed("response_format", |out| {
                    let mut format = Object::open(out);
                    format.text("type", "json_schema");
                    let mut inner = Object::open(format.key("json_schema"));
                    // The dialect demands a name.
                    inner.text("name", &fit(name.as_deref().unwrap_or("answer"), NameRule::STRICT_64));
                    if let Some(description) = description {
                        inner.text("description", description);
                    }
                    inner.raw("schema", schema.text());
                    if let Some(strict) = strict {
                        inner.boolean("strict", *strict);
                    }
                    inner.close();
                    format.close();
                })
            }
        }
    }

    fn reasoning(&mut self, reasoning: &Reasoning) {
        const NO_REASONING: &str = "the model cannot reason";
        const BY_BUDGET: &str = "the token budget became a level of effort";
        if self.profile.reasoning != ReasoningStyle::None
            && let Some(how) = crate::write::without_a_word_for(reasoning)
        {
            self.warnings.emulated("reasoning visibility", how);
        }
        match self.profile.reasoning {
            ReasoningStyle::None => {
                if reasoning.effort != Some(Effort::None) && !reasoning.is_only_hidden() {
                    self.warnings.dropped("reasoning", NO_REASONING);
                }
            }
            ReasoningStyle::Budget => {
                let is_off = reasoning.effort == Some(Effort::None);
                self.write("thinking", |out| {
                    let mut thinking = Object::open(out);
                    thinking.text("type", if is_off { "disabled" } else { "enabled" });
                    if let Some(budget) = reasoning.budget_tokens.or(reasoning.effort.and_then(budget_of))
                        && !is_off
                    {
                        thinking.whole("budget_tokens", budget);
                    }
                    thinking.close();
                });
            }
            ReasoningStyle::Unknown
            | ReasoningStyle::Effort
            | ReasoningStyle::Adaptive
            | ReasoningStyle::Level => {
                let effort = match (reasoning.effort, reasoning.budget_tokens) {
                    (Some(effort), _) => effort,
                    (None, Some(budget)) => {
                        self.warnings.emulated("reasoning budget", BY_BUDGET);
                        effort_of(budget)
                    }
                    (None, None) => {
                        if reasoning.adaptive {
                            self.warnings.emulated("reasoning", crate::write::OWN_DEFAULT);
                        }
                        return;
                    }
                };
                self.write("reasoning_effort", |out| string(out, effort.name()));
            }
        }
    }
}

/// How the target spells the output limit.
pub(super) const fn limit_name(profile: &Profile) -> &'static str {
    match profile.output_limit {
        OutputLimitName::MaxTokens => "max_tokens",
        OutputLimitName::MaxCompletionTokens => "max_completion_tokens",
    }
}

/// Vendors publish no table; these are the budgets that their SDKs' and gateways' users pair with the levels.
pub(crate) const fn effort_of(budget: u64) -> Effort {
    match budget {
        0 => Effort::None,
        1..=1_024 => Effort::Minimal,
        1_025..=4_096 => Effort::Low,
        4_097..=16_384 => Effort::Medium,
        16_385..=32_768 => Effort::High,
        _ => Effort::ExtraHigh,
    }
}

const fn budget_of(effort: Effort) -> Option<u64> {
    match effort {
        Effort::None => None,
        Effort::Minimal => Some(1_024),
        Effort::Low => Some(4_096),
        Effort::Medium => Some(16_384),
        Effort::High => Some(32_768),
        Effort::ExtraHigh | Effort::Max => Some(65_536),
    }
}

fn write_named_choice(out: &mut Vec<u8>, name: &str) {
    let mut choice = Object::open(out);
    choice.text("type", "function");
    let mut function = Object::open(choice.key("function"));
    function.text("name", name);
    function.close();
    choice.close();
}

fn write_tool(out: &mut Vec<u8>, tool: &Tool) {
    match tool {
        Tool::BuiltIn { json, .. } => out.extend_from_slice(json.text().as_bytes()),
        Tool::Function(function) => {
            let mut tool = Object::open(out);
            tool.text("type", "function");
            let mut declaration = Object::open(tool.key("function"));
            declaration.text("name", &fit(&function.name, NameRule::STRICT_64));
            if let Some(description) = &function.description {
                declaration.text("description", description);
            }
            if let Some(parameters) = &function.parameters {
                declaration.raw("parameters", parameters.text());
            }
            if let Some(strict) = function.strict {
                declaration.boolean("strict", strict);
            }
            declaration.close();
            tool.close();
        }
    }
}
