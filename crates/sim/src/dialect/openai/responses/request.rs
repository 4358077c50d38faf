//! Reads a responses request the way the vendor does: strictly, with its words for what is wrong.
//!
//! Owns the parameters; the items of the input are read in `items`.

use serde_json::{Map, Value};

use super::super::super::{Context, Refusal};
use super::super::{check, models};
use super::items;
use crate::turn::{Choice, Format, Offer, Prompt};

/// Every parameter of the reference.
const KNOWN: &[&str] = &[
    "background",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

const INCLUDABLE: &[&str] = &[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
];

/// A responses request understood.
pub(super) struct Request {
    pub(super) prompt: Prompt,
    /// The whole conversation: earlier responses, then the input.
    pub(super) input: Vec<Value>,
    pub(super) stream: bool,
    pub(super) store: bool,
    pub(super) background: bool,
    /// Whether a summary of the reasoning is shown.
    pub(super) summary: bool,
    /// How many alternatives to list beside each token's log probability, if these were asked for.
    pub(super) logprobs: Option<usize>,
    /// Names of tools that take free text.
    pub(super) custom: Vec<String>,
    pub(super) obfuscate: bool,
}

/// Reads and checks the request.
pub(super) fn read(body: &Map<String, Value>, context: &Context<'_>) -> Result<Request, Refusal> {
    let model = match body.get("model") {
        Some(Value::String(model)) if !model.is_empty() => model,
        _ => return Err(check::missing("model")),
    };
    models::admit(model, context.config)?;
    parameters(body, model)?;
    let mut prompt = Prompt { model: model.clone(), seed: context.seed, ..Prompt::default() };
    let custom = tools(body, &mut prompt)?;
    if let Some(instructions) = body.get("instructions").filter(|value| !value.is_null()) {
        let text = instructions.as_str().ok_or_else(|| check::wrong_type("instructions", "a string"))?;
        prompt.count(text);
        prompt.push_system(text);
    }
    let flag = |name: &str| body.get(name).and_then(Value::as_bool);
    let mut conversation = Vec::new();
    if let Some(id) = body.get("previous_response_id").and_then(Value::as_str) {
        let Some(previous) = context.book.find(id) else {
            let message = format!("Previous response with id '{id}' not found.");
            let code = Some("previous_response_not_found");
            return Err(Refusal::parameter("previous_response_id", code, message));
        };
        conversation = previous.input;
        let output = previous.object.get("output").and_then(Value::as_array);
        conversation.extend(output.into_iter().flatten().cloned());
    }
    conversation.extend(items::listed(body.get("input"), context)?);
    items::read(&conversation, &mut prompt, context)?;
    prompt.format = format(body)?;
    prompt.max_tokens = body.get("max_output_tokens").and_then(Value::as_u64);
    prompt.reasoning = reasoning(body, model);
    if prompt.tokens() > context.config.context_tokens {
        return Err(Refusal::ContextTooLong {
            limit: context.config.context_tokens,
            tokens: prompt.tokens(),
        });
    }
    let included = |name: &str| {
        body.get("include").and_then(Value::as_array).is_some_and(|list| list.iter().any(|one| one == name))
    };
    let alternatives = body.get("top_logprobs").and_then(Value::as_u64).unwrap_or(0) as usize;
    let logprobs = (alternatives > 0 || included("message.output_text.logprobs")).then_some(alternatives);
    let pointer = |pointer: &str| body.get("reasoning").and_then(|reasoning| reasoning.pointer(pointer));
    let obfuscate = body.get("stream_options").and_then(|options| options.get("include_obfuscation"));
    Ok(Request {
        prompt,
        input: conversation,
        stream: flag("stream").unwrap_or(false),
        store: flag("store").unwrap_or(true),
        background: flag("background").unwrap_or(false),
        summary: pointer("/summary").is_some_and(Value::is_string),
        logprobs,
        custom,
        obfuscate: obfuscate.and_then(Value::as_bool).unwrap_or(true),
    })
}

fn parameters(body: &Map<String, Value>, model: &str) -> Result<(), Refusal> {
    if let Some(unknown) = body.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        let message = format!("Unknown parameter: '{unknown}'.");
        return Err(Refusal::parameter(unknown, Some("unknown_parameter"), message));
    }
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    for name in ["stream", "store", "background", "parallel_tool_calls"] {
        if given(name).is_some_and(|value| !value.is_boolean()) {
            return Err(check::wrong_type(name, "a boolean"));
        }
    }
    for (name, most) in [("temperature", 2.0), ("top_p", 1.0)] {
        let Some(value) = given(name) else { continue };
        let Some(number) = value.as_f64() else { return Err(check::wrong_type(name, "a number")) };
        if !(0.0..=most).contains(&number) {
            let message =
                format!("Invalid '{name}': expected a value between 0 and {most}, but got {number} instead.");
            return Err(Refusal::parameter(name, Some("number_out_of_range"), message));
        }
        if check::reasons(model) && number != 1.0 {
            let message = format!("Unsupported parameter: '{name}' is not supported with this model.");
            return Err(Refusal::parameter(name, Some("unsupported_parameter"), message));
        }
    }
    if let Some(limit) = given("max_output_tokens") {
        let Some(limit) = limit.as_u64() else {
            return Err(check::wrong_type("max_output_tokens", "an integer"));
        };
        if limit < 16 {
            let message = format!(
                "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got {limit} instead."
            );
            return Err(Refusal::parameter("max_output_tokens", Some("integer_below_min_value"), message));
        }
    }
    if let Some(effort) = body.get("reasoning").and_then(|reasoning| reasoning.get("effort"))
        && effort.as_str().is_some_and(|effort| effort != "none")
        && !check::reasons(model)
    {
        let message = "Unsupported parameter: 'reasoning.effort' is not supported with this model.";
        return Err(Refusal::parameter("reasoning.effort", Some("unsupported_parameter"), message));
    }
    for (index, name) in given("include").and_then(Value::as_array).into_iter().flatten().enumerate() {
        if !name.as_str().is_some_and(|name| INCLUDABLE.contains(&name)) {
            let message = format!("Invalid value: {name}. Supported values are: {}.", INCLUDABLE.join(", "));
            return Err(Refusal::parameter(format!("include[{index}]"), Some("invalid_value"), message));
        }
    }
    if given("stream_options").is_some() && given("stream") != Some(&Value::Bool(true)) {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Refusal::parameter("stream_options", None, message));
    }
    if given("background") == Some(&Value::Bool(true)) && given("store") == Some(&Value::Bool(false)) {
        let message = "background mode requires store to be true";
        return Err(Refusal::parameter("background", None, message));
    }
    Ok(())
}

/// Tokens to reason with, by effort.
fn reasoning(body: &Map<String, Value>, model: &str) -> u64 {
    if !check::reasons(model) {
        return 0;
    }
    let effort = body.get("reasoning").and_then(|reasoning| reasoning.get("effort")).and_then(Value::as_str);
    match effort {
        Some("none") => 0,
        Some("minimal") => 4,
        Some("low") => 8,
        Some("high") => 32,
        Some("xhigh" | "max") => 64,
        None if check::effort_defaults_to_none(model) => 0,
        _ => 16,
    }
}

fn tools(body: &Map<String, Value>, prompt: &mut Prompt) -> Result<Vec<String>, Refusal> {
    let mut custom = Vec::new();
    for (index, tool) in body.get("tools").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let place = format!("tools[{index}]");
        let text = |name: &str| tool.get(name).and_then(Value::as_str);
        let Some(kind) = text("type") else { return Err(check::missing(&format!("{place}.type"))) };
        prompt.count(&tool.to_string());
        // Tools that run at the vendor's are accepted and never used.
        if !matches!(kind, "function" | "custom") {
            continue;
        }
        let Some(name) = text("name") else { return Err(check::missing(&format!("{place}.name"))) };
        check::name(name, &format!("{place}.name"))?;
        let schema = tool.get("parameters").cloned().unwrap_or_default();
        if kind == "custom" {
            custom.push(name.to_owned());
        } else if tool.get("strict").and_then(Value::as_bool) == Some(true) {
            let param = format!("{place}.parameters");
            check::strict_schema(&schema, name, &param, "invalid_function_parameters")?;
        }
        prompt.tools.push(Offer { name: name.to_owned(), schema });
    }
    prompt.one_call_only = body.get("parallel_tool_calls").and_then(Value::as_bool) == Some(false);
    let Some(choice) = body.get("tool_choice").filter(|choice| !choice.is_null()) else { return Ok(custom) };
    prompt.choice = choose(choice, prompt)?;
    Ok(custom)
}

fn choose(choice: &Value, prompt: &Prompt) -> Result<Choice, Refusal> {
    let name_of = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    match (choice.as_str(), choice.get("type").and_then(Value::as_str)) {
        (Some("auto"), _) => Ok(Choice::Auto),
        (Some("none"), _) => Ok(Choice::None),
        (Some("required"), _) if prompt.tools.is_empty() => {
            let message = "Tool choice 'required' must be specified with 'tools' parameter.";
            Err(Refusal::parameter("tool_choice", None, message))
        }
        (Some("required"), _) => Ok(Choice::Required(Vec::new())),
        (None, Some("function" | "custom")) => {
            let name = name_of(choice).ok_or_else(|| check::missing("tool_choice.name"))?;
            if prompt.tools.iter().all(|tool| tool.name != name) {
                let message = format!("Tool choice '{name}' not found in 'tools' parameter.");
                return Err(Refusal::parameter("tool_choice", None, message));
            }
            Ok(Choice::Required(vec![name]))
        }
        (None, Some("allowed_tools")) => {
            let tools = choice.get("tools").and_then(Value::as_array);
            let names: Vec<String> = tools.into_iter().flatten().filter_map(name_of).collect();
            let required = choice.get("mode").and_then(Value::as_str) == Some("required");
            Ok(if required { Choice::Required(names) } else { Choice::Auto })
        }
        (None, Some(_)) => Ok(Choice::Auto),
        _ => Err(check::wrong_type("tool_choice", "one of 'none', 'auto', 'required' or an object")),
    }
}

fn format(body: &Map<String, Value>) -> Result<Format, Refusal> {
    let Some(format) = body.get("text").and_then(|text| text.get("format")).filter(|value| !value.is_null())
    else {
        return Ok(Format::Text);
    };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(Format::Text),
        Some("json_object") => {
            if !body.get("input").is_some_and(|input| input.to_string().to_lowercase().contains("json")) {
                let message = "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.";
                return Err(Refusal::parameter("input", None, message));
            }
            Ok(Format::Json)
        }
        Some("json_schema") => {
            let Some(label) = format.get("name").and_then(Value::as_str) else {
                return Err(check::missing("text.format.name"));
            };
            check::name(label, "text.format.name")?;
            let Some(schema) = format.get("schema") else { return Err(check::missing("text.format.schema")) };
            if format.get("strict").and_then(Value::as_bool) == Some(true) {
                check::strict_schema(schema, label, "text.format.schema", "invalid_json_schema")?;
            }
            Ok(Format::Schema(schema.clone()))
        }
        Some(other) => {
            let message = format!(
                "Invalid value: '{other}'. Supported values are: 'json_object', 'json_schema', and 'text'."
            );
            Err(Refusal::parameter("text.format.type", Some("invalid_value"), message))
        }
        None => Err(check::missing("text.format.type")),
    }
}
