//! Canonical chat requests written for Mistral.
//!
//! Owns the parameters; messages are next door. Must not send what is not in Mistral's schema: an unknown field is a 422 there.
//! What cannot pass is reported; what would change the meaning if it were left out is an error.

use super::{REFUSED, UNKNOWN, Warnings, message, unsupported};
use crate::codec::{EncodeError, Encoded, Profile, ReasoningStyle};
use crate::names::{NameRule, fit};
use crate::write::{NO_TOOLS, Object, array, float, string};
use bytes::Bytes;
use trunkline_model::capability::Support;
use trunkline_model::dialect::Delivery;
use trunkline_model::request::{
    ChatRequest, Effort, FunctionTool, OutputFormat, Reasoning, Tool, ToolChoice,
};

/// What Mistral knows besides, under its own names; a client of the OpenAI dialect may add them to its body.
const EXTRAS: &[&str] = &[
    "guardrails",
    "metadata",
    "prediction",
    "prompt_cache_key",
    "prompt_mode",
    "random_seed",
    "safe_prompt",
    "service_tier",
];

/// The values of `service_tier`; those of the OpenAI dialect are others.
const TIERS: &[&str] = &["\"auto\"", "\"standard_only\""];

/// The hottest that Mistral samples.
const HOTTEST: f64 = 1.5;

/// Writes a chat request.
///
/// # Errors
/// What Mistral cannot express.
pub(super) fn encode(
    chat: &ChatRequest,
    profile: &Profile,
    delivery: Delivery,
) -> Result<Encoded, EncodeError> {
    let mut out = Vec::with_capacity(crate::pieces::room(chat));
    let mut warnings = Warnings::default();
    let mut body = Object::open(&mut out);
    body.text("model", &profile.model);
    message::write(body.key("messages"), &chat.messages, profile, &mut warnings)?;
    let mut parameters = Parameters { body, profile, warnings };
    parameters.tools(chat)?;
    parameters.limits(chat)?;
    parameters.sampling(chat);
    parameters.output(chat)?;
    if let Some(reasoning) = &chat.reasoning {
        parameters.reasoning(reasoning);
    }
    if chat.user.is_some() {
        parameters.warnings.dropped("user", UNKNOWN);
    }
    if delivery.is_stream() {
        parameters.body.boolean("stream", true);
    }
    parameters.extras(chat);
    let Parameters { body, warnings, .. } = parameters;
    body.close();
    Ok(Encoded::new(Bytes::from(out), warnings.list))
}

struct Parameters<'o, 'p> {
    body: Object<'o, Vec<u8>>,
    profile: &'p Profile,
    warnings: Warnings,
}

impl Parameters<'_, '_> {
    /// Writes a parameter that may be left out: `ours` is its name for the client and in the profile, `theirs` Mistral's.
    fn write(&mut self, ours: &'static str, theirs: &str, value: impl FnOnce(&mut Vec<u8>)) {
        if self.profile.refuses(ours) || self.profile.refuses(theirs) {
            self.warnings.dropped(ours, REFUSED);
        } else {
            value(self.body.key(theirs));
        }
    }

    /// Writes a parameter without which the answer would be another one.
    fn write_needed(
        &mut self,
        name: &'static str,
        value: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), EncodeError> {
        if self.profile.refuses(name) {
            return Err(unsupported(name, "the target refuses it; leave it out or choose another model"));
        }
        value(self.body.key(name));
        Ok(())
    }

    fn tools(&mut self, chat: &ChatRequest) -> Result<(), EncodeError> {
        if chat.tools.is_empty() {
            crate::write::said_of_tools(chat).for_each(|name| self.warnings.dropped(name, NO_TOOLS));
            return Ok(());
        }
        let allowed = match &chat.tool_choice {
            Some(ToolChoice::Allowed { names, .. }) => {
                self.warnings.emulated("tool_choice", "only the allowed tools are offered");
                Some(names)
            }
            _ => None,
        };
        let mut offered: Vec<&FunctionTool> = Vec::with_capacity(chat.tools.len());
        for (index, tool) in chat.tools.iter().enumerate() {
            match tool {
                Tool::Function(function) if allowed.is_none_or(|names| names.contains(&function.name)) => {
                    offered.push(function);
                }
                Tool::Function(_) => {}
                Tool::BuiltIn { origin, kind, .. } => {
                    return Err(unsupported(
                        &format!("tools[{index}] ({kind})"),
                        format!("it is a tool that only {origin} providers run"),
                    ));
                }
            }
        }
        if offered.is_empty() {
            if chat.parallel_tool_calls.is_some() {
                self.warnings.dropped("parallel_tool_calls", NO_TOOLS);
            }
            return Ok(());
        }
        if offered.iter().any(|tool| tool.cache.is_some()) {
            self.warnings.dropped("tools[].cache_control", message::NO_CACHE_MARKS);
        }
        self.write_needed("tools", |out| array(out, offered, write_tool))?;
        let word = match &chat.tool_choice {
            Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => "\"auto\"",
            Some(ToolChoice::None) => "\"none\"",
            Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => "\"any\"",
            Some(ToolChoice::Named(name)) => {
                let name = fit(name, NameRule::STRICT_64);
                self.write_needed("tool_choice", |out| {
                    let mut choice = Object::open(out);
                    choice.text("type", "function");
                    let mut function = Object::open(choice.key("function"));
                    function.text("name", &name);
                    function.close();
                    choice.close();
                })?;
                ""
            }
            None => "",
        };
        if !word.is_empty() {
            self.write("tool_choice", "tool_choice", |out| out.extend_from_slice(word.as_bytes()));
        }
        if let Some(parallel) = chat.parallel_tool_calls {
            let word: &[u8] = if parallel { b"true" } else { b"false" };
            self.write("parallel_tool_calls", "parallel_tool_calls", |out| out.extend_from_slice(word));
        }
        Ok(())
    }

    fn limits(&mut self, chat: &ChatRequest) -> Result<(), EncodeError> {
        if let Some(limit) = chat.max_output_tokens {
            self.write("max_tokens", "max_tokens", |out| crate::write::whole(out, limit));
        }
        if !chat.stop.is_empty() {
            self.write_needed("stop", |out| array(out, &chat.stop, string))?;
        }
        match chat.choices {
            None => {}
            Some(1) if self.profile.refuses("n") => {}
            Some(choices) => self.write_needed("n", |out| crate::write::whole(out, choices))?,
        }
        if chat.logprobs.is_some() {
            return Err(unsupported(
                "logprobs",
                "the target gives none; leave it out or choose another model",
            ));
        }
        Ok(())
    }

    fn sampling(&mut self, chat: &ChatRequest) {
        let sampling = &chat.sampling;
        let takes_sampling = self.profile.sampling.may_work();
        const NO_SAMPLING: &str = "the model does not take sampling parameters";
        match sampling.temperature {
            None => {}
            Some(value) if takes_sampling => {
                if value > HOTTEST {
                    self.warnings.emulated("temperature", "limited to the range 0 to 1.5");
                }
                self.write("temperature", "temperature", |out| float(out, value.min(HOTTEST)));
            }
            Some(1.0) => {}
            Some(_) => self.warnings.dropped("temperature", NO_SAMPLING),
        }
        match sampling.top_p {
            None => {}
            Some(value) if value <= 0.0 => self.warnings.dropped("top_p", "the target takes values above 0"),
            Some(value) if takes_sampling => self.write("top_p", "top_p", |out| float(out, value)),
            Some(1.0) => {}
            Some(_) => self.warnings.dropped("top_p", NO_SAMPLING),
        }
        if sampling.top_k.is_some() {
            self.warnings.dropped("top_k", UNKNOWN);
        }
        let penalties = [
            ("frequency_penalty", sampling.frequency_penalty),
            ("presence_penalty", sampling.presence_penalty),
        ];
        for (name, value) in penalties {
            if let Some(value) = value {
                self.write(name, name, |out| float(out, value));
            }
        }
        if let Some(seed) = sampling.seed {
            if seed < 0 {
                self.warnings.emulated("seed", "the target takes no negative seed: its sign was dropped");
            }
            self.write("seed", "random_seed", |out| crate::write::whole(out, seed.unsigned_abs()));
        }
    }

    fn output(&mut self, chat: &ChatRequest) -> Result<(), EncodeError> {
        match &chat.output {
            OutputFormat::Text => Ok(()),
            OutputFormat::JsonObject => self
                .write_needed("response_format", |out| out.extend_from_slice(br#"{"type":"json_object"}"#)),
            OutputFormat::JsonSchema { .. } if self.profile.json_schema == Support::No => Err(unsupported(
                "response_format",
                "the target cannot follow a JSON schema; choose another model",
            )),
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
        if self.profile.reasoning == ReasoningStyle::None {
            if reasoning.effort != Some(Effort::None) && !reasoning.is_only_hidden() {
                self.warnings.dropped("reasoning", "the model cannot reason");
            }
            return;
        }
        if let Some(how) = crate::write::without_a_word_for(reasoning) {
            self.warnings.emulated("reasoning visibility", how);
        }
        let effort = match (reasoning.effort, reasoning.budget_tokens) {
            (Some(Effort::Max), _) => {
                self.warnings.emulated("reasoning effort", "`xhigh` is the most the target knows");
                Effort::ExtraHigh
            }
            (Some(effort), _) => effort,
            (None, Some(budget)) => {
                self.warnings.emulated("reasoning budget", "the token budget became a level of effort");
                crate::openai::effort_of(budget)
            }
            (None, None) => {
                if reasoning.adaptive {
                    self.warnings.emulated("reasoning", crate::write::OWN_DEFAULT);
                }
                return;
            }
        };
        self.write("reasoning_effort", "reasoning_effort", |out| string(out, effort.name()));
    }

    fn extras(&mut self, chat: &ChatRequest) {
        for extra in &chat.extras {
            if !EXTRAS.contains(&extra.name.as_str()) {
                self.warnings.dropped(extra.name.clone(), UNKNOWN);
            } else if self.profile.refuses(&extra.name) {
                self.warnings.dropped(extra.name.clone(), REFUSED);
            } else if extra.name == "service_tier" && !TIERS.contains(&extra.value.text()) {
                self.warnings.dropped(extra.name.clone(), "Mistral's own are `auto` and `standard_only`");
            } else if extra.name != "random_seed" || chat.sampling.seed.is_none() {
                self.body.raw(&extra.name, extra.value.text());
            }
        }
    }
}

fn write_tool(out: &mut Vec<u8>, function: &FunctionTool) {
    let mut tool = Object::open(out);
    tool.text("type", "function");
    let mut declaration = Object::open(tool.key("function"));
    declaration.text("name", &fit(&function.name, NameRule::STRICT_64));
    if let Some(description) = &function.description {
        declaration.text("description", description);
    }
    // The dialect demands parameters, also of functions without any.
    let parameters = function.parameters.as_ref();
    declaration
        .raw("parameters", parameters.map_or(r#"{"type":"object","properties":{}}"#, |json| json.text()));
    if let Some(strict) = function.strict {
        declaration.boolean("strict", strict);
    }
    declaration.close();
    tool.close();
}
