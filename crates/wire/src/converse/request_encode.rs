//! Canonical requests into Converse and CountTokens bodies.
//!
//! Owns the top level of the body and what is reported about it. Turns, tools and reasoning have their own modules. Must not
//! know which model needs what beyond its family: the profile says. The model itself stands in the path.

use super::family::Family;
use super::reasoning::{self, Plan};
use super::tools::{self, AnswerTool, Choice};
use super::turns;
use crate::anthropic::schema;
use crate::codec::{EncodeError, Encoded, Profile};
use crate::conversation::{CacheMarks, Conversation, check_end};
use crate::json_text::JsonText;
use crate::write::{NO_CALLS, NO_TOOLS};
use bytes::BytesMut;
use trunkline_model::capability::Support;
use trunkline_model::dialect::Dialect;
use trunkline_model::json::Json;
use trunkline_model::request::{ChatRequest, Extra, OutputFormat, Request, ToolChoice};
use trunkline_model::warning::Warning;

/// Writes a Converse request.
///
/// # Errors
/// What the dialect cannot express, or refuses in this combination.
pub(super) fn encode(chat: &ChatRequest, profile: &Profile) -> Result<Encoded, EncodeError> {
    let mut draft = Draft::new(chat, profile)?;
    check_end(&chat.messages, profile.prefill, draft.plan.is_thinking())?;
    let mut out = BytesMut::with_capacity(crate::pieces::room(chat));
    out.open_object();
    let choice = draft.conversation(&mut out)?;
    draft.inference(&mut out);
    draft.additional(choice.as_ref(), &mut out);
    draft.output(&mut out);
    draft.rest(&mut out);
    out.close_object();
    Ok(Encoded::new(out.freeze(), draft.warnings))
}

/// Writes a CountTokens request, which takes the prompt as Converse takes it.
///
/// # Errors
/// As for a Converse request.
pub fn encode_count_request(request: &Request, profile: &Profile) -> Result<Encoded, EncodeError> {
    let Request::Chat(chat) = request else {
        return Err(EncodeError::Unsupported {
            feature: "count_tokens".to_owned(),
            reason: "Bedrock counts conversations only".to_owned(),
        });
    };
    let mut draft = Draft::new(chat, profile)?;
    let mut out = BytesMut::with_capacity(crate::pieces::room(chat));
    out.open_object();
    out.key("input");
    out.open_object();
    out.key("converse");
    out.open_object();
    draft.conversation(&mut out)?;
    out.close_object();
    out.close_object();
    out.close_object();
    Ok(Encoded::new(out.freeze(), draft.warnings))
}

/// How the demanded form of the answer is reached.
enum Form<'r> {
    Free,
    Native { schema: Json, name: Option<&'r str>, description: Option<&'r str> },
    Instruction,
    Tool(AnswerTool<'r>),
}

/// Everything decided before the first byte is written.
struct Draft<'r> {
    request: &'r ChatRequest,
    profile: &'r Profile,
    family: Family,
    max_tokens: Option<u64>,
    plan: Plan,
    form: Form<'r>,
    sends_tools: bool,
    warnings: Vec<Warning>,
}

impl<'r> Draft<'r> {
    fn new(request: &'r ChatRequest, profile: &'r Profile) -> Result<Self, EncodeError> {
        if request.choices.is_some_and(|choices| choices > 1) {
            return Err(EncodeError::Unsupported {
                feature: "n".to_owned(),
                reason: "Bedrock gives one answer per request: send the request several times".to_owned(),
            });
        }
        let mut warnings = Vec::new();
        let family = Family::of(&profile.model);
        let form = form(request, profile, &mut warnings)?;
        let mut max_tokens = max_tokens(request, profile, &mut warnings);
        let mut plan = reasoning::plan(request, profile, family, &mut max_tokens, &mut warnings);
        if plan.is_thinking() {
            if matches!(form, Form::Tool(_)) {
                let reason =
                    "the JSON schema is reached with a forced tool, which Claude refuses while thinking";
                warnings.push(Warning::dropped("reasoning", reason));
                plan = Plan::Unsaid;
            } else if forces_a_tool(request) {
                return Err(EncodeError::Invalid {
                    path: "tool_choice".to_owned(),
                    reason: "Claude does not force a tool while it thinks: use `auto`, or turn reasoning off"
                        .to_owned(),
                });
            }
        }
        Ok(Self { request, profile, family, max_tokens, plan, form, sends_tools: false, warnings })
    }

    /// Writes `system`, `messages` and `toolConfig`.
    fn conversation(&mut self, out: &mut BytesMut) -> Result<Option<Choice>, EncodeError> {
        let conversation = Conversation::arrange(&self.request.messages, turns::MANNER, &mut self.warnings)?;
        let instruction = matches!(self.form, Form::Instruction).then_some(schema::JSON_INSTRUCTION);
        // Cache points on tools come first in the order in which models read.
        let mut marks = CacheMarks::new(turns::TOO_MANY_MARKS);
        let mut config = BytesMut::from(&b"{"[..]);
        let answer = if let Form::Tool(tool) = &self.form { Some(tool) } else { None };
        let choice = tools::write(self.request, answer, &mut marks, &mut config, &mut self.warnings)?;
        turns::write(&conversation, instruction, &mut marks, out, &mut self.warnings)?;
        self.sends_tools = config.len() > 1;
        if self.sends_tools {
            out.extend_from_slice(b",");
            out.extend_from_slice(&config[1..]);
        }
        Ok(choice)
    }

    /// Whether the target takes a parameter; a refusal is reported under the client's name.
    fn accepts(&mut self, name: &str, feature: &'static str) -> bool {
        let refused = self.profile.refuses(name);
        if refused {
            self.warnings.push(Warning::dropped(feature, "the target refuses it"));
        }
        !refused
    }

    fn inference(&mut self, out: &mut BytesMut) {
        let mut config = BytesMut::from(&b"{"[..]);
        if let Some(limit) = self.max_tokens {
            config.field_unsigned("maxTokens", limit);
        }
        self.sampling(&mut config);
        self.stop(&mut config);
        if config.len() > 1 {
            config.close_object();
            out.key("inferenceConfig");
            out.extend_from_slice(&config);
        }
    }

    fn sampling(&mut self, out: &mut BytesMut) {
        let sampling = self.request.sampling.clone();
        if let Some(value) = sampling.temperature {
            let clamped = value.clamp(0.0, 1.0);
            let outside = !(0.0..=1.0).contains(&value);
            if let Some(reason) = self.no_sampling() {
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
        if let Some(value) = sampling.top_p {
            if let Some(reason) = self.no_sampling() {
                self.warnings.push(Warning::dropped("top_p", reason));
            } else if self.accepts("topP", "top_p") {
                out.key("topP");
                out.float(value.clamp(0.0, 1.0));
            }
        }
    }

    /// Why sampling parameters cannot be sent, if they cannot.
    fn no_sampling(&self) -> Option<&'static str> {
        if self.profile.sampling == Support::No {
            Some("the model does not take sampling parameters")
        } else if self.plan.is_thinking() {
            Some("Claude does not take it while it thinks")
        } else {
            None
        }
    }

    fn stop(&mut self, out: &mut BytesMut) {
        if self.request.stop.is_empty() || !self.accepts("stopSequences", "stop") {
            return;
        }
        let usable = |text: &&String| !text.trim().is_empty();
        if !self.request.stop.iter().all(|text| usable(&text)) {
            self.warnings.push(Warning::dropped("stop", "stop texts made of blanks only are refused"));
        }
        if self.request.stop.iter().any(|text| usable(&text)) {
            out.key("stopSequences");
            out.open_array();
            for text in self.request.stop.iter().filter(usable) {
                out.string(text);
            }
            out.close_array();
        }
    }

    /// Writes `additionalModelRequestFields`, and asks for the stop text that Claude names there.
    fn additional(&mut self, choice: Option<&Choice>, out: &mut BytesMut) {
        let mut fields = BytesMut::from(&b"{"[..]);
        self.plan.write(&mut fields);
        self.top_k(&mut fields);
        if self.request.tools.is_empty() {
            if self.request.parallel_tool_calls.is_some() {
                self.warnings.push(Warning::dropped("parallel_tool_calls", NO_TOOLS));
            }
        } else if self.request.parallel_tool_calls == Some(false) {
            if !self.sends_tools {
                self.warnings.push(Warning::dropped("parallel_tool_calls", NO_CALLS));
            } else if self.family == Family::Claude {
                choice.unwrap_or(&Choice::Auto).write_serial(&mut fields);
            } else {
                let reason = "the model has nothing like it: it may call several tools at once";
                self.warnings.push(Warning::dropped("parallel_tool_calls", reason));
            }
        }
        if fields.len() > 1 {
            fields.close_object();
            out.key("additionalModelRequestFields");
            out.extend_from_slice(&fields);
        }
        if self.family == Family::Claude && !self.request.stop.is_empty() {
            out.field_raw("additionalModelResponseFieldPaths", r#"["/stop_sequence"]"#);
        }
    }

    fn top_k(&mut self, fields: &mut BytesMut) {
        let Some(value) = self.request.sampling.top_k else { return };
        if let Some(reason) = self.no_sampling() {
            self.warnings.push(Warning::dropped("top_k", reason));
            return;
        }
        if !self.accepts("top_k", "top_k") {
            return;
        }
        match self.family {
            Family::Claude => fields.field_unsigned("top_k", value),
            Family::Nova => {
                fields.key("inferenceConfig");
                fields.open_object();
                fields.field_unsigned("topK", value);
                fields.close_object();
            }
            _ => {
                self.warnings.push(Warning::dropped("top_k", "Bedrock has no such parameter for this model"))
            }
        }
    }

    fn output(&mut self, out: &mut BytesMut) {
        let effort = self.plan.effort();
        let native = if let Form::Native { schema, name, description } = &self.form {
            Some((schema, name, description))
        } else {
            None
        };
        if native.is_none() && effort.is_none() {
            return;
        }
        out.key("outputConfig");
        out.open_object();
        if let Some((schema, name, description)) = native {
            out.key("textFormat");
            out.open_object();
            out.field("type", "json_schema");
            out.key("structure");
            out.open_object();
            out.key("jsonSchema");
            out.open_object();
            // A text that holds JSON, not JSON.
            out.field("schema", schema.text());
            if let Some(name) = name {
                out.field("name", name);
            }
            if let Some(description) = description {
                out.field("description", description);
            }
            out.close_object();
            out.close_object();
            out.close_object();
        }
        if let Some(effort) = effort {
            out.field("effort", effort);
        }
        out.close_object();
    }

    /// What has another place, or none.
    fn rest(&mut self, out: &mut BytesMut) {
        let sampling = &self.request.sampling;
        let absent = [
            ("frequency_penalty", sampling.frequency_penalty.is_some_and(|value| value != 0.0)),
            ("presence_penalty", sampling.presence_penalty.is_some_and(|value| value != 0.0)),
            ("seed", sampling.seed.is_some()),
            ("logprobs", self.request.logprobs.is_some()),
            ("user", self.request.user.is_some()),
        ];
        for (name, given) in absent {
            if given {
                self.warnings.push(Warning::dropped(name, "Bedrock has nothing like it"));
            }
        }
        for extra in &self.request.extras {
            match service_tier(extra) {
                Some(tier) => {
                    out.key("serviceTier");
                    out.open_object();
                    out.field("type", tier);
                    out.close_object();
                }
                None => {
                    let reason = "Bedrock has nothing like it";
                    self.warnings.push(Warning::dropped(extra.name.clone(), reason));
                }
            }
        }
    }
}

/// OpenAI's and Bedrock's tiers have the same names.
fn service_tier(extra: &Extra) -> Option<&'static str> {
    if extra.name != "service_tier" || extra.origin != Dialect::OpenAi {
        return None;
    }
    match extra.value.text() {
        r#""default""# => Some("default"),
        r#""flex""# => Some("flex"),
        r#""priority""# => Some("priority"),
        _ => None,
    }
}

const fn forces_a_tool(request: &ChatRequest) -> bool {
    matches!(
        request.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, .. })
    )
}

fn max_tokens(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<Warning>) -> Option<u64> {
    let wanted = request.max_output_tokens?;
    match profile.max_output_tokens {
        Some(most) if wanted > most && most > 0 => {
            let reason = format!("limited to {most}, the most the model generates");
            warnings.push(Warning::emulated("max_tokens", reason));
            Some(most)
        }
        _ => Some(wanted.max(1)),
    }
}

fn form<'r>(
    request: &'r ChatRequest,
    profile: &Profile,
    warnings: &mut Vec<Warning>,
) -> Result<Form<'r>, EncodeError> {
    match &request.output {
        OutputFormat::Text => Ok(Form::Free),
        OutputFormat::JsonObject => {
            warnings.push(Warning::emulated("response_format", "asked for in the system instructions"));
            Ok(Form::Instruction)
        }
        OutputFormat::JsonSchema { schema, description, name, .. } => {
            if !schema.is_object() {
                return Err(EncodeError::Invalid {
                    path: "response_format.json_schema.schema".to_owned(),
                    reason: "expected an object (a JSON Schema)".to_owned(),
                });
            }
            if profile.json_schema != Support::No && !profile.refuses("outputConfig") {
                let schema = schema::native(schema, "Bedrock", warnings);
                return Ok(Form::Native {
                    schema,
                    name: name.as_deref(),
                    description: description.as_deref(),
                });
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
            Ok(Form::Tool(AnswerTool { schema, description: description.as_deref() }))
        }
    }
}
