//! Reads a chat completion request the way the vendor does: strictly, with its words for what is wrong.
//!
//! Owns messages and everything that turns into a [`Prompt`]; plain parameter checks are in `check`.

use serde_json::{Map, Value};

use super::super::{Context, Refusal};
use super::{check, models};
use crate::config::Flavor;
use crate::turn::{Choice, Format, Offer, Prompt, ToolOutcome};

/// A chat request understood.
pub(super) struct Chat {
    pub(super) prompt: Prompt,
    pub(super) choices: usize,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) obfuscate: bool,
    /// How many alternatives to list beside each token's log probability, if these were asked for.
    pub(super) logprobs: Option<usize>,
    pub(super) compatible: bool,
}

/// Reads and checks the request.
pub(super) fn read(body: &Map<String, Value>, context: &Context<'_>) -> Result<Chat, Refusal> {
    let compatible = context.config.flavor == Flavor::Compatible;
    let model = match body.get("model") {
        Some(Value::String(model)) if !model.is_empty() => model,
        _ => return Err(Refusal::invalid("you must provide a model parameter")),
    };
    models::admit(model, context.config)?;
    check::parameters(body, model, compatible)?;
    let mut prompt = Prompt { model: model.clone(), seed: context.seed, ..Prompt::default() };
    tools(body, &mut prompt)?;
    messages(body, &mut prompt)?;
    prompt.format = check::response_format(body, compatible)?;
    prompt.stop = stop_sequences(body)?;
    let limit = body.get("max_completion_tokens").or_else(|| body.get("max_tokens"));
    prompt.max_tokens = limit.and_then(Value::as_u64);
    prompt.reasoning = reasoning(body, model, compatible);
    if prompt.format == Format::Json && !mentions_json(body) {
        let message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.";
        return Err(Refusal::parameter("messages", None, message));
    }
    if prompt.tokens() > context.config.context_tokens {
        return Err(Refusal::ContextTooLong {
            limit: context.config.context_tokens,
            tokens: prompt.tokens(),
        });
    }
    let flag = |name: &str| body.get(name).and_then(Value::as_bool).unwrap_or(false);
    let option = |name: &str| {
        body.get("stream_options").and_then(|options| options.get(name)).and_then(Value::as_bool)
    };
    let alternatives = body.get("top_logprobs").and_then(Value::as_u64).unwrap_or(0) as usize;
    Ok(Chat {
        prompt,
        choices: body.get("n").and_then(Value::as_u64).unwrap_or(1) as usize,
        stream: flag("stream"),
        include_usage: option("include_usage").unwrap_or(false),
        obfuscate: !compatible && option("include_obfuscation").unwrap_or(true),
        logprobs: flag("logprobs").then_some(alternatives),
        compatible,
    })
}

/// `stop` as a list.
pub(super) fn stop_sequences(body: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    match body.get("stop") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(items)) if items.len() <= 4 && items.iter().all(Value::is_string) => {
            Ok(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        Some(Value::Array(items)) if items.len() > 4 => {
            let message = format!(
                "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length {} instead.",
                items.len()
            );
            Err(Refusal::parameter("stop", Some("array_above_max_length"), message))
        }
        Some(_) => Err(check::wrong_type("stop", "one of a string or an array of strings")),
    }
}

/// Tokens to reason with, by effort.
fn reasoning(body: &Map<String, Value>, model: &str, compatible: bool) -> u64 {
    let effort = body.get("reasoning_effort").and_then(Value::as_str);
    let thinks = check::reasons(model) || (compatible && (effort.is_some() || thinking_name(model)));
    if !thinks {
        return 0;
    }
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

fn thinking_name(model: &str) -> bool {
    ["reasoner", "thinking", "-r1", "qwq"].iter().any(|word| model.to_lowercase().contains(word))
}

fn mentions_json(body: &Map<String, Value>) -> bool {
    body.get("messages").is_some_and(|messages| messages.to_string().to_lowercase().contains("json"))
}

fn tools(body: &Map<String, Value>, prompt: &mut Prompt) -> Result<(), Refusal> {
    let offers = body.get("tools").and_then(Value::as_array);
    for (index, tool) in offers.into_iter().flatten().enumerate() {
        let function = tool.get("function");
        let name = function.and_then(|function| function.get("name")).and_then(Value::as_str);
        let Some(name) = name else {
            let param = format!("tools[{index}].function.name");
            return Err(check::missing(&param));
        };
        check::name(name, &format!("tools[{index}].function.name"))?;
        let schema = function.and_then(|function| function.get("parameters")).cloned().unwrap_or_default();
        if function.and_then(|function| function.get("strict")).and_then(Value::as_bool) == Some(true) {
            check::strict_schema(
                &schema,
                name,
                &format!("tools[{index}].function.parameters"),
                "invalid_function_parameters",
            )?;
        }
        prompt.count(&tool.to_string());
        prompt.tools.push(Offer { name: name.to_owned(), schema });
    }
    for name in ["tool_choice", "parallel_tool_calls"] {
        if prompt.tools.is_empty() && body.get(name).is_some_and(|value| !value.is_null()) {
            let message =
                format!("Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.");
            return Err(Refusal::parameter(name, None, message));
        }
    }
    prompt.one_call_only = body.get("parallel_tool_calls").and_then(Value::as_bool) == Some(false);
    prompt.choice = match body.get("tool_choice") {
        None | Some(Value::Null) => Choice::Auto,
        Some(Value::String(choice)) => match choice.as_str() {
            "auto" => Choice::Auto,
            "none" => Choice::None,
            "required" => Choice::Required(Vec::new()),
            other => {
                let message = format!(
                    "Invalid value: '{other}'. Supported values are: 'none', 'auto', and 'required'."
                );
                return Err(Refusal::parameter("tool_choice", Some("invalid_value"), message));
            }
        },
        Some(named) => {
            let name = named
                .pointer("/function/name")
                .and_then(Value::as_str)
                .ok_or_else(|| check::missing("tool_choice.function"))?;
            if prompt.tools.iter().all(|tool| tool.name != name) {
                let message = format!(
                    "Invalid value for 'tool_choice': Function '{name}' not found in 'tools' parameter."
                );
                return Err(Refusal::parameter("tool_choice", None, message));
            }
            Choice::Required(vec![name.to_owned()])
        }
    };
    Ok(())
}

/// Calls of the last assistant message that still lack a result: identifier and name.
type Pending = Vec<(String, String)>;

fn messages(body: &Map<String, Value>, prompt: &mut Prompt) -> Result<(), Refusal> {
    let messages = match body.get("messages") {
        Some(Value::Array(messages)) if !messages.is_empty() => messages,
        Some(Value::Array(_)) => {
            let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.";
            return Err(Refusal::parameter("messages", Some("empty_array"), message));
        }
        Some(_) => return Err(check::wrong_type("messages", "an array of objects")),
        None => return Err(check::missing("messages")),
    };
    let mut pending = Pending::new();
    for (index, message) in messages.iter().enumerate() {
        let role = message
            .get("role")
            .and_then(Value::as_str)
            .ok_or_else(|| check::missing(&format!("messages[{index}].role")))?;
        prompt.count_message(role);
        if role != "tool" && !pending.is_empty() {
            return Err(unanswered(&pending, index));
        }
        match role {
            "system" | "developer" => {
                let text = content(message, index, prompt)?;
                prompt.push_system(&text);
            }
            "user" => {
                prompt.outcomes.clear();
                prompt.begin_user();
                let text = content(message, index, prompt)?;
                prompt.push_user(&text);
            }
            "assistant" => {
                prompt.outcomes.clear();
                pending = assistant(message, index, prompt)?;
            }
            "tool" => tool(message, index, prompt, &mut pending)?,
            "function" => {}
            other => {
                let text = format!(
                    "Invalid value: '{other}'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'."
                );
                return Err(Refusal::parameter(
                    format!("messages[{index}].role"),
                    Some("invalid_value"),
                    text,
                ));
            }
        }
        prompt.mark();
    }
    if pending.is_empty() { Ok(()) } else { Err(unanswered(&pending, messages.len())) }
}

fn unanswered(pending: &Pending, index: usize) -> Refusal {
    let ids: Vec<&str> = pending.iter().map(|(id, _)| id.as_str()).collect();
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
        ids.join(", ")
    );
    Refusal::parameter(format!("messages.[{index}].role"), None, message)
}

fn assistant(message: &Value, index: usize, prompt: &mut Prompt) -> Result<Pending, Refusal> {
    let calls = message.get("tool_calls").and_then(Value::as_array);
    let mut pending = Pending::new();
    for (position, call) in calls.into_iter().flatten().enumerate() {
        let place = format!("messages[{index}].tool_calls[{position}]");
        let text = |pointer: &str| call.pointer(pointer).and_then(Value::as_str);
        let id = text("/id").ok_or_else(|| check::missing(&format!("{place}.id")))?;
        let name = text("/function/name").ok_or_else(|| check::missing(&format!("{place}.function.name")))?;
        let Some(arguments) = text("/function/arguments") else {
            return Err(check::wrong_type(&format!("{place}.function.arguments"), "a string"));
        };
        check::name(name, &format!("{place}.function.name"))?;
        prompt.count(name);
        prompt.count(arguments);
        pending.push((id.to_owned(), name.to_owned()));
    }
    let said = ["content", "refusal", "audio", "function_call"]
        .iter()
        .any(|key| message.get(*key).is_some_and(|value| !value.is_null()));
    if pending.is_empty() && !said {
        return Err(check::missing(&format!("messages[{index}].content")));
    }
    if message.get("content").is_some_and(|content| !content.is_null()) {
        content(message, index, prompt)?;
    }
    Ok(pending)
}

fn tool(message: &Value, index: usize, prompt: &mut Prompt, pending: &mut Pending) -> Result<(), Refusal> {
    let id = message
        .get("tool_call_id")
        .and_then(Value::as_str)
        .ok_or_else(|| check::missing(&format!("messages[{index}].tool_call_id")))?;
    let Some(position) = pending.iter().position(|(known, _)| known == id) else {
        let text = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.";
        return Err(Refusal::parameter(format!("messages.[{index}].role"), None, text));
    };
    let (_, name) = pending.remove(position);
    let text = content(message, index, prompt)?;
    prompt.outcomes.push(ToolOutcome { name, text, failed: false });
    Ok(())
}

/// The text of a message's content; counts it and what is attached.
fn content(message: &Value, index: usize, prompt: &mut Prompt) -> Result<String, Refusal> {
    let place = format!("messages[{index}].content");
    let parts = match message.get("content") {
        Some(Value::String(text)) => {
            prompt.count(text);
            return Ok(text.clone());
        }
        Some(Value::Array(parts)) => parts,
        None | Some(Value::Null) => {
            let text = format!("Invalid value for 'content': expected a string, got null. ({place})");
            return Err(Refusal::parameter(place, None, text));
        }
        Some(_) => return Err(check::wrong_type(&place, "one of a string or an array of objects")),
    };
    let mut texts = Vec::new();
    for (position, part) in parts.iter().enumerate() {
        let place = format!("{place}[{position}]");
        let text = |pointer: &str| part.pointer(pointer).and_then(Value::as_str);
        match text("/type") {
            Some("text") => {
                let said = text("/text").ok_or_else(|| check::missing(&format!("{place}.text")))?;
                prompt.count(said);
                texts.push(said);
            }
            Some("refusal") => texts.push(text("/refusal").unwrap_or_default()),
            Some("image_url") => {
                let url =
                    text("/image_url/url").ok_or_else(|| check::missing(&format!("{place}.image_url")))?;
                check::image(url, &place)?;
                prompt.count_image(url);
            }
            Some("input_audio" | "file") => prompt.count_document(&part.to_string()),
            Some(other) => {
                let text = format!(
                    "Invalid value: '{other}'. Supported values are: 'text', 'image_url', 'input_audio', 'refusal', 'audio', and 'file'."
                );
                return Err(Refusal::parameter(format!("{place}.type"), Some("invalid_value"), text));
            }
            None => return Err(check::missing(&format!("{place}.type"))),
        }
    }
    Ok(texts.join("\n"))
}
