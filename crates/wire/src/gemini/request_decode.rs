//! Gemini requests into canonical form.
//!
//! Owns the top level of the bodies of `generateContent` and `countTokens`, tools included. Contents are `content_decode`'s,
//! the generation configuration is `generation_config`'s. Must not judge what a target can do. Both spellings that
//! protobuf's JSON form allows (`systemInstruction`, `system_instruction`) are read; what has no canonical name is kept as
//! an extra under its camel-case name.

use super::{content_decode, embeddings, generation_config, leftovers, schema};
use crate::codec::{BadRequest, PathParts};
use crate::cursor::{self, At};
use crate::source::Source;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::json::Json;
use trunkline_model::request::{ChatRequest, Extra, FunctionTool, Request, Tool, ToolChoice};

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
    let node = cursor::parse(source)?;
    let root = At::shared(&node, source);
    if root.fields().is_err() {
        return Err(root.wrong("the body must be a JSON object"));
    }
    if operation == Operation::Embeddings {
        return embeddings::decode(&root, path).map(Request::Embeddings);
    }
    let inner = if operation == Operation::CountTokens {
        root.either("generateContentRequest", "generate_content_request")
    } else {
        None
    };
    let outer = inner.as_ref().map(|_| root);
    let root = inner.as_ref().unwrap_or(&root);
    let mut request = ChatRequest { model: model(root, path)?, ..ChatRequest::default() };
    if let Some(outer) = outer {
        leftovers::keep_others(&outer, leftovers::COUNT, &mut request)?;
    }
    if let Some(system) = root.either("systemInstruction", "system_instruction") {
        content_decode::system(&system, &mut request)?;
    }
    let contents = root.required("contents", "an array of contents")?;
    content_decode::contents(&contents, &mut request)?;
    for (name, value) in root.fields()? {
        if !value.is_null() {
            parameter(name, &value, &mut request)?;
        }
    }
    request.stream = path.delivery.is_some_and(|delivery| delivery.is_stream());
    // This dialect sends usage in every stream.
    request.stream_usage = request.stream;
    Ok(Request::Chat(Box::new(request)))
}

/// The model's name: the path's, or the body's without its resource prefix.
pub(super) fn model(root: &At<'_>, path: &PathParts) -> Result<String, BadRequest> {
    let name = match &path.model {
        Some(model) => model.clone(),
        None => root.required("model", "a string")?.string()?,
    };
    Ok(name.strip_prefix("models/").map(str::to_owned).unwrap_or(name))
}

/// A field's name in camel case, whichever way it came.
pub(super) fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut raise = false;
    for character in name.chars() {
        if character == '_' && !out.is_empty() {
            raise = true;
        } else if raise {
            out.push(character.to_ascii_uppercase());
            raise = false;
        } else {
            out.push(character);
        }
    }
    out
}

/// Keeps a value that has no canonical name.
pub(super) fn keep(
    request: &mut ChatRequest,
    name: impl Into<String>,
    value: &At<'_>,
) -> Result<(), BadRequest> {
    request.extras.push(Extra { origin: Dialect::Gemini, name: name.into(), value: value.json()? });
    Ok(())
}

fn parameter(name: &str, value: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    match &*camel(name) {
        "model" | "contents" | "systemInstruction" => Ok(()),
        "tools" => tools(value, request),
        "toolConfig" => tool_config(value, request),
        "generationConfig" => generation_config::decode(value, request),
        other => keep(request, other, value),
    }
}

fn tools(value: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    for tool in value.one_or_more()? {
        for (name, field) in tool.fields()? {
            if field.is_null() {
                continue;
            }
            let kind = camel(name);
            if kind == "functionDeclarations" {
                for declaration in field.one_or_more()? {
                    function(&declaration, request)?;
                }
                continue;
            }
            let json = wrapped(&kind, &field.json()?);
            request.tools.push(Tool::BuiltIn { origin: Dialect::Gemini, kind, json });
        }
    }
    Ok(())
}

/// An object of one field.
pub(super) fn wrapped(name: &str, value: &Json) -> Json {
    let name = Json::of(name);
    Json::parse(format!("{{{}:{}}}", name.text(), value.text())).unwrap_or_else(|_| Json::null())
}

fn function(declaration: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    let name = declaration.required("name", "a string")?;
    if name.text()?.is_empty() {
        return Err(name.wrong("expected a name, found an empty string"));
    }
    let parameters = match declaration.either("parametersJsonSchema", "parameters_json_schema") {
        Some(schema) => Some(schema.object_json()?),
        None => match declaration.optional("parameters") {
            Some(schema) => Some(schema::from_openapi(&schema.object_json()?)),
            None => None,
        },
    };
    request.tools.push(Tool::Function(FunctionTool {
        name: name.string()?,
        description: declaration.optional("description").map(|text| text.string()).transpose()?,
        parameters,
        strict: None,
        cache: None,
    }));
    for (field, leftover) in declaration.fields()? {
        let known = matches!(&*camel(field), "name" | "description" | "parameters" | "parametersJsonSchema");
        if !known && !leftover.is_null() {
            keep(request, leftover.path(), &leftover)?;
        }
    }
    Ok(())
}

fn tool_config(value: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    for (name, field) in value.fields()? {
        if field.is_null() {
            continue;
        }
        match &*camel(name) {
            "functionCallingConfig" => function_calling(&field, request)?,
            other => keep(request, format!("toolConfig.{other}"), &field)?,
        }
    }
    Ok(())
}

fn function_calling(value: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    let names = match value.either("allowedFunctionNames", "allowed_function_names") {
        Some(names) => names.items()?.map(|name| name.string()).collect::<Result<Vec<_>, _>>()?,
        None => Vec::new(),
    };
    let mode = value.optional("mode");
    let text = match &mode {
        Some(mode) => mode.text()?.to_ascii_uppercase(),
        None => "AUTO".to_owned(),
    };
    let choice = match (&*text, names.len()) {
        ("AUTO" | "MODE_UNSPECIFIED" | "NONE", 1..) => {
            // Names that a mode does not look at.
            let ignored = value.either("allowedFunctionNames", "allowed_function_names");
            if let Some(names) = ignored {
                keep(request, names.path(), &names)?;
            }
            if text == "NONE" { ToolChoice::None } else { ToolChoice::Auto }
        }
        ("AUTO" | "MODE_UNSPECIFIED", _) => ToolChoice::Auto,
        ("VALIDATED", 0) => {
            if let Some(mode) = &mode {
                keep(request, "toolConfig.functionCallingConfig.mode", mode)?;
            }
            ToolChoice::Auto
        }
        ("VALIDATED", _) => ToolChoice::Allowed { names, required: false },
        ("NONE", _) => ToolChoice::None,
        ("ANY", 0) => ToolChoice::Required,
        ("ANY", 1) => ToolChoice::Named(names.into_iter().next().unwrap_or_default()),
        ("ANY", _) => ToolChoice::Allowed { names, required: true },
        _ => {
            let expected = "expected \"AUTO\", \"ANY\", \"NONE\" or \"VALIDATED\"";
            return Err(mode.map_or_else(|| value.wrong(expected), |mode| mode.wrong(expected)));
        }
    };
    request.tool_choice = Some(choice);
    leftovers::keep_others(value, leftovers::CALLING, request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::PathParts;
    use crate::dispatch;
    use crate::scan::{envelope, prompt_text};
    use serde_json::{Value, json};
    use trunkline_model::dialect::Operation;
    use trunkline_model::request::Request;

    #[test]
    fn an_object_alone_is_a_list_of_one() {
        let function = json!({"name": "look", "parameters": {"type": "object"}});
        let body = |is_list: bool| {
            let list = |value: Value| if is_list { json!([value]) } else { value };
            json!({
                "contents": list(json!({"role": "user", "parts": list(json!({"text": "hello"}))})),
                "systemInstruction": {"parts": list(json!({"text": "be brief"}))},
                "tools": list(json!({"functionDeclarations": list(function.clone())})),
                "safetySettings": list(json!({"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"})),
            })
            .to_string()
        };
        let path = PathParts { model: Some("m".to_owned()), ..PathParts::default() };
        let read = |body: &str| {
            let bytes = body.as_bytes();
            let envelope = envelope(Dialect::Gemini, Operation::Chat, bytes, &path).unwrap();
            let text =
                prompt_text(Dialect::Gemini, Operation::Chat, &envelope, bytes).last_user().into_owned();
            let request = dispatch::decode_request(Dialect::Gemini, Operation::Chat, bytes, &path).unwrap();
            let Request::Chat(mut chat) = request else { unreachable!() };
            // Kept as it came for a provider of this protocol.
            chat.extras.clear();
            (text, (envelope.shape.messages, envelope.shape.tools), chat)
        };
        let alone = read(&body(false));
        assert_eq!(alone, read(&body(true)));
        assert_eq!((alone.0.as_str(), alone.2.tools.len(), alone.2.messages.len()), ("hello", 1, 2));
    }

    #[test]
    fn names_are_brought_to_camel_case() {
        assert_eq!(camel("system_instruction"), "systemInstruction");
        assert_eq!(camel("systemInstruction"), "systemInstruction");
        assert_eq!(camel("_responseJsonSchema"), "_responseJsonSchema");
    }

    #[test]
    fn mistakes_are_named() {
        let bodies = [
            "",
            "[]",
            "{}",
            r#"{"contents":"hello"}"#,
            r#"{"contents":[]}"#,
            r#"{"contents":[{"role":"robot","parts":[]}]}"#,
            r#"{"contents":[{"parts":"hello"}]}"#,
            r#"{"contents":[{"parts":[{"text":1}]}]}"#,
            r#"{"contents":[{"parts":[{}]}]}"#,
            r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png"}}]}]}"#,
            r#"{"contents":[{"parts":[{"inline_data":{"data":"AA=="}}]}]}"#,
            r#"{"contents":[{"parts":[{"fileData":{"mimeType":"image/png"}}]}]}"#,
            r#"{"contents":[{"role":"model","parts":[{"functionCall":{"args":{}}}]}]}"#,
            r#"{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":[]}}]}]}"#,
            r#"{"contents":[{"parts":[{"functionResponse":{"name":"f","response":"x"}}]}]}"#,
            r#"{"contents":[{"role":"model","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}"#,
            r#"{"contents":[{"parts":[{"text":"x"}]}],"systemInstruction":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA=="}}]}}"#,
            r#"{"contents":[{"parts":[{"text":"x"}]}],"tools":{}}"#,
            r#"{"contents":[{"parts":[{"text":"x"}]}],"tools":[{"functionDeclarations":[{"description":"x"}]}]}"#,
            r#"{"contents":[{"parts":[{"text":"x"}]}],"toolConfig":{"functionCallingConfig":{"mode":"MAYBE"}}}"#,
            r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"temperature":"hot"}}"#,
            r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"temperature":3}}"#,
            r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"maxOutputTokens":0}}"#,
            r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"candidateCount":0}}"#,
            r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"stopSequences":"x"}}"#,
            r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"responseSchema":{"type":"STRING"}}}"#,
            r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"thinkingConfig":{"thinkingLevel":"DEEP"}}}"#,
            r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"thinking_config":{"thinking_budget":-2}}}"#,
        ];
        let path = PathParts { model: Some("m".to_owned()), delivery: None };
        let lines: Vec<String> = bodies
            .iter()
            .map(|body| match decode_request(Operation::Chat, body.as_bytes(), &path) {
                Ok(_) => format!("{body}\n  accepted"),
                Err(error) => format!("{body}\n  {error}"),
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
