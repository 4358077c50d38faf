//! Reads a messages request the way the vendor does.
//!
//! Owns the system prompt, tools and the form of the answer; messages are read in `turns`, plain parameters checked in
//! `check`.

use serde_json::{Map, Value};

use super::super::{Context, Refusal};
use super::version::Version;
use super::{ApiVersion, check, models};
use crate::turn::{Choice, Format, Offer, Prompt};

/// A messages request understood.
pub(super) struct Messages {
    pub(super) prompt: Prompt,
    pub(super) stream: bool,
    /// Whether thoughts are shown as text.
    pub(super) thoughts_shown: bool,
    /// Whether anything was marked to be cached, and for an hour.
    pub(super) cached: bool,
    pub(super) for_an_hour: bool,
}

/// The seal on thoughts.
pub(super) const THINKING: &str = "anthropic thinking";
/// The seal on redacted thoughts.
pub(super) const REDACTED: &str = "anthropic redacted thinking";

/// The seal on citations of the web.
pub(super) const CITATION: &str = "anthropic citation";

/// Reads and checks the request.
pub(super) fn read(
    body: &Map<String, Value>,
    context: &Context<'_>,
    api: ApiVersion,
    answers: bool,
) -> Result<Messages, Refusal> {
    let model = body.get("model").and_then(Value::as_str).ok_or_else(|| check::required("model"))?;
    models::admit(model, context.config)?;
    let version = Version::of(model);
    check::parameters(body, version, api, answers)?;
    let (budget, thoughts_shown) = check::thinking(body, version, model)?;
    let prompt =
        Prompt { model: model.to_owned(), seed: context.seed, reasoning: budget, ..Prompt::default() };
    let mut reader = Reader { prompt, context, version, api, cached: false, for_an_hour: false };
    reader.tools(body)?;
    reader.system(body)?;
    reader.messages(body, budget > 0)?;
    reader.breakpoint(body.get("cache_control"));
    let Reader { mut prompt, cached, for_an_hour, .. } = reader;
    prompt.format = format(body, version)?;
    prompt.max_tokens = body.get("max_tokens").and_then(Value::as_u64);
    let sequences = body.get("stop_sequences").and_then(Value::as_array);
    prompt.stop = sequences.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    if prompt.tokens() > context.config.context_tokens {
        return Err(Refusal::ContextTooLong {
            limit: context.config.context_tokens,
            tokens: prompt.tokens(),
        });
    }
    let stream = body.get("stream").and_then(Value::as_bool).unwrap_or(false);
    Ok(Messages { prompt, stream, thoughts_shown, cached, for_an_hour })
}

fn format(body: &Map<String, Value>, version: Version) -> Result<Format, Refusal> {
    let Some(format) =
        body.get("output_config").and_then(|config| config.get("format")).filter(|value| !value.is_null())
    else {
        return Ok(Format::Text);
    };
    if !version.structured_output() {
        return Err(Refusal::invalid(
            "output_config.format: structured outputs are not supported on this model",
        ));
    }
    if format.get("type").and_then(Value::as_str) != Some("json_schema") {
        return Err(Refusal::invalid("output_config.format.type: Input should be 'json_schema'"));
    }
    let schema = format.get("schema").ok_or_else(|| check::required("output_config.format.schema"))?;
    let mut open = vec![schema];
    while let Some(schema) = open.pop() {
        let properties = schema.get("properties").and_then(Value::as_object);
        if properties.is_some() && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            return Err(Refusal::invalid(
                "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false",
            ));
        }
        open.extend(properties.into_iter().flat_map(Map::values));
        open.extend(schema.get("items").filter(|items| items.is_object()));
        open.extend(schema.get("$defs").and_then(Value::as_object).into_iter().flat_map(Map::values));
    }
    Ok(Format::Schema(schema.clone()))
}

/// The request as it is being read.
pub(super) struct Reader<'a> {
    pub(super) prompt: Prompt,
    pub(super) context: &'a Context<'a>,
    pub(super) version: Version,
    pub(super) api: ApiVersion,
    pub(super) cached: bool,
    pub(super) for_an_hour: bool,
}

impl Reader<'_> {
    /// Ends a cached prefix where the block says so.
    pub(super) fn breakpoint(&mut self, control: Option<&Value>) {
        if let Some(control) = control.filter(|control| !control.is_null()) {
            self.cached = true;
            self.for_an_hour |= control.get("ttl").and_then(Value::as_str) == Some("1h");
            self.prompt.mark();
        }
    }

    fn tools(&mut self, body: &Map<String, Value>) -> Result<(), Refusal> {
        let tools = body.get("tools").and_then(Value::as_array);
        for (index, tool) in tools.into_iter().flatten().enumerate() {
            let kind = tool.get("type").and_then(Value::as_str);
            self.prompt.count(&tool.to_string());
            // Tools that run at the vendor's are accepted and never used.
            if matches!(kind, None | Some("custom")) {
                let place = format!("tools.{index}.custom");
                let name = tool
                    .get("name")
                    .and_then(Value::as_str)
                    .ok_or_else(|| check::required(&format!("{place}.name")))?;
                check::tool_name(name, &format!("{place}.name"))?;
                let schema = tool
                    .get("input_schema")
                    .ok_or_else(|| check::required(&format!("{place}.input_schema")))?;
                if schema.get("type").and_then(Value::as_str) != Some("object") {
                    return Err(Refusal::invalid(format!("{place}.input_schema.type: Field required")));
                }
                if self.prompt.tools.iter().any(|known| known.name == name) {
                    return Err(Refusal::invalid("tools: Tool names must be unique."));
                }
                self.prompt.tools.push(Offer { name: name.to_owned(), schema: schema.clone() });
            }
            self.breakpoint(tool.get("cache_control"));
        }
        let Some(choice) = body.get("tool_choice").filter(|choice| !choice.is_null()) else { return Ok(()) };
        if tools.is_none_or(Vec::is_empty) {
            return Err(Refusal::invalid("tool_choice may only be specified while providing tools"));
        }
        self.prompt.one_call_only =
            choice.get("disable_parallel_tool_use").and_then(Value::as_bool).unwrap_or(false);
        self.prompt.choice = match choice.get("type").and_then(Value::as_str) {
            Some("auto") => Choice::Auto,
            Some("any") => Choice::Required(Vec::new()),
            Some("none") => Choice::None,
            Some("tool") => {
                let name = choice
                    .get("name")
                    .and_then(Value::as_str)
                    .ok_or_else(|| check::required("tool_choice.tool.name"))?;
                if self.prompt.tools.iter().all(|tool| tool.name != name) {
                    return Err(Refusal::invalid(format!("Tool '{name}' not found in provided tools")));
                }
                Choice::Required(vec![name.to_owned()])
            }
            _ => {
                return Err(Refusal::invalid(
                    "tool_choice: Input tag found using 'type' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'",
                ));
            }
        };
        Ok(())
    }

    fn system(&mut self, body: &Map<String, Value>) -> Result<(), Refusal> {
        match body.get("system") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(text)) => {
                self.prompt.count(text);
                self.prompt.push_system(text);
                Ok(())
            }
            Some(Value::Array(blocks)) => {
                for (index, block) in blocks.iter().enumerate() {
                    let place = format!("system.{index}");
                    if block.get("type").and_then(Value::as_str) != Some("text") {
                        return Err(Refusal::invalid(format!("{place}.type: Input should be 'text'")));
                    }
                    let text = self.text(block, &place, "system")?;
                    self.prompt.push_system(&text);
                    self.breakpoint(block.get("cache_control"));
                }
                Ok(())
            }
            Some(_) => Err(Refusal::invalid("system: Input should be a valid list")),
        }
    }

    /// A text block, which must not be empty.
    pub(super) fn text(&mut self, block: &Value, place: &str, whose: &str) -> Result<String, Refusal> {
        let text = block
            .get("text")
            .and_then(Value::as_str)
            .ok_or_else(|| check::required(&format!("{place}.text.text")))?;
        if text.is_empty() {
            return Err(Refusal::invalid(format!("{whose}: text content blocks must be non-empty")));
        }
        if text.trim().is_empty() {
            return Err(Refusal::invalid(format!(
                "{whose}: text content blocks must contain non-whitespace text"
            )));
        }
        self.prompt.count(text);
        Ok(text.to_owned())
    }
}
