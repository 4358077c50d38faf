//! Canonical chat requests written for Cohere.
//!
//! Owns the parameters; messages are next door. What cannot pass is reported; what would change the meaning if it were left out
//! is an error.

use super::{REFUSED, UNKNOWN, Warnings, message, unsupported};
use crate::codec::{EncodeError, Encoded, Profile, ReasoningStyle};
use crate::names::{NameRule, fit};
use crate::write::{NO_TOOLS, Object, SCHEMA_DESCRIPTION, array, float, string, whole};
use bytes::Bytes;
use trunkline_model::capability::Support;
use trunkline_model::dialect::Delivery;
use trunkline_model::request::{
    ChatRequest, Effort, FunctionTool, OutputFormat, Reasoning, Tool, ToolChoice,
};

/// What Cohere knows besides, under its own names; a client of the OpenAI dialect may add them to its body.
const EXTRAS: &[&str] =
    &["citation_options", "documents", "k", "p", "priority", "safety_mode", "strict_tools"];

/// The most stop texts.
const STOPS: usize = 5;

/// Writes a chat request.
///
/// # Errors
/// What Cohere cannot express.
pub(super) fn encode(
    chat: &ChatRequest,
    profile: &Profile,
    delivery: Delivery,
) -> Result<Encoded, EncodeError> {
    let mut out = Vec::with_capacity(crate::pieces::room(chat));
    let mut warnings = Warnings::default();
    let mut body = Object::open(&mut out);
    body.boolean("stream", delivery.is_stream());
    body.text("model", &profile.model);
    message::write(body.key("messages"), &chat.messages, profile, &mut warnings)?;
    let mut parameters = Parameters { body, profile, warnings };
    parameters.tools(chat)?;
    parameters.limits(chat)?;
    parameters.sampling(chat);
    parameters.output(chat)?;
    if let Some(reasoning) = &chat.reasoning {
        parameters.reasoning(reasoning, chat.max_output_tokens);
    }
    if chat.user.is_some() {
        parameters.warnings.dropped("user", UNKNOWN);
    }
    for extra in &chat.extras {
        if !EXTRAS.contains(&extra.name.as_str()) {
            parameters.warnings.dropped(extra.name.clone(), UNKNOWN);
        } else if profile.refuses(&extra.name) {
            parameters.warnings.dropped(extra.name.clone(), REFUSED);
        } else {
            parameters.body.raw(&extra.name, extra.value.text());
        }
    }
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
    /// Writes a parameter that may be left out: `ours` is its name for the client and in the profile, `theirs` Cohere's.
    fn write(&mut self, ours: &'static str, theirs: &str, value: impl FnOnce(&mut Vec<u8>)) {
        if self.profile.refuses(ours) || self.profile.refuses(theirs) {
            self.warnings.dropped(ours, REFUSED);
        } else {
            value(self.body.key(theirs));
        }
    }

    fn tools(&mut self, chat: &ChatRequest) -> Result<(), EncodeError> {
        if chat.tools.is_empty() {
            crate::write::said_of_tools(chat).for_each(|name| self.warnings.dropped(name, NO_TOOLS));
            return Ok(());
        }
        let (only, required): (Option<Vec<&str>>, bool) = match &chat.tool_choice {
            Some(ToolChoice::Allowed { names, required }) => {
                (Some(names.iter().map(String::as_str).collect()), *required)
            }
            Some(ToolChoice::Named(name)) => (Some(vec![name]), true),
            Some(ToolChoice::Required) => (None, true),
            Some(ToolChoice::Auto | ToolChoice::None) | None => (None, false),
        };
        let mut offered: Vec<&FunctionTool> = Vec::with_capacity(chat.tools.len());
        for (index, tool) in chat.tools.iter().enumerate() {
            match tool {
                Tool::Function(function) => offered.push(function),
                Tool::BuiltIn { origin, kind, .. } => {
                    let reason = format!("it is a tool that only {origin} providers run");
                    return Err(unsupported(&format!("tools[{index}] ({kind})"), reason));
                }
            }
        }
        if let Some(only) = &only {
            self.warnings.emulated("tool_choice", "only the allowed tools are offered");
            offered.retain(|tool| only.contains(&tool.name.as_str()));
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
        let strict: Vec<bool> = offered.iter().filter_map(|tool| tool.strict).collect();
        let all_strict = strict.len() == offered.len() && strict.iter().all(|strict| *strict);
        if !all_strict && strict.contains(&true) {
            self.warnings.dropped("tools[].strict", "the target follows all schemas exactly or none");
        }
        if self.profile.refuses("tools") {
            return Err(unsupported("tools", "the target refuses it; leave it out or choose another model"));
        }
        array(self.body.key("tools"), offered, write_tool);
        if all_strict && chat.extras.iter().all(|extra| extra.name != "strict_tools") {
            self.write("tools[].strict", "strict_tools", |out| out.extend_from_slice(b"true"));
        }
        if required {
            self.write("tool_choice", "tool_choice", |out| out.extend_from_slice(b"\"REQUIRED\""));
        } else if chat.tool_choice == Some(ToolChoice::None) {
            self.write("tool_choice", "tool_choice", |out| out.extend_from_slice(b"\"NONE\""));
        }
        if chat.parallel_tool_calls == Some(false) {
            self.warnings.dropped("parallel_tool_calls", UNKNOWN);
        }
        Ok(())
    }

    fn limits(&mut self, chat: &ChatRequest) -> Result<(), EncodeError> {
        if let Some(limit) = chat.max_output_tokens {
            self.write("max_tokens", "max_tokens", |out| whole(out, limit));
        }
        if chat.stop.len() > STOPS {
            return Err(unsupported("stop", format!("the target takes at most {STOPS} stop texts")));
        }
        if !chat.stop.is_empty() {
            array(self.body.key("stop_sequences"), &chat.stop, string);
        }
        if chat.choices.is_some_and(|choices| choices > 1) {
            return Err(unsupported("n", "the target gives one answer; ask several times"));
        }
        if chat.logprobs.is_some() {
            let reason = "the target's have another form; leave it out or choose another model";
            return Err(unsupported("logprobs", reason));
        }
        Ok(())
    }

    fn sampling(&mut self, chat: &ChatRequest) {
        const NO_SAMPLING: &str = "the model does not take sampling parameters";
        let sampling = &chat.sampling;
        let takes = self.profile.sampling.may_work();
        let mut ranged =
            |ours: &'static str, theirs, value: Option<f64>, low: f64, high: f64, note: &'static str| {
                let Some(value) = value else { return };
                if !takes && ours.len() > 6 {
                    self.warnings.dropped(ours, NO_SAMPLING);
                    return;
                }
                if !(low..=high).contains(&value) {
                    self.warnings.emulated(ours, note);
                }
                self.write(ours, theirs, |out| float(out, value.clamp(low, high)));
            };
        ranged("temperature", "temperature", sampling.temperature, 0.0, 1.0, "limited to the range 0 to 1");
        ranged("top_p", "p", sampling.top_p, 0.01, 0.99, "limited to the range 0.01 to 0.99");
        let penalty = "limited to the range 0 to 1";
        ranged("frequency_penalty", "frequency_penalty", sampling.frequency_penalty, 0.0, 1.0, penalty);
        ranged("presence_penalty", "presence_penalty", sampling.presence_penalty, 0.0, 1.0, penalty);
        if let Some(count) = sampling.top_k {
            if count > 500 {
                self.warnings.emulated("top_k", "limited to 500");
            }
            self.write("top_k", "k", |out| whole(out, count.min(500)));
        }
        if let Some(seed) = sampling.seed {
            if seed < 0 {
                self.warnings.emulated("seed", "the target takes no negative seed: its sign was dropped");
            }
            self.write("seed", "seed", |out| whole(out, seed.unsigned_abs()));
        }
    }

    fn output(&mut self, chat: &ChatRequest) -> Result<(), EncodeError> {
        if chat.output == OutputFormat::Text {
            return Ok(());
        }
        let feature = "response_format";
        if !chat.tools.is_empty() && chat.tool_choice != Some(ToolChoice::None) {
            return Err(unsupported(feature, "the target answers in JSON only where no tools are offered"));
        }
        match &chat.output {
            OutputFormat::Text => {}
            OutputFormat::JsonObject => {
                self.body.raw(feature, r#"{"type":"json_object"}"#);
            }
            OutputFormat::JsonSchema { .. } if self.profile.json_schema == Support::No => {
                let reason = "the target cannot follow a JSON schema; choose another model";
                return Err(unsupported(feature, reason));
            }
            OutputFormat::JsonSchema { schema, description, .. } => {
                if description.is_some() {
                    self.warnings.dropped(SCHEMA_DESCRIPTION, UNKNOWN);
                }
                let mut format = Object::open(self.body.key(feature));
                format.text("type", "json_object");
                format.raw("json_schema", schema.text());
                format.close();
            }
        }
        Ok(())
    }

    fn reasoning(&mut self, reasoning: &Reasoning, limit: Option<u64>) {
        let is_off = reasoning.effort == Some(Effort::None);
        if self.profile.reasoning == ReasoningStyle::None {
            if !is_off && !reasoning.is_only_hidden() {
                self.warnings.dropped("reasoning", "the model cannot reason");
            }
            return;
        }
        if let Some(how) = crate::write::without_a_word_for(reasoning) {
            self.warnings.emulated("reasoning visibility", how);
        }
        // A wish to hide what the model thinks is none that it should.
        if reasoning.is_only_hidden() {
            return;
        }
        let budget = reasoning.budget_tokens.or_else(|| {
            let budget = budget_of(reasoning.effort?)?;
            self.warnings.emulated("reasoning effort", "the level of effort became a token budget");
            Some(budget)
        });
        // Thoughts count against the limit; something must be left to answer with.
        let budget =
            budget.map(|budget| limit.map_or(budget, |limit| budget.min(limit.saturating_sub(1) / 2 + 1)));
        self.write("reasoning", "thinking", |out| {
            let mut thinking = Object::open(out);
            thinking.text("type", if is_off { "disabled" } else { "enabled" });
            if let Some(budget) = budget.filter(|_| !is_off) {
                thinking.whole("token_budget", budget);
            }
            thinking.close();
        });
    }
}

/// Cohere publishes no levels; these are the budgets that its users' levels become elsewhere.
const fn budget_of(effort: Effort) -> Option<u64> {
    match effort {
        Effort::None => None,
        Effort::Minimal => Some(1_024),
        Effort::Low => Some(4_096),
        Effort::Medium => Some(16_384),
        Effort::High | Effort::ExtraHigh | Effort::Max => Some(32_768),
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
    let none = r#"{"type":"object","properties":{}}"#;
    declaration.raw("parameters", parameters.map_or(none, |json| json.text()));
    declaration.close();
    tool.close();
}
