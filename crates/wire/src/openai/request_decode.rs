//! OpenAI chat requests read into canonical form.
//!
//! Owns the top-level parameters; messages are next door. Must not drop anything: what has no canonical name is kept in
//! `extras` under its own, so that an encoder of the same dialect writes it back and every other one can warn.

use super::{embeddings, media::cache_mark};
use super::{leftovers, message_decode};
use crate::codec::{BadRequest, PathParts};
use crate::scan::reader::Kind;
use crate::scan::tree::{Node, Place, Value, parse};
use crate::source::Source;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::request::{
    ChatRequest, Effort, Extra, FunctionTool, OutputFormat, Reasoning, Request, Tool, ToolChoice, Visibility,
};

/// Values that are carried as text, never entered.
const OPAQUE: &[&str] = &["parameters", "schema"];

const COUNT: &str = "a whole number of at least 0";

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
    let root = parse(source, OPAQUE)?;
    let place = Place::root(source);
    if root.kind() != Kind::Object {
        return Err(BadRequest {
            message: "the body: expected an object".to_owned(),
            path: None,
            offset: Some(0),
        });
    }
    match operation {
        Operation::Completions => {
            crate::completions::decode(source.bytes()).map(|chat| Request::Chat(Box::new(chat)))
        }
        Operation::Embeddings => embeddings::decode(&root, &place).map(Request::Embeddings),
        Operation::Rerank => crate::rerank::decode(source.bytes()).map(Request::Rerank),
        // What is relayed is never decoded.
        _ => chat(&root, &place).map(|chat| Request::Chat(Box::new(chat))),
    }
}

/// Keeps a field that has no canonical name.
pub(super) fn extra(name: &str, node: &Node<'_>) -> Extra {
    Extra { origin: Dialect::OpenAi, name: name.to_owned(), value: node.json() }
}

fn chat(root: &Node<'_>, place: &Place<'_>) -> Result<ChatRequest, BadRequest> {
    let mut chat =
        ChatRequest { model: place.needed_text(root, "model")?.to_owned(), ..ChatRequest::default() };
    let mut has_messages = false;
    let mut top_logprobs = None;
    let mut wants_logprobs = false;
    for (name, node) in root.fields() {
        if matches!(node.value, Value::Null) {
            continue;
        }
        let at = place.key(name);
        match name {
            "model" => {}
            "messages" => {
                has_messages = true;
                chat.messages = message_decode::messages(node, &at)?;
                leftovers::of_messages(node, &mut chat.extras);
            }
            "tools" => {
                chat.tools.extend(tools(node, &at)?);
                leftovers::of_tools(node, &mut chat.extras);
            }
            "functions" => {
                for (index, function) in at.array(node)?.iter().enumerate() {
                    chat.tools.push(Tool::Function(function_tool(function, &at.index(index))?));
                }
            }
            "tool_choice" | "function_call" => match tool_choice(node, &at)? {
                Some(choice) => chat.tool_choice = Some(choice),
                None => chat.extras.push(extra(name, node)),
            },
            "parallel_tool_calls" => chat.parallel_tool_calls = Some(at.boolean(node)?),
            // The newer name wins, wherever it stands.
            "max_tokens"
                if root.field("max_completion_tokens").is_some_and(|newer| newer.raw != node.raw) =>
            {
                chat.extras.push(extra(name, node));
            }
            "max_tokens" | "max_completion_tokens" => chat.max_output_tokens = Some(at.positive(node)?),
            "temperature" => chat.sampling.temperature = Some(at.number(node)?),
            "top_p" => chat.sampling.top_p = Some(at.number(node)?),
            "top_k" => chat.sampling.top_k = Some(at.whole(node, COUNT)?),
            "frequency_penalty" => chat.sampling.frequency_penalty = Some(at.number(node)?),
            "presence_penalty" => chat.sampling.presence_penalty = Some(at.number(node)?),
            "seed" => chat.sampling.seed = Some(at.whole(node, "a whole number of 64 bits")?),
            "stop" => chat.stop = stop(node, &at)?,
            "n" => chat.choices = Some(at.choices(node)?),
            "logprobs" => wants_logprobs = at.boolean(node)?,
            "top_logprobs" => top_logprobs = Some((at.whole(node, COUNT)?, node)),
            "response_format" => match output_format(node, &at)? {
                Some(format) => chat.output = format,
                None => chat.extras.push(extra(name, node)),
            },
            "reasoning_effort" | "reasoning" | "thinking" => reasoning(&mut chat, name, node, &at)?,
            "stream" => chat.stream = at.boolean(node)?,
            "stream_options" => {
                let usage = at.object(node)?.field("include_usage");
                chat.stream_usage =
                    usage.map(|flag| at.key("include_usage").boolean(flag)).transpose()?.unwrap_or(false);
            }
            "user" => chat.user = Some(at.text(node)?.to_owned()),
            _ => chat.extras.push(extra(name, node)),
        }
        leftovers::of_parameter(name, node, &mut chat.extras);
    }
    if !has_messages {
        return Err(place.key("messages").missing("an array of messages"));
    }
    match top_logprobs {
        _ if !wants_logprobs => {
            // The alternatives to what is not asked for: nothing that another target could be asked for.
            let unasked = top_logprobs.filter(|(alternatives, _)| *alternatives > 0);
            chat.extras.extend(unasked.map(|(_, node)| extra("top_logprobs", node)));
        }
        Some((alternatives, _)) => chat.logprobs = Some(alternatives),
        None => chat.logprobs = Some(0),
    }
    Ok(chat)
}

fn tools(node: &Node<'_>, place: &Place<'_>) -> Result<Vec<Tool>, BadRequest> {
    let mut tools = Vec::new();
    for (index, tool) in place.array(node)?.iter().enumerate() {
        let at = place.index(index);
        let kind = at.text_field(at.object(tool)?, "type")?.unwrap_or("function");
        if kind != "function" {
            let (kind, json) = (kind.to_owned(), tool.json());
            tools.push(Tool::BuiltIn { origin: Dialect::OpenAi, kind, json });
            continue;
        }
        let function_place = at.key("function");
        let function = tool.field("function").ok_or_else(|| function_place.missing("an object"))?;
        let mut declaration = function_tool(function, &function_place)?;
        declaration.cache = cache_mark(tool).or(declaration.cache);
        tools.push(Tool::Function(declaration));
    }
    Ok(tools)
}

fn function_tool(node: &Node<'_>, place: &Place<'_>) -> Result<FunctionTool, BadRequest> {
    place.object(node)?;
    let parameters_place = place.key("parameters");
    let parameters = match node.field("parameters") {
        Some(schema) => Some(parameters_place.object(schema)?.json()),
        None => None,
    };
    let strict = node.field("strict").map(|flag| place.key("strict").boolean(flag)).transpose()?;
    Ok(FunctionTool {
        name: place.needed_text(node, "name")?.to_owned(),
        description: place.text_field(node, "description")?.map(str::to_owned),
        parameters,
        strict,
        cache: cache_mark(node),
    })
}

/// `None` for a choice this dialect alone knows.
fn tool_choice(node: &Node<'_>, place: &Place<'_>) -> Result<Option<ToolChoice>, BadRequest> {
    if let Some(word) = node.as_text() {
        return match word {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(Some(ToolChoice::None)),
            "required" | "any" => Ok(Some(ToolChoice::Required)),
            other => Err(place.wrong(format_args!(
                "expected `auto`, `none`, `required` or an object that names a tool, found `{other}`"
            ))),
        };
    }
    if node.kind() != Kind::Object {
        return Err(place.expected("a string or an object", node));
    }
    match place.text_field(node, "type")?.unwrap_or("function") {
        "function" => {
            // The legacy `function_call` has the name at its top.
            let (holder, inner) = (node.field("function").unwrap_or(node), place.key("function"));
            let at = if node.field("function").is_some() { &inner } else { place };
            Ok(Some(ToolChoice::Named(at.needed_text(holder, "name")?.to_owned())))
        }
        "allowed_tools" => {
            let inner = place.key("allowed_tools");
            let allowed = node.field("allowed_tools").unwrap_or(node);
            let tools_place = inner.key("tools");
            let tools = allowed.field("tools").ok_or_else(|| tools_place.missing("an array of tools"))?;
            let mut names = Vec::new();
            for (index, tool) in tools_place.array(tools)?.iter().enumerate() {
                let at = tools_place.index(index);
                let holder = tool.field("function").unwrap_or(tool);
                names.push(at.needed_text(holder, "name")?.to_owned());
            }
            let required = allowed.field("mode").and_then(Node::as_text) == Some("required");
            Ok(Some(ToolChoice::Allowed { names, required }))
        }
        _ => Ok(None),
    }
}

fn stop(node: &Node<'_>, place: &Place<'_>) -> Result<Vec<String>, BadRequest> {
    if let Some(text) = node.as_text() {
        return Ok(vec![text.to_owned()]);
    }
    if node.kind() != Kind::Array {
        return Err(place.expected("a string or an array of strings", node));
    }
    let texts = place.array(node)?.iter().enumerate();
    texts.map(|(index, text)| place.index(index).text(text).map(str::to_owned)).collect()
}

/// `None` for a format this dialect alone knows (grammars).
fn output_format(node: &Node<'_>, place: &Place<'_>) -> Result<Option<OutputFormat>, BadRequest> {
    place.object(node)?;
    match place.needed_text(node, "type")? {
        "text" => Ok(Some(OutputFormat::Text)),
        // Some look-alikes take a schema with `json_object`.
        "json_object" if node.field("schema").is_none() => Ok(Some(OutputFormat::JsonObject)),
        "json_schema" => {
            let inner = place.key("json_schema");
            let format = node.field("json_schema").ok_or_else(|| inner.missing("an object"))?;
            inner.object(format)?;
            let schema_place = inner.key("schema");
            let schema = format.field("schema").ok_or_else(|| schema_place.missing("a JSON schema"))?;
            Ok(Some(OutputFormat::JsonSchema {
                name: inner.text_field(format, "name")?.map(str::to_owned),
                description: inner.text_field(format, "description")?.map(str::to_owned),
                schema: schema_place.object(schema)?.json(),
                strict: format.field("strict").map(|flag| inner.key("strict").boolean(flag)).transpose()?,
            }))
        }
        _ => Ok(None),
    }
}

/// OpenAI's `reasoning_effort`, OpenRouter's `reasoning` object, and the `thinking` object of others.
fn reasoning(
    chat: &mut ChatRequest,
    name: &str,
    node: &Node<'_>,
    place: &Place<'_>,
) -> Result<(), BadRequest> {
    let mut reasoning = chat.reasoning.take().unwrap_or_default();
    if name == "reasoning_effort" {
        reasoning.effort = Some(effort(node, place)?);
        chat.reasoning = Some(reasoning);
        return Ok(());
    }
    place.object(node)?;
    if let Some(level) = node.field("effort") {
        reasoning.effort = Some(effort(level, &place.key("effort"))?);
    }
    for budget in ["max_tokens", "budget_tokens"] {
        if let Some(tokens) = node.field(budget) {
            reasoning.budget_tokens = Some(place.key(budget).whole(tokens, COUNT)?);
        }
    }
    match (place.text_field(node, "type")?, node.field("enabled").map(|flag| flag.raw)) {
        (Some("disabled"), _) | (_, Some("false")) => reasoning.effort = Some(Effort::None),
        (Some("adaptive"), _) => reasoning.adaptive = true,
        // Asked for without saying how much.
        (Some(_), _) | (_, Some("true")) if reasoning == Reasoning::default() => reasoning.adaptive = true,
        _ => {}
    }
    if let Some(exclude) = node.field("exclude") {
        let is_hidden = place.key("exclude").boolean(exclude)?;
        reasoning.visibility = if is_hidden { Visibility::Hidden } else { Visibility::Shown };
    }
    chat.reasoning = Some(reasoning);
    Ok(())
}

fn effort(node: &Node<'_>, place: &Place<'_>) -> Result<Effort, BadRequest> {
    let name = place.text(node)?;
    Effort::parse(name).ok_or_else(|| {
        place.wrong(format_args!(
            "expected `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`, found `{name}`"
        ))
    })
}
