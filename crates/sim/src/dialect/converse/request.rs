//! Reads a Converse request the way the service does.
//!
//! Owns the system prompt, tools, reasoning and the form of the answer; messages are read in `turns`, plain parameters checked
//! in `check`.

use serde_json::{Map, Value};

use super::super::{Context, Refusal};
use super::check;
use crate::turn::{Choice, Format, Offer, Prompt};

/// A request understood.
pub(super) struct Request {
    pub(super) prompt: Prompt,
    /// Whether anything was marked to be cached, and for an hour.
    pub(super) cached: bool,
    pub(super) for_an_hour: bool,
    /// Whether the stop text is to be told.
    pub(super) tells_stop: bool,
}

/// Reads and checks the request.
pub(super) fn read(
    body: &Map<String, Value>,
    model: &str,
    context: &Context<'_>,
) -> Result<Request, Refusal> {
    check::known(body, check::KNOWN)?;
    let (max_tokens, stop) = check::inference(body)?;
    let claude = model.contains("anthropic.") || model.contains("claude");
    let reasoning = reasoning(body, claude, max_tokens)?;
    let prompt = Prompt {
        model: model.to_owned(),
        seed: context.seed,
        reasoning,
        max_tokens,
        stop,
        format: format(body)?,
        ..Prompt::default()
    };
    let mut reader =
        Reader { prompt, context, documents: Vec::new(), has_tools: false, cached: 0, for_an_hour: false };
    reader.tools(body, claude)?;
    reader.system(body)?;
    reader.messages(body, claude)?;
    let Reader { prompt, cached, for_an_hour, .. } = reader;
    if prompt.tokens() > context.config.context_tokens {
        let limit = context.config.context_tokens;
        return Err(Refusal::ContextTooLong { limit, tokens: prompt.tokens() });
    }
    let paths = body.get("additionalModelResponseFieldPaths").and_then(Value::as_array);
    let tells_stop = paths.is_some_and(|paths| paths.iter().any(|path| path == "/stop_sequence"));
    Ok(Request { prompt, cached: cached > 0, for_an_hour, tells_stop })
}

/// Tokens to reason with, by whichever field the family of models has for it.
fn reasoning(body: &Map<String, Value>, claude: bool, max_tokens: Option<u64>) -> Result<u64, Refusal> {
    let fields = body.get("additionalModelRequestFields").and_then(Value::as_object);
    let effort = body.get("outputConfig").and_then(|config| config.get("effort"));
    if let Some(effort) = effort
        && !effort.as_str().is_some_and(|effort| ["low", "medium", "high", "xhigh", "max"].contains(&effort))
    {
        let rule = "Member must satisfy enum value set: [low, medium, high, xhigh, max]";
        return Err(check::constraint(effort, "outputConfig.effort", rule));
    }
    let Some(fields) = fields else { return Ok(if effort.is_some() { 64 } else { 0 }) };
    if !claude {
        return Ok(if fields.contains_key("reasoningConfig") || fields.contains_key("reasoning_effort") {
            64
        } else {
            0
        });
    }
    let errors = |what: &str| Refusal::invalid(format!("The model returned the following errors: {what}"));
    check::known(fields, &["thinking", "top_k", "tool_choice", "anthropic_beta", "anthropic_version"])?;
    let Some(thinking) = fields.get("thinking") else { return Ok(0) };
    let config = body.get("inferenceConfig");
    let set = |name: &str| config.is_some_and(|config| config.get(name).is_some());
    let budget = match thinking.get("type").and_then(Value::as_str) {
        Some("disabled") => return Ok(0),
        Some("adaptive") => 64,
        Some("enabled") => {
            let budget = thinking.get("budget_tokens").and_then(Value::as_u64);
            let budget = budget.ok_or_else(|| errors("thinking.enabled.budget_tokens: Field required"))?;
            if budget < 1_024 {
                return Err(errors(
                    "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
                ));
            }
            if max_tokens.is_none_or(|limit| limit <= budget) {
                return Err(errors("`max_tokens` must be greater than `thinking.budget_tokens`."));
            }
            budget
        }
        _ => {
            return Err(errors(
                "thinking: Input tag found using 'type' does not match any of the expected tags",
            ));
        }
    };
    if set("temperature") || fields.contains_key("top_k") {
        return Err(errors("`temperature` may only be set to 1 when thinking is enabled."));
    }
    let choice = body.get("toolConfig").and_then(|config| config.get("toolChoice"));
    if choice.is_some_and(|choice| choice.get("any").is_some() || choice.get("tool").is_some()) {
        return Err(errors("Thinking may not be enabled when tool_choice forces tool use."));
    }
    Ok(budget.min(64))
}

fn format(body: &Map<String, Value>) -> Result<Format, Refusal> {
    let Some(format) = body.get("outputConfig").and_then(|config| config.get("textFormat")) else {
        return Ok(Format::Text);
    };
    if format.get("type").and_then(Value::as_str) != Some("json_schema") {
        let rule = "Member must satisfy enum value set: [json_schema]";
        return Err(check::constraint(&format["type"], "outputConfig.textFormat.type", rule));
    }
    let place = "outputConfig.textFormat.structure.jsonSchema.schema";
    // A text that holds the schema: an object here is a mistake that SDKs would not let pass.
    let text = format["structure"]["jsonSchema"]["schema"].as_str().ok_or_else(|| {
        Refusal::parameter("", Some("SerializationException"), format!("{place} must be a string"))
    })?;
    let schema: Value = serde_json::from_str(text)
        .map_err(|_| Refusal::invalid(format!("The value at {place} is not a valid JSON schema.")))?;
    let mut open = vec![&schema];
    while let Some(schema) = open.pop() {
        let properties = schema.get("properties").and_then(Value::as_object);
        if properties.is_some() && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            return Err(Refusal::invalid(
                "The model returned the following errors: For 'object' type, 'additionalProperties' must be explicitly set to false",
            ));
        }
        open.extend(properties.into_iter().flat_map(Map::values));
        open.extend(schema.get("items").filter(|items| items.is_object()));
    }
    Ok(Format::Schema(schema))
}

/// The request as it is being read.
pub(super) struct Reader<'a> {
    pub(super) prompt: Prompt,
    pub(super) context: &'a Context<'a>,
    /// Names of the documents so far.
    pub(super) documents: Vec<String>,
    /// Whether there is a `toolConfig`.
    pub(super) has_tools: bool,
    cached: usize,
    for_an_hour: bool,
}

impl Reader<'_> {
    /// Ends a cached prefix.
    pub(super) fn cache_point(&mut self, point: &Value, place: &str) -> Result<(), Refusal> {
        if point.get("type").and_then(Value::as_str) != Some("default") {
            return Err(check::missing(&format!("{place}.cachePoint.type")));
        }
        self.cached += 1;
        if self.cached > 4 {
            return Err(Refusal::invalid(
                "The model returned the following errors: A maximum of 4 blocks with cache_control may be provided.",
            ));
        }
        self.for_an_hour |= point.get("ttl").and_then(Value::as_str) == Some("1h");
        self.prompt.mark();
        Ok(())
    }

    fn tools(&mut self, body: &Map<String, Value>, claude: bool) -> Result<(), Refusal> {
        let Some(config) = body.get("toolConfig") else { return Ok(()) };
        let tools = config.get("tools").and_then(Value::as_array).filter(|tools| !tools.is_empty());
        let tools = tools.ok_or_else(|| check::missing("toolConfig.tools"))?;
        self.has_tools = true;
        for (index, tool) in tools.iter().enumerate() {
            let place = format!("toolConfig.tools.{index}.member");
            if let Some(point) = tool.get("cachePoint") {
                self.cache_point(point, &place)?;
                continue;
            }
            let spec = tool.get("toolSpec").ok_or_else(|| check::missing(&format!("{place}.toolSpec")))?;
            let name = check::tool_name(spec.get("name"), &format!("{place}.toolSpec.name"))?;
            if spec.get("description").is_some_and(|text| text.as_str().is_none_or(str::is_empty)) {
                let rule = "Member must have length greater than or equal to 1";
                return Err(check::constraint(
                    &Value::from(""),
                    &format!("{place}.toolSpec.description"),
                    rule,
                ));
            }
            let schema = spec.get("inputSchema").and_then(|schema| schema.get("json"));
            let schema =
                schema.ok_or_else(|| check::missing(&format!("{place}.toolSpec.inputSchema.json")))?;
            if schema.get("type").and_then(Value::as_str) != Some("object") {
                return Err(Refusal::invalid(format!(
                    "The value at toolConfig.tools.{index}.toolSpec.inputSchema.json.type must be one of the following: object."
                )));
            }
            if self.prompt.tools.iter().any(|known| known.name == name) {
                return Err(Refusal::invalid(format!(
                    "The tool {name} is already defined in toolConfig.tools."
                )));
            }
            self.prompt.count(&spec.to_string());
            self.prompt.tools.push(Offer { name, schema: schema.clone() });
        }
        self.choice(config.get("toolChoice"))?;
        let serial = body
            .get("additionalModelRequestFields")
            .and_then(|fields| fields.get("tool_choice")?.get("disable_parallel_tool_use")?.as_bool());
        self.prompt.one_call_only = claude && serial.unwrap_or(false);
        Ok(())
    }

    fn choice(&mut self, choice: Option<&Value>) -> Result<(), Refusal> {
        let Some(choice) = choice.and_then(Value::as_object) else { return Ok(()) };
        let mut members = choice.iter();
        let (Some((kind, value)), None) = (members.next(), members.next()) else {
            return Err(Refusal::invalid("The toolChoice union must hold exactly one member."));
        };
        self.prompt.choice = match kind.as_str() {
            "auto" => Choice::Auto,
            "any" => Choice::Required(Vec::new()),
            "tool" => {
                let name = check::tool_name(value.get("name"), "toolConfig.toolChoice.tool.name")?;
                if self.prompt.tools.iter().all(|tool| tool.name != name) {
                    return Err(Refusal::invalid(format!(
                        "The tool {name} in toolChoice is not defined in toolConfig.tools."
                    )));
                }
                Choice::Required(vec![name])
            }
            _ => return Err(Refusal::invalid("The toolChoice union must hold auto, any or tool.")),
        };
        Ok(())
    }

    fn system(&mut self, body: &Map<String, Value>) -> Result<(), Refusal> {
        let blocks = body.get("system").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for (index, block) in blocks.iter().enumerate() {
            let place = format!("system.{index}");
            if let Some(point) = block.get("cachePoint") {
                self.cache_point(point, &place)?;
                continue;
            }
            let text = block.get("text").and_then(Value::as_str).ok_or_else(|| check::missing(&place))?;
            if text.trim().is_empty() {
                return Err(Refusal::invalid(format!(
                    "The text field in the SystemContentBlock object at {place} is blank. Add text to the text field, and try again."
                )));
            }
            self.prompt.count(text);
            self.prompt.push_system(text);
        }
        Ok(())
    }
}
