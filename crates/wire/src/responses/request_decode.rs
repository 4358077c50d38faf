//! Responses requests read into canonical form.
//!
//! Owns the top-level parameters; items are next door. Must not drop anything in silence: what has no canonical name is kept in
//! `extras`, under the name by which its target would know it, so that an encoder writes it or warns. What the gateway itself
//! serves (`store`, `background`, `metadata`, the choice of what to include) is no business of a provider and is left out here.

use super::custom;
use super::{item_decode, leftovers};
use crate::codec::{BadRequest, PathParts};
use crate::scan::reader::Kind;
use crate::scan::tree::{Node, Place, Value, parse};
use crate::source::Source;
use trunkline_model::content::{Message, Role};
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::json::Json;
use trunkline_model::request::{
    ChatRequest, Effort, Extra, FunctionTool, OutputFormat, Reasoning, Request, Tool, ToolChoice, Visibility,
};

/// Values that are carried as text, never entered.
const OPAQUE: &[&str] = &["parameters", "schema"];

/// What of the answer is to be included besides; kept without what is included anyway or has a canonical name.
pub(super) const INCLUDE: &str = "include";

const COUNT: &str = "a whole number of at least 0";

/// Parameters that chat completions know by the same name and meaning.
pub(super) const SHARED: &[&str] = &[
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "moderation",
    "safety_identifier",
];

/// Reads a request of this dialect.
///
/// # Errors
/// What is wrong, by path or byte offset.
pub fn decode_request<'a>(
    operation: Operation,
    body: impl Into<Source<'a>>,
    _path: &PathParts,
) -> Result<Request, BadRequest> {
    let source = body.into();
    if operation == Operation::Embeddings {
        return Err(BadRequest::at("input", "the responses endpoint makes no embeddings"));
    }
    let root = parse(source, OPAQUE)?;
    if root.kind() != Kind::Object {
        return Err(BadRequest {
            message: "the body: expected an object".to_owned(),
            path: None,
            offset: Some(0),
        });
    }
    chat(&root, &Place::root(source)).map(|chat| Request::Chat(Box::new(chat)))
}

pub(super) fn extra(origin: Dialect, name: impl Into<String>, node: &Node<'_>) -> Extra {
    Extra { origin, name: name.into(), value: node.json() }
}

fn chat(root: &Node<'_>, place: &Place<'_>) -> Result<ChatRequest, BadRequest> {
    let mut chat =
        ChatRequest { model: place.needed_text(root, "model")?.to_owned(), ..ChatRequest::default() };
    let mut has_input = false;
    if let Some(instructions) = root.field("instructions") {
        instruct(instructions, &place.key("instructions"), &mut chat)?;
        leftovers::of_items("instructions", instructions, &mut chat.extras);
    }
    for (name, node) in root.fields() {
        if matches!(node.value, Value::Null) {
            continue;
        }
        let at = place.key(name);
        match name {
            "input" => {
                has_input = true;
                item_decode::input(node, &at, &mut chat.messages)?;
                leftovers::of_items(name, node, &mut chat.extras);
            }
            "tools" => tools(node, &at, &mut chat)?,
            "tool_choice" => match tool_choice(node, &at)? {
                Some(choice) => chat.tool_choice = Some(choice),
                None => chat.extras.push(extra(Dialect::Responses, name, node)),
            },
            "parallel_tool_calls" => chat.parallel_tool_calls = Some(at.boolean(node)?),
            "max_output_tokens" => chat.max_output_tokens = Some(at.positive(node)?),
            "temperature" => chat.sampling.temperature = Some(at.number(node)?),
            "top_p" => chat.sampling.top_p = Some(at.number(node)?),
            "top_logprobs" => {
                let alternatives: u32 = at.whole(node, COUNT)?;
                if alternatives > 0 {
                    chat.logprobs = Some(alternatives);
                }
            }
            "include" => include(node, &at, &mut chat)?,
            "text" => text(node, &at, &mut chat)?,
            "reasoning" => reasoning(node, &at, &mut chat)?,
            "stream" => chat.stream = at.boolean(node)?,
            "user" => chat.user = Some(at.text(node)?.to_owned()),
            "stream_options" => _ = at.object(node)?,
            "truncation" if node.as_text() == Some("disabled") => {}
            "prompt" | "conversation" | "previous_response_id" => return Err(elsewhere(name, &at)),
            name if SHARED.contains(&name) => chat.extras.push(extra(Dialect::OpenAi, name, node)),
            "model" | "instructions" | "store" | "background" | "metadata" => {}
            _ => chat.extras.push(extra(Dialect::Responses, name, node)),
        }
        leftovers::of_parameter(name, node, &mut chat.extras);
    }
    if !has_input {
        return Err(place.key("input").missing("a string or an array of items"));
    }
    chat.stream_usage = true;
    Ok(chat)
}

/// Without what it names the answer would be another one.
fn elsewhere(name: &str, place: &Place<'_>) -> BadRequest {
    let what = match name {
        "prompt" => {
            "a stored prompt exists only at the provider that keeps it; send its text as `instructions`"
        }
        "conversation" => {
            "a stored conversation exists only at the provider that keeps it; chain with `previous_response_id`"
        }
        _ => "the earlier response must be put into `input` before the request can be translated",
    };
    place.wrong(what)
}

/// A text, or a list of items, before everything else.
fn instruct(node: &Node<'_>, place: &Place<'_>, chat: &mut ChatRequest) -> Result<(), BadRequest> {
    match place.said(node) {
        Some(text) => chat.messages.push(Message::text(Role::System, text)),
        None => item_decode::input(node, place, &mut chat.messages)?,
    }
    Ok(())
}

fn include(node: &Node<'_>, place: &Place<'_>, chat: &mut ChatRequest) -> Result<(), BadRequest> {
    let mut others = Vec::new();
    for (index, node) in place.array(node)?.iter().enumerate() {
        match place.index(index).text(node)? {
            "message.output_text.logprobs" => _ = chat.logprobs.get_or_insert(0),
            // Sealed reasoning is always given.
            "reasoning.encrypted_content" => {}
            _ => others.push(node.raw),
        }
    }
    if !others.is_empty()
        && let Ok(value) = Json::parse(format!("[{}]", others.join(",")))
    {
        chat.extras.push(Extra { origin: Dialect::Responses, name: INCLUDE.to_owned(), value });
    }
    Ok(())
}

fn tools(node: &Node<'_>, place: &Place<'_>, chat: &mut ChatRequest) -> Result<(), BadRequest> {
    for (index, tool) in place.array(node)?.iter().enumerate() {
        let at = place.index(index);
        let kind = at.needed_text(at.object(tool)?, "type")?;
        leftovers::of_tool(tool, index, &mut chat.extras);
        match kind {
            "function" => chat.tools.push(Tool::Function(function_tool(tool, &at)?)),
            "custom" => {
                chat.tools.push(Tool::Function(custom::as_function(tool, &at)?));
                let format = tool.field("format");
                let is_free =
                    |format: &Node<'_>| format.field("type").and_then(Node::as_text) == Some("text");
                if let Some(format) = format.filter(|format| !is_free(format)) {
                    chat.extras.push(extra(Dialect::Responses, format!("tools[{index}].format"), format));
                }
            }
            kind => {
                let (kind, json) = (kind.to_owned(), tool.json());
                chat.tools.push(Tool::BuiltIn { origin: Dialect::Responses, kind, json });
            }
        }
    }
    Ok(())
}

fn function_tool(node: &Node<'_>, place: &Place<'_>) -> Result<FunctionTool, BadRequest> {
    let parameters_place = place.key("parameters");
    let parameters = match node.field("parameters").filter(|schema| schema.kind() != Kind::Null) {
        Some(schema) => Some(parameters_place.object(schema)?.json()),
        None => None,
    };
    let strict = match node.field("strict").filter(|flag| !matches!(flag.value, Value::Null)) {
        Some(flag) => Some(place.key("strict").boolean(flag)?),
        None => None,
    };
    Ok(FunctionTool {
        name: place.needed_text(node, "name")?.to_owned(),
        description: place.text_field(node, "description")?.map(str::to_owned),
        parameters,
        strict,
        cache: None,
    })
}

/// `None` for a choice this dialect alone knows.
fn tool_choice(node: &Node<'_>, place: &Place<'_>) -> Result<Option<ToolChoice>, BadRequest> {
    if let Some(word) = node.as_text() {
        return match word {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(Some(ToolChoice::None)),
            "required" => Ok(Some(ToolChoice::Required)),
            other => Err(place.wrong(format_args!(
                "expected `auto`, `none`, `required` or an object that names a tool, found `{other}`"
            ))),
        };
    }
    if node.kind() != Kind::Object {
        return Err(place.expected("a string or an object", node));
    }
    match place.needed_text(node, "type")? {
        "function" | "custom" => Ok(Some(ToolChoice::Named(place.needed_text(node, "name")?.to_owned()))),
        "allowed_tools" => {
            let tools_place = place.key("tools");
            let tools = node.field("tools").ok_or_else(|| tools_place.missing("an array of tools"))?;
            let mut names = Vec::new();
            for (index, tool) in tools_place.array(tools)?.iter().enumerate() {
                let at = tools_place.index(index);
                // Tools of the provider are named by their type.
                let name = if tool.field("name").is_some() { "name" } else { "type" };
                names.push(at.needed_text(tool, name)?.to_owned());
            }
            let required = node.field("mode").and_then(Node::as_text) == Some("required");
            Ok(Some(ToolChoice::Allowed { names, required }))
        }
        _ => Ok(None),
    }
}

fn text(node: &Node<'_>, place: &Place<'_>, chat: &mut ChatRequest) -> Result<(), BadRequest> {
    if let Some(verbosity) = place.object(node)?.field("verbosity")
        && !matches!(verbosity.value, Value::Null)
    {
        chat.extras.push(extra(Dialect::OpenAi, "verbosity", verbosity));
    }
    let at = place.key("format");
    let Some(format) = node.field("format") else { return Ok(()) };
    if matches!(format.value, Value::Null) {
        return Ok(());
    }
    chat.output = match at.needed_text(at.object(format)?, "type")? {
        "text" => OutputFormat::Text,
        "json_object" => OutputFormat::JsonObject,
        "json_schema" => {
            let schema_place = at.key("schema");
            let schema = format.field("schema").ok_or_else(|| schema_place.missing("a JSON schema"))?;
            let strict = format.field("strict").filter(|flag| !matches!(flag.value, Value::Null));
            OutputFormat::JsonSchema {
                name: at.text_field(format, "name")?.map(str::to_owned),
                description: at.text_field(format, "description")?.map(str::to_owned),
                schema: schema_place.object(schema)?.json(),
                strict: strict.map(|flag| at.key("strict").boolean(flag)).transpose()?,
            }
        }
        other => {
            return Err(at
                .key("type")
                .wrong(format_args!("expected `text`, `json_object` or `json_schema`, found `{other}`")));
        }
    };
    Ok(())
}

fn reasoning(node: &Node<'_>, place: &Place<'_>, chat: &mut ChatRequest) -> Result<(), BadRequest> {
    let mut reasoning = Reasoning::default();
    for (name, value) in place.object(node)?.fields() {
        let at = place.key(name);
        match name {
            _ if matches!(value.value, Value::Null) => {}
            "effort" => {
                let level = at.text(value)?;
                reasoning.effort = Some(Effort::parse(level).ok_or_else(|| {
                    at.wrong(format_args!(
                        "expected `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`, found `{level}`"
                    ))
                })?);
            }
            "summary" | "generate_summary" => {
                at.text(value)?;
                reasoning.visibility = Visibility::Shown;
            }
            _ => chat.extras.push(extra(Dialect::Responses, format!("reasoning.{name}"), value)),
        }
    }
    // A wish to see reasoning is not yet one to reason.
    if reasoning != Reasoning::default() {
        chat.reasoning = Some(reasoning);
    }
    Ok(())
}

/// The JSON of a node's value, for the decoders of items.
pub(super) fn json_of(node: &Node<'_>) -> Json {
    node.json()
}
