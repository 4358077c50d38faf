//! Anthropic messages and count_tokens requests into canonical form.
//!
//! Owns the top level of the body: parameters, tools, output configuration. Content blocks are `block_decode`'s. Must not
//! judge what a target can do. Parameters without a canonical name are kept as extras under their own names, and nested
//! leftovers under their paths, so that an encoder for another dialect can report each of them.

use super::block_decode;
use crate::codec::{BadRequest, PathParts};
use crate::cursor::{self, At};
use crate::source::Source;
use trunkline_model::content::{Message, Part, Role};
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::request::{
    ChatRequest, Effort, Extra, FunctionTool, OutputFormat, Reasoning, Request, Tool, ToolChoice, Visibility,
};

/// Reads a request body.
///
/// # Errors
/// The first mistake, with its path and what is expected there.
pub fn decode_request<'a>(
    operation: Operation,
    body: impl Into<Source<'a>>,
    path: &PathParts,
) -> Result<Request, BadRequest> {
    let source = body.into();
    if operation == Operation::Embeddings {
        return Err(BadRequest {
            message: "the Anthropic dialect has no embeddings: use the OpenAI or Gemini endpoint".to_owned(),
            path: None,
            offset: None,
        });
    }
    let node = cursor::parse(source)?;
    let root = At::shared(&node, source);
    if root.fields().is_err() {
        return Err(root.wrong("the body must be a JSON object"));
    }
    let model = match &path.model {
        Some(model) => model.clone(),
        None => root.required("model", "a string")?.string()?,
    };
    let mut request = ChatRequest { model, ..ChatRequest::default() };
    system(&root, &mut request)?;
    messages(&root, &mut request)?;
    if operation == Operation::Chat {
        let limit = root.required("max_tokens", "a whole number, 1 or more")?;
        let tokens = limit.unsigned()?;
        if tokens == 0 {
            return Err(limit.wrong("expected a whole number, 1 or more"));
        }
        request.max_output_tokens = Some(tokens);
    }
    for (name, value) in root.fields()? {
        if !value.is_null() {
            parameter(name, &value, &mut request)?;
        }
    }
    if let Some(delivery) = path.delivery {
        request.stream = delivery.is_stream();
    }
    // This dialect sends usage in every stream.
    request.stream_usage = request.stream;
    Ok(Request::Chat(Box::new(request)))
}

/// Keeps a value that has no canonical name.
pub(super) fn keep(
    request: &mut ChatRequest,
    name: impl Into<String>,
    value: &At<'_>,
) -> Result<(), BadRequest> {
    request.extras.push(Extra { origin: Dialect::Anthropic, name: name.into(), value: value.json()? });
    Ok(())
}

fn system(root: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    let Some(system) = root.optional("system") else { return Ok(()) };
    let parts = system_parts(&system, request)?;
    if !parts.is_empty() {
        request.messages.push(Message { role: Role::System, parts, name: None });
    }
    Ok(())
}

fn system_parts(content: &At<'_>, request: &mut ChatRequest) -> Result<Vec<Part>, BadRequest> {
    if content.is_text() {
        return Ok(vec![Part::text(content.said()?)]);
    }
    if !content.is_array() {
        return Err(content.expected("a string or an array of text blocks"));
    }
    let mut parts = Vec::new();
    for block in content.items()? {
        let kind = block.required("type", "a string")?;
        if kind.text()? != "text" {
            return Err(kind.wrong("expected \"text\": system instructions are text only"));
        }
        block_decode::block(&block, request, &mut parts)?;
    }
    Ok(parts)
}

/// What is read of messages, and what tells of an answer that is over: clients put whole answers back.
const MESSAGE: &[&str] =
    &["role", "content", "id", "type", "model", "stop_reason", "stop_sequence", "usage", "container"];

fn messages(root: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    let messages = root.required("messages", "an array of messages")?;
    let items = messages.items()?;
    if items.len() == 0 {
        return Err(messages.wrong("expected at least one message"));
    }
    request.messages.reserve(items.len());
    for message in items {
        let role = message.required("role", "\"user\" or \"assistant\"")?;
        let content = message.required("content", "a string or an array of content blocks")?;
        match &*role.text()? {
            "user" => block_decode::user(&content, request)?,
            "assistant" => block_decode::assistant(&content, request)?,
            "system" => {
                let parts = system_parts(&content, request)?;
                request.messages.push(Message { role: Role::System, parts, name: None });
            }
            _ => return Err(role.wrong("expected \"user\", \"assistant\" or \"system\"")),
        }
        block_decode::keep_others(&message, MESSAGE, request)?;
    }
    Ok(())
}

fn parameter(name: &str, value: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    match name {
        "model" | "messages" | "system" | "max_tokens" => {}
        "stream" => request.stream = value.boolean()?,
        "temperature" => request.sampling.temperature = Some(ranged(value, 0.0, 1.0)?),
        "top_p" => request.sampling.top_p = Some(ranged(value, 0.0, 1.0)?),
        "top_k" => request.sampling.top_k = Some(value.unsigned()?),
        "stop_sequences" => {
            request.stop = value.items()?.map(|stop| stop.string()).collect::<Result<_, _>>()?;
        }
        "metadata" => metadata(value, request)?,
        "tools" => tools(value, request)?,
        "tool_choice" => tool_choice(value, request)?,
        "thinking" => thinking(value, request)?,
        "output_config" => output_config(value, request)?,
        _ => keep(request, name, value)?,
    }
    Ok(())
}

fn ranged(value: &At<'_>, least: f64, most: f64) -> Result<f64, BadRequest> {
    let number = value.float()?;
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(value.wrong(&format!("expected a number from {least} to {most}, found {number}")))
}

fn metadata(value: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    for (name, field) in value.fields()? {
        if field.is_null() {
            continue;
        }
        if name == "user_id" {
            request.user = Some(field.string()?);
        } else {
            keep(request, field.path(), &field)?;
        }
    }
    Ok(())
}

/// What is read of tools, of their choice, of thinking and of the form of an answer.
const TOOL: &[&str] = &["type", "name", "input_schema", "description", "strict", "cache_control"];
const CHOICE: &[&str] = &["type", "name", "disable_parallel_tool_use"];
const THINKING: &[&str] = &["type", "budget_tokens", "display"];
const FORMAT: &[&str] = &["type", "name", "schema"];

fn tools(value: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    for tool in value.items()? {
        let kind = match tool.optional("type") {
            Some(kind) => kind.string()?,
            None => "custom".to_owned(),
        };
        if kind != "custom" {
            request.tools.push(Tool::BuiltIn { origin: Dialect::Anthropic, kind, json: tool.object_json()? });
            continue;
        }
        let name = tool.required("name", "a string")?;
        if name.text()?.is_empty() {
            return Err(name.wrong("expected a name, found an empty string"));
        }
        let schema = tool.required("input_schema", "an object (a JSON Schema)")?.object_json()?;
        let cache = block_decode::cache_mark(&tool, request)?;
        request.tools.push(Tool::Function(FunctionTool {
            name: name.string()?,
            description: tool.optional("description").map(|text| text.string()).transpose()?,
            parameters: Some(schema),
            strict: tool.optional("strict").map(|flag| flag.boolean()).transpose()?,
            cache,
        }));
        block_decode::keep_others(&tool, TOOL, request)?;
    }
    Ok(())
}

fn tool_choice(value: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    let kind = value.required("type", "\"auto\", \"any\", \"tool\" or \"none\"")?;
    request.tool_choice = Some(match &*kind.text()? {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(value.required("name", "the name of a tool")?.string()?),
        _ => return Err(kind.wrong("expected \"auto\", \"any\", \"tool\" or \"none\"")),
    });
    if let Some(disable) = value.optional("disable_parallel_tool_use") {
        request.parallel_tool_calls = Some(!disable.boolean()?);
    }
    block_decode::keep_others(value, CHOICE, request)
}

fn thinking(value: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    let kind = value.required("type", "\"enabled\", \"adaptive\" or \"disabled\"")?;
    if kind.text()? == "between_tools" {
        return keep(request, "thinking", value);
    }
    let mut reasoning = request.reasoning.take().unwrap_or_default();
    match &*kind.text()? {
        "enabled" => {
            let budget = value.required("budget_tokens", "a whole number, 1024 or more")?;
            let tokens = budget.unsigned()?;
            if tokens < 1024 {
                return Err(budget.wrong("expected 1024 or more"));
            }
            if request.max_output_tokens.is_some_and(|limit| tokens >= limit) {
                return Err(budget.wrong("expected less than max_tokens, which includes the thinking"));
            }
            reasoning.budget_tokens = Some(tokens);
        }
        "adaptive" => reasoning.adaptive = true,
        "disabled" => reasoning.effort = Some(Effort::None),
        _ => return Err(kind.wrong("expected \"enabled\", \"adaptive\" or \"disabled\"")),
    }
    if let Some(display) = value.optional("display") {
        reasoning.visibility = match &*display.text()? {
            "summarized" => Visibility::Shown,
            "omitted" => Visibility::Hidden,
            _ => return Err(display.wrong("expected \"summarized\" or \"omitted\"")),
        };
    }
    if reasoning != Reasoning::default() {
        request.reasoning = Some(reasoning);
    }
    block_decode::keep_others(value, THINKING, request)
}

fn output_config(value: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    for (name, field) in value.fields()? {
        if field.is_null() {
            continue;
        }
        match name {
            "effort" => {
                let text = field.text()?;
                let effort = Effort::parse(&text).ok_or_else(|| {
                    field.wrong("expected \"low\", \"medium\", \"high\", \"xhigh\" or \"max\"")
                })?;
                let reasoning = request.reasoning.get_or_insert_default();
                // A turned-off thinking block outranks the effort, which then only steers verbosity.
                if reasoning.effort.is_none() {
                    reasoning.effort = Some(effort);
                }
            }
            "format" => {
                let kind = field.required("type", "\"json_schema\"")?;
                if kind.text()? != "json_schema" {
                    return Err(kind.wrong("expected \"json_schema\""));
                }
                request.output = OutputFormat::JsonSchema {
                    name: field.optional("name").map(|name| name.string()).transpose()?,
                    description: None,
                    schema: field.required("schema", "an object (a JSON Schema)")?.object_json()?,
                    strict: None,
                };
                block_decode::keep_others(&field, FORMAT, request)?;
            }
            _ => keep(request, field.path(), &field)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(body: &str) -> String {
        decode_request(Operation::Chat, body.as_bytes(), &PathParts::default())
            .map(|_| "accepted".to_owned())
            .unwrap_or_else(|error| error.message)
    }

    #[test]
    fn mistakes_are_named() {
        let rest = r#""model":"m","max_tokens":9"#;
        let user = r#"{"role":"user","content":"x"}"#;
        let bodies = [
            "[]".to_owned(),
            "{".to_owned(),
            r#"{"model":3}"#.to_owned(),
            format!(r#"{{"model":"m","messages":[{user}]}}"#),
            format!(r#"{{"model":"m","max_tokens":0,"messages":[{user}]}}"#),
            format!(r#"{{"model":"m","max_tokens":"9","messages":[{user}]}}"#),
            format!(r#"{{{rest}}}"#),
            format!(r#"{{{rest},"messages":[]}}"#),
            format!(r#"{{{rest},"messages":["x"]}}"#),
            format!(r#"{{{rest},"messages":[{{"content":"x"}}]}}"#),
            format!(r#"{{{rest},"messages":[{{"role":"tool","content":"x"}}]}}"#),
            format!(r#"{{{rest},"messages":[{{"role":"user","content":5}}]}}"#),
            format!(r#"{{{rest},"messages":[{{"role":"user","content":[{{"type":"text","text":7}}]}}]}}"#),
            format!(r#"{{{rest},"messages":[{{"role":"user","content":[{{"text":"a"}}]}}]}}"#),
            format!(
                r#"{{{rest},"messages":[{{"role":"user","content":[{{"type":"image","source":{{"type":"base64","data":"x"}}}}]}}]}}"#
            ),
            format!(
                r#"{{{rest},"messages":[{{"role":"user","content":[{{"type":"image","source":{{"type":"disk"}}}}]}}]}}"#
            ),
            format!(
                r#"{{{rest},"messages":[{{"role":"assistant","content":[{{"type":"tool_use","id":"a","name":"f","input":[]}}]}}]}}"#
            ),
            format!(
                r#"{{{rest},"messages":[{{"role":"user","content":[{{"type":"tool_result","content":"x"}}]}}]}}"#
            ),
            format!(r#"{{{rest},"messages":[{user}],"system":[{{"type":"image"}}]}}"#),
            format!(r#"{{{rest},"messages":[{user}],"temperature":1.5}}"#),
            format!(r#"{{{rest},"messages":[{user}],"stop_sequences":"x"}}"#),
            format!(r#"{{{rest},"messages":[{user}],"tools":[{{"name":"f"}}]}}"#),
            format!(r#"{{{rest},"messages":[{user}],"tool_choice":{{"type":"required"}}}}"#),
            format!(r#"{{{rest},"messages":[{user}],"tool_choice":{{"type":"tool"}}}}"#),
            format!(r#"{{{rest},"messages":[{user}],"thinking":{{"type":"on"}}}}"#),
            format!(r#"{{{rest},"messages":[{user}],"thinking":{{"type":"enabled","budget_tokens":5}}}}"#),
            format!(r#"{{{rest},"messages":[{user}],"thinking":{{"type":"enabled","budget_tokens":2000}}}}"#),
            format!(r#"{{{rest},"messages":[{user}],"output_config":{{"effort":"huge"}}}}"#),
            format!(r#"{{{rest},"messages":[{user}],"output_config":{{"format":{{"type":"xml"}}}}}}"#),
            format!(
                r#"{{{rest},"messages":[{{"role":"user","content":[{{"type":"text","text":"a","cache_control":{{"type":"ephemeral","ttl":"2h"}}}}]}}]}}"#
            ),
        ];
        let lines: Vec<String> = bodies.iter().map(|body| mistake(body)).collect();
        insta::assert_snapshot!(lines.join("\n"));
        let embeddings = decode_request(Operation::Embeddings, b"{}", &PathParts::default());
        insta::assert_snapshot!(embeddings.unwrap_err().message, @"the Anthropic dialect has no embeddings: use the OpenAI or Gemini endpoint");
    }

    #[test]
    fn unknown_parameters_are_kept_under_their_names() {
        let body = br#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"x","zap":1},{"type":"sparkle","zap":1},
                {"type":"image","source":{"type":"url","url":"https://a.example/b.png","zap":1,"data":"x"}},
                {"type":"document","source":{"type":"text","media_type":"text/plain","data":"x","zap":2,"zip":null}},
                {"type":"tool_result","tool_use_id":"t","content":[{"type":"image","source":{"type":"file","file_id":"f","zap":3}}]}]},
            {"role":"assistant","content":"y","id":"msg_1","usage":{"input_tokens":1},"zip":true}],
            "service_tier":"auto","container":null,"output_config":{"odd":1},"metadata":{"user_id":"u","k":2},
            "tools":[{"name":"f","input_schema":{},"defer_loading":true}]}"#;
        let Request::Chat(request) = decode_request(Operation::Chat, body, &PathParts::default()).unwrap()
        else {
            panic!("a chat request decodes to a chat request")
        };
        let names: Vec<&str> = request.extras.iter().map(|extra| extra.name.as_str()).collect();
        let mut sorted = names;
        sorted.sort_unstable();
        assert_eq!(
            sorted,
            [
                "messages[0].content[0].zap",
                "messages[0].content[2].source.data",
                "messages[0].content[2].source.zap",
                "messages[0].content[3].source.zap",
                "messages[0].content[4].content[0].source.zap",
                "messages[1].zip",
                "metadata.k",
                "output_config.odd",
                "service_tier",
                "tools[0].defer_loading"
            ]
        );
        assert_eq!(request.user.as_deref(), Some("u"));
    }
}
