//! Canonical requests as Gemini bodies.
//!
//! Owns the top level: tools, tool configuration, generation configuration, extras. Contents are `turns`'s. Must not lose
//! anything silently: what Gemini has no place for is reported, and what would change the answer's meaning is refused. The
//! model's name is not in the body of a chat: it is in the URL.

use super::embeddings;
use super::generation_config::PREFIX;
use super::part_encode::tool_name;
use super::reasoning::{self, Thinking};
use super::schema;
use super::turns::Contents;
use crate::codec::{EncodeError, Encoded, Profile};
use crate::json_text::JsonText;
use crate::write::{NO_TOOLS, SCHEMA_DESCRIPTION};
use bytes::BytesMut;
use std::borrow::Cow;
use trunkline_model::capability::Support;
use trunkline_model::dialect::{Delivery, Dialect};
use trunkline_model::request::{ChatRequest, Extra, FunctionTool, OutputFormat, Request, Tool, ToolChoice};
use trunkline_model::warning::Warning;

/// The most stop texts the API takes.
const MAX_STOPS: usize = 5;
/// The most candidates the API gives.
const MAX_CANDIDATES: u32 = 8;
/// Where kept fields of the tool configuration belong, of thinking inside the generation configuration, and the kept mode.
const TOOL_CONFIG: &str = "toolConfig.";
const THINKING_CONFIG: &str = "thinkingConfig.";
const MODE: &str = "functionCallingConfig.mode";
const REFUSED: &str = "the target refuses it";
const ABSENT: &str = "Gemini has nothing like it";

/// Writes a request body.
///
/// # Errors
/// What the target cannot express.
pub fn encode_request(
    request: &Request,
    profile: &Profile,
    _delivery: Delivery,
) -> Result<Encoded, EncodeError> {
    match request {
        Request::Embeddings(request) => embeddings::encode(request, profile),
        Request::Rerank(_) => Err(EncodeError::Unsupported {
            feature: "rerank".to_owned(),
            reason: "the dialect orders no documents".to_owned(),
        }),
        Request::Chat(chat) => {
            let mut out = BytesMut::with_capacity(crate::pieces::room(chat));
            out.open_object();
            let warnings = body(chat, profile, &mut out)?;
            out.close_object();
            Ok(Encoded::new(out.freeze(), warnings))
        }
    }
}

/// Writes the body of `countTokens`, which counts a whole request.
///
/// # Errors
/// As [`encode_request`].
pub fn encode_count_request(request: &Request, profile: &Profile) -> Result<Encoded, EncodeError> {
    let Request::Chat(chat) = request else {
        return Err(EncodeError::Unsupported {
            feature: "embeddings".to_owned(),
            reason: "Gemini counts the tokens of conversations only".to_owned(),
        });
    };
    let mut out = BytesMut::with_capacity(crate::pieces::room(chat));
    out.open_object();
    out.key("generateContentRequest");
    out.open_object();
    out.field("model", &format!("models/{}", profile.model));
    let warnings = body(chat, profile, &mut out)?;
    out.close_object();
    out.close_object();
    Ok(Encoded::new(out.freeze(), warnings))
}

/// Writes the fields of a request into an open object.
fn body(request: &ChatRequest, profile: &Profile, out: &mut BytesMut) -> Result<Vec<Warning>, EncodeError> {
    let mut warnings = Vec::new();
    let form = Form::of(request, profile, &mut warnings)?;
    let thinking = reasoning::plan(request, profile, &mut warnings);
    let contents = Contents::arrange(&request.messages, profile, &mut warnings)?;
    contents.write(form.instruction().as_deref(), profile, out, &mut warnings)?;
    let mut draft = Draft { request, profile, form, thinking, warnings };
    draft.tools(out)?;
    draft.generation_config(out)?;
    draft.extras(out);
    Ok(draft.warnings)
}

/// How the demanded form of the answer is reached.
enum Form<'r> {
    Free,
    Json,
    Schema(&'r trunkline_model::json::Json),
    Instruction(Option<&'r trunkline_model::json::Json>),
}

impl<'r> Form<'r> {
    fn of(
        request: &'r ChatRequest,
        profile: &Profile,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, EncodeError> {
        let schema = match &request.output {
            OutputFormat::Text => return Ok(Self::Free),
            OutputFormat::JsonObject => None,
            OutputFormat::JsonSchema { schema, description, .. } if schema.is_object() => {
                if description.is_some() {
                    warnings.push(Warning::dropped(SCHEMA_DESCRIPTION, ABSENT));
                }
                Some(schema)
            }
            OutputFormat::JsonSchema { .. } => {
                return Err(EncodeError::Invalid {
                    path: "response_format.json_schema.schema".to_owned(),
                    reason: "expected an object (a JSON Schema)".to_owned(),
                });
            }
        };
        // Models before the third generation refuse a JSON answer beside function declarations.
        let beside_tools = !request.tools.is_empty() && !reasoning::by_levels(profile);
        let refused =
            profile.refuses("responseMimeType") || (schema.is_some() && profile.json_schema == Support::No);
        if beside_tools || refused {
            let reason = if beside_tools {
                "asked for in the system instruction: the model takes no answer form beside tools"
            } else {
                "asked for in the system instruction: the model takes no answer form"
            };
            warnings.push(Warning::emulated("response_format", reason));
            return Ok(Self::Instruction(schema));
        }
        Ok(schema.map_or(Self::Json, Self::Schema))
    }

    fn instruction(&self) -> Option<Cow<'static, str>> {
        const JSON: &str = "When you answer, give one valid JSON value and nothing else: no prose before or after it, no \
                            code fence.";
        match self {
            Self::Instruction(None) => Some(Cow::Borrowed(JSON)),
            Self::Instruction(Some(schema)) => {
                Some(Cow::Owned(format!("{JSON} It must follow this JSON Schema: {}", schema.text())))
            }
            _ => None,
        }
    }
}

struct Draft<'r> {
    request: &'r ChatRequest,
    profile: &'r Profile,
    form: Form<'r>,
    thinking: Thinking,
    warnings: Vec<Warning>,
}

impl Draft<'_> {
    /// Whether the target takes a parameter; a refusal is reported under the client's name.
    fn accepts(&mut self, name: &str, feature: &'static str) -> bool {
        let refused = self.profile.refuses(name);
        if refused {
            self.warnings.push(Warning::dropped(feature, REFUSED));
        }
        !refused
    }

    fn dropped(&mut self, feature: impl Into<Cow<'static, str>>, reason: &'static str) {
        self.warnings.push(Warning::dropped(feature, reason));
    }

    /// Writes `tools` and `toolConfig`.
    fn tools(&mut self, out: &mut BytesMut) -> Result<(), EncodeError> {
        let request = self.request;
        let allowed = match &request.tool_choice {
            // Names are allowed together with force only.
            Some(ToolChoice::Allowed { names, required: false }) if !request.tools.is_empty() => {
                self.warnings.push(Warning::emulated("tool_choice", "only the allowed tools are sent"));
                Some(names)
            }
            _ => None,
        };
        let mut functions = BytesMut::new();
        let mut built_in = BytesMut::new();
        for (index, tool) in request.tools.iter().enumerate() {
            match tool {
                Tool::Function(function) => {
                    if allowed.is_none_or(|names| names.contains(&function.name)) {
                        self.function(function, index, &mut functions);
                    }
                }
                Tool::BuiltIn { origin: Dialect::Gemini, json, .. } => built_in.raw(json.text()),
                Tool::BuiltIn { origin, kind, .. } => {
                    return Err(EncodeError::Unsupported {
                        feature: format!("tools[{index}]"),
                        reason: format!("the built-in tool `{kind}` is run by {origin} providers only"),
                    });
                }
            }
        }
        let has_functions = !functions.is_empty();
        if has_functions || !built_in.is_empty() {
            out.key("tools");
            out.open_array();
            if has_functions {
                out.open_object();
                out.key("functionDeclarations");
                out.open_array();
                out.extend_from_slice(&functions);
                out.close_array();
                out.close_object();
            }
            if !built_in.is_empty() {
                if has_functions {
                    out.extend_from_slice(b",");
                }
                out.extend_from_slice(&built_in);
            }
            out.close_array();
        }
        match request.parallel_tool_calls {
            Some(_) if !has_functions => self.dropped("parallel_tool_calls", NO_TOOLS),
            Some(false) => {
                self.dropped("parallel_tool_calls", "Gemini cannot be held to one call at a time");
            }
            Some(true) | None => {}
        }
        self.tool_config(has_functions, out);
        Ok(())
    }

    fn function(&mut self, tool: &FunctionTool, index: usize, out: &mut BytesMut) {
        let name = tool_name(&tool.name);
        if matches!(name, Cow::Owned(_)) {
            let feature = format!("tools[{index}].name");
            self.warnings.push(Warning::emulated(feature, "renamed to what Gemini accepts"));
        }
        if tool.strict == Some(true) {
            self.dropped(format!("tools[{index}].strict"), "Gemini has no strict mode per function");
        }
        if tool.cache.is_some() {
            self.dropped(format!("tools[{index}].cache_control"), "Gemini caches by itself, without marks");
        }
        out.open_object();
        out.field("name", &name);
        if let Some(description) = &tool.description {
            out.field("description", description);
        }
        if let Some(parameters) = tool.parameters.as_ref().filter(|schema| says_something(schema.text())) {
            if self.profile.refuses("parametersJsonSchema") {
                let (lowered, lost) = schema::to_openapi(parameters);
                self.lost(lost, format!("tools[{index}].parameters"));
                out.field_raw("parameters", lowered.text());
            } else {
                out.field_raw("parametersJsonSchema", schema::cleaned(parameters).text());
            }
        }
        out.close_object();
    }

    fn lost(&mut self, lost: std::collections::BTreeSet<String>, feature: impl Into<Cow<'static, str>>) {
        if !lost.is_empty() {
            let names: Vec<String> = lost.into_iter().collect();
            let reason = format!("keywords Gemini's schemas lack are left out: {}", names.join(", "));
            self.warnings.push(Warning::dropped(feature, reason));
        }
    }

    fn tool_config(&mut self, has_functions: bool, out: &mut BytesMut) {
        let mode: Option<(&str, &[String])> = match &self.request.tool_choice {
            None => None,
            Some(choice) if !has_functions => {
                // What is made of a list of allowed tools is told where they are chosen.
                let is_listed = matches!(choice, ToolChoice::Allowed { required: false, .. });
                if !is_listed || self.request.tools.is_empty() {
                    self.dropped("tool_choice", "there are no functions");
                }
                None
            }
            Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => Some(("AUTO", &[])),
            Some(ToolChoice::None) => Some(("NONE", &[])),
            Some(ToolChoice::Required) => Some(("ANY", &[])),
            Some(ToolChoice::Named(name)) => Some(("ANY", std::slice::from_ref(name))),
            Some(ToolChoice::Allowed { names, required: true }) => Some(("ANY", names)),
        };
        let extras = nested(&self.request.extras, TOOL_CONFIG);
        let validated = extras.iter().any(|(name, _)| *name == MODE);
        let others: Vec<_> = extras.into_iter().filter(|(name, _)| !name.contains('.')).collect();
        if mode.is_none() && others.is_empty() {
            return;
        }
        out.key("toolConfig");
        out.open_object();
        if let Some((mode, names)) = mode {
            out.key("functionCallingConfig");
            out.open_object();
            out.field("mode", if validated && mode == "AUTO" { "VALIDATED" } else { mode });
            if !names.is_empty() {
                out.key("allowedFunctionNames");
                out.open_array();
                names.iter().for_each(|name| out.string(&tool_name(name)));
                out.close_array();
            }
            out.close_object();
        }
        for (name, json) in others {
            out.field_raw(name, json);
        }
        out.close_object();
    }

    fn generation_config(&mut self, out: &mut BytesMut) -> Result<(), EncodeError> {
        let mut config = BytesMut::new();
        self.limits(&mut config)?;
        self.sampling(&mut config);
        self.form(&mut config);
        let extras = nested(&self.request.extras, PREFIX);
        let (thoughts, others): (Vec<_>, Vec<_>) =
            extras.into_iter().partition(|(name, _)| name.starts_with(THINKING_CONFIG));
        let thoughts: Vec<_> = thoughts
            .iter()
            .filter_map(|(name, json)| Some((name.strip_prefix(THINKING_CONFIG)?, *json)))
            .collect();
        self.thinking.write(&thoughts, &mut config);
        for (name, json) in others {
            config.field_raw(name, json);
        }
        if !config.is_empty() {
            out.key("generationConfig");
            out.open_object();
            out.extend_from_slice(&config);
            out.close_object();
        }
        Ok(())
    }

    fn limits(&mut self, out: &mut BytesMut) -> Result<(), EncodeError> {
        if let Some(choices) = self.request.choices.filter(|choices| *choices > 1) {
            if choices > MAX_CANDIDATES || self.profile.refuses("candidateCount") {
                return Err(EncodeError::Unsupported {
                    feature: "n".to_owned(),
                    reason: "the target does not give so many answers to one request: send it several times"
                        .to_owned(),
                });
            }
            out.field_unsigned("candidateCount", u64::from(choices));
        }
        if let Some(wanted) = self.request.max_output_tokens {
            let limit = match self.profile.max_output_tokens {
                Some(most) if wanted > most && most > 0 => {
                    let reason = format!("limited to {most}, the most the model generates");
                    self.warnings.push(Warning::emulated("max_tokens", reason));
                    most
                }
                _ => wanted,
            };
            out.field_unsigned("maxOutputTokens", limit.min(i32::MAX as u64));
        }
        let stops = || self.request.stop.iter().filter(|text| !text.is_empty());
        if stops().count() > MAX_STOPS {
            return Err(EncodeError::Unsupported {
                feature: "stop".to_owned(),
                reason: format!("Gemini takes at most {MAX_STOPS} stop texts"),
            });
        }
        if stops().next().is_some() {
            if self.profile.refuses("stopSequences") {
                self.dropped("stop", REFUSED);
            } else {
                out.key("stopSequences");
                out.open_array();
                stops().for_each(|text| out.string(text));
                out.close_array();
            }
        }
        Ok(())
    }

    fn sampling(&mut self, out: &mut BytesMut) {
        let sampling = &self.request.sampling;
        let refused = self.profile.sampling == Support::No;
        for (name, feature, value) in
            [("temperature", "temperature", sampling.temperature), ("topP", "top_p", sampling.top_p)]
        {
            let Some(value) = value else { continue };
            if refused {
                self.dropped(feature, "the model does not take sampling parameters");
            } else if self.accepts(name, feature) {
                out.key(name);
                out.float(value);
            }
        }
        if let Some(value) = sampling.top_k {
            if refused {
                self.dropped("top_k", "the model does not take sampling parameters");
            } else if self.accepts("topK", "top_k") {
                out.field_unsigned("topK", value);
            }
        }
        for (name, feature, value) in [
            ("frequencyPenalty", "frequency_penalty", sampling.frequency_penalty),
            ("presencePenalty", "presence_penalty", sampling.presence_penalty),
        ] {
            let Some(value) = value.filter(|value| *value != 0.0) else { continue };
            if self.accepts(name, feature) {
                out.key(name);
                out.float(value);
            }
        }
        if let Some(seed) = sampling.seed
            && self.accepts("seed", "seed")
        {
            let short = i32::try_from(seed).unwrap_or_else(|_| {
                self.warnings.push(Warning::emulated("seed", "folded to 32 bits"));
                (seed ^ (seed >> 32)) as i32
            });
            out.key("seed");
            out.signed(i64::from(short));
        }
        if let Some(alternatives) = self.request.logprobs
            && self.accepts("responseLogprobs", "logprobs")
        {
            out.key("responseLogprobs");
            out.boolean(true);
            if alternatives > 0 {
                out.field_unsigned("logprobs", u64::from(alternatives));
            }
        }
        if self.request.user.is_some() {
            self.dropped("user", ABSENT);
        }
    }

    fn form(&mut self, out: &mut BytesMut) {
        let schema = match &self.form {
            Form::Free | Form::Instruction(_) => return,
            Form::Json => None,
            Form::Schema(schema) => Some(*schema),
        };
        out.field("responseMimeType", "application/json");
        let Some(schema) = schema else { return };
        if self.profile.refuses("responseJsonSchema") {
            let (lowered, lost) = schema::to_openapi(schema);
            self.lost(lost, "response_format.json_schema.schema");
            out.field_raw("responseSchema", lowered.text());
        } else {
            out.field_raw("responseJsonSchema", schema::cleaned(schema).text());
        }
    }

    fn extras(&mut self, out: &mut BytesMut) {
        for extra in &self.request.extras {
            let own = extra.origin == Dialect::Gemini;
            // What has a place inside another object was written there.
            if own && is_placed(&extra.name) {
                continue;
            }
            // A name with a path in it is a leftover from inside another value; there is no place to put it back.
            if !own || extra.name.contains(['.', '[']) {
                let reason = if own { "translation has no place for it" } else { ABSENT };
                self.warnings.push(Warning::dropped(extra.name.clone(), reason));
            } else if self.profile.refuses(&extra.name) {
                self.warnings.push(Warning::dropped(extra.name.clone(), REFUSED));
            } else {
                out.field_raw(&extra.name, extra.value.text());
            }
        }
    }
}

/// Whether an extra of this dialect belongs inside an object that is written.
fn is_placed(name: &str) -> bool {
    let inside = |prefix| name.strip_prefix(prefix);
    match (inside(PREFIX), inside(TOOL_CONFIG)) {
        (Some(name), _) => !name.strip_prefix(THINKING_CONFIG).unwrap_or(name).contains(['.', '[']),
        (None, Some(name)) => name == MODE || !name.contains(['.', '[']),
        (None, None) => false,
    }
}

/// Extras of this dialect that belong inside an object, by their names there.
fn nested<'e>(extras: &'e [Extra], prefix: &str) -> Vec<(&'e str, &'e str)> {
    extras
        .iter()
        .filter(|extra| extra.origin == Dialect::Gemini)
        .filter_map(|extra| Some((extra.name.strip_prefix(prefix)?, extra.value.text())))
        .collect()
}

/// Whether a schema of arguments describes any: the API refuses an object type without properties in some versions.
fn says_something(schema: &str) -> bool {
    let text = schema.trim_ascii();
    text.strip_prefix('{').is_some_and(|rest| rest.trim_ascii_start() != "}")
}
