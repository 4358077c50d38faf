//! `toolConfig`: what may be called, and what must be.
//!
//! Owns the declarations and the choice. Must not know the conversation beyond the calls in it. The dialect has no way to forbid
//! calls but to offer no tools, and insists on declarations wherever the conversation holds calls.

use super::block_encode::tool_name;
use super::turns::write_mark;
use crate::anthropic::{ANSWER_TOOL, schema};
use crate::codec::EncodeError;
use crate::conversation::CacheMarks;
use crate::json_text::JsonText;
use crate::write::NO_TOOLS;
use bytes::BytesMut;
use std::borrow::Cow;
use trunkline_model::content::Content;
use trunkline_model::dialect::Dialect;
use trunkline_model::json::Json;
use trunkline_model::request::{ChatRequest, FunctionTool, Tool, ToolChoice};
use trunkline_model::warning::Warning;

/// The tool that stands for a JSON answer where a model takes no schema.
pub(super) struct AnswerTool<'r> {
    pub(super) schema: &'r Json,
    pub(super) description: Option<&'r str>,
}

/// What was chosen, in the dialect's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Auto,
    Any,
    Tool(String),
}

impl Choice {
    /// As Claude's own field, which can also ask for one call at a time.
    pub(super) fn write_serial(&self, out: &mut BytesMut) {
        out.key("tool_choice");
        out.open_object();
        match self {
            Self::Auto => out.field("type", "auto"),
            Self::Any => out.field("type", "any"),
            Self::Tool(name) => {
                out.field("type", "tool");
                out.field("name", name);
            }
        }
        out.key("disable_parallel_tool_use");
        out.boolean(true);
        out.close_object();
    }
}

/// Writes `toolConfig`, with its comma before it, if there is anything in it. Gives the choice that holds.
pub(super) fn write(
    request: &ChatRequest,
    answer: Option<&AnswerTool<'_>>,
    marks: &mut CacheMarks,
    out: &mut BytesMut,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Choice>, EncodeError> {
    let used = used(request);
    let forbidden = request.tool_choice == Some(ToolChoice::None) && answer.is_none();
    if forbidden && used.is_empty() {
        warnings.push(if request.tools.is_empty() {
            Warning::dropped("tool_choice", NO_TOOLS)
        } else {
            Warning::emulated("tool_choice", "`none`: the tools are not sent")
        });
        return Ok(None);
    }
    let mut tools = BytesMut::new();
    let offered = offered(request, marks, &mut tools, warnings)?;
    if offered == 0 && !used.is_empty() {
        for name in &used {
            write_stand_in(name, &mut tools);
        }
        let reason = "the conversation holds calls of tools that are not declared: they are declared without parameters";
        warnings.push(Warning::emulated("tools", reason));
    }
    if let Some(answer) = answer {
        write_answer_tool(answer, &mut tools);
    }
    // What is made of a list of allowed tools is told where they are chosen.
    let is_listed =
        !request.tools.is_empty() && matches!(request.tool_choice, Some(ToolChoice::Allowed { .. }));
    if offered == 0 && request.tool_choice.is_some() && !forbidden && !is_listed {
        warnings.push(Warning::dropped("tool_choice", NO_TOOLS));
    }
    if tools.is_empty() {
        return Ok(None);
    }
    if answer.is_some()
        && offered > 0
        && matches!(
            request.tool_choice,
            Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. })
        )
    {
        warnings.push(Warning::emulated("tool_choice", schema::MAY_ANSWER));
    }
    if forbidden {
        let reason = "`none` cannot be said, and the calls in the conversation need the tools declared";
        warnings.push(Warning::dropped("tool_choice", reason));
    }
    let choice = choice(request, offered, answer.is_some());
    out.key("toolConfig");
    out.open_object();
    out.key("tools");
    out.open_array();
    // The comma between elements was written with each.
    out.extend_from_slice(&tools);
    out.close_array();
    if let Some(choice) = &choice {
        write_choice(choice, out);
    }
    out.close_object();
    Ok(choice)
}

fn choice(request: &ChatRequest, offered: usize, answer: bool) -> Option<Choice> {
    if answer {
        return Some(match &request.tool_choice {
            Some(ToolChoice::Named(name)) if offered > 0 => Choice::Tool(tool_name(name).into_owned()),
            choice if offered == 0 || *choice == Some(ToolChoice::None) => {
                Choice::Tool(ANSWER_TOOL.to_owned())
            }
            _ => Choice::Any,
        });
    }
    if offered == 0 {
        return None;
    }
    match request.tool_choice.as_ref()? {
        ToolChoice::None => None,
        ToolChoice::Auto | ToolChoice::Allowed { required: false, .. } => Some(Choice::Auto),
        ToolChoice::Required | ToolChoice::Allowed { required: true, .. } => Some(Choice::Any),
        ToolChoice::Named(name) => Some(Choice::Tool(tool_name(name).into_owned())),
    }
}

fn write_choice(choice: &Choice, out: &mut BytesMut) {
    out.key("toolChoice");
    out.open_object();
    match choice {
        Choice::Auto => out.field_raw("auto", "{}"),
        Choice::Any => out.field_raw("any", "{}"),
        Choice::Tool(name) => {
            out.key("tool");
            out.open_object();
            out.field("name", name);
            out.close_object();
        }
    }
    out.close_object();
}

/// Names of the tools that the conversation has calls of, once each.
fn used(request: &ChatRequest) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for part in request.messages.iter().flat_map(|message| &message.parts) {
        let name = match &part.content {
            Content::ToolCall(call) => call.name.as_str(),
            Content::ToolResult(result) => result.name.as_deref().unwrap_or_default(),
            _ => continue,
        };
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn offered(
    request: &ChatRequest,
    marks: &mut CacheMarks,
    out: &mut BytesMut,
    warnings: &mut Vec<Warning>,
) -> Result<usize, EncodeError> {
    let allowed = match &request.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) if !request.tools.is_empty() => {
            warnings.push(Warning::emulated("tool_choice", "only the allowed tools are sent"));
            Some(names)
        }
        _ => None,
    };
    let mut count = 0;
    for (index, tool) in request.tools.iter().enumerate() {
        match tool {
            Tool::Function(function) => {
                if allowed.is_some_and(|names| !names.contains(&function.name)) {
                    continue;
                }
                write_function(function, index, marks, out, warnings);
            }
            Tool::BuiltIn { origin: Dialect::Converse, json, .. } => out.raw(json.text()),
            Tool::BuiltIn { origin, kind, .. } => {
                return Err(EncodeError::Unsupported {
                    feature: format!("tools[{index}]"),
                    reason: format!("the built-in tool `{kind}` is run by {origin} providers only"),
                });
            }
        }
        count += 1;
    }
    Ok(count)
}

fn write_function(
    tool: &FunctionTool,
    index: usize,
    marks: &mut CacheMarks,
    out: &mut BytesMut,
    warnings: &mut Vec<Warning>,
) {
    let name = tool_name(&tool.name);
    if matches!(name, Cow::Owned(_)) {
        let feature = format!("tools[{index}].name");
        warnings.push(Warning::emulated(feature, "renamed to what Bedrock accepts"));
    }
    out.open_object();
    out.key("toolSpec");
    out.open_object();
    out.field("name", &name);
    // An empty description is refused.
    if let Some(description) = tool.description.as_deref().filter(|text| !text.is_empty()) {
        out.field("description", description);
    }
    out.key("inputSchema");
    out.open_object();
    out.key("json");
    match &tool.parameters {
        Some(parameters) => schema::write_input(parameters, out),
        None => out.raw(r#"{"type":"object","properties":{}}"#),
    }
    out.close_object();
    if let Some(strict) = tool.strict {
        out.key("strict");
        out.boolean(strict);
    }
    out.close_object();
    out.close_object();
    write_mark(marks.take(tool.cache, || format!("tools[{index}]"), warnings), out);
}

fn write_stand_in(name: &str, out: &mut BytesMut) {
    out.open_object();
    out.key("toolSpec");
    out.open_object();
    out.field("name", &tool_name(name));
    out.field_raw("inputSchema", r#"{"json":{"type":"object","properties":{}}}"#);
    out.close_object();
    out.close_object();
}

fn write_answer_tool(answer: &AnswerTool<'_>, out: &mut BytesMut) {
    out.open_object();
    out.key("toolSpec");
    out.open_object();
    out.field("name", ANSWER_TOOL);
    let default = "Gives the final answer. Call it once, with the whole answer as its arguments.";
    out.field("description", answer.description.filter(|text| !text.is_empty()).unwrap_or(default));
    out.key("inputSchema");
    out.open_object();
    out.key("json");
    schema::write_input(answer.schema, out);
    out.close_object();
    out.close_object();
    out.close_object();
}
