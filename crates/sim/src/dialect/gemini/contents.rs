//! Reads a generateContent request the way the vendor does.
//!
//! Owns contents, tools and generation settings and everything that turns into a [`Prompt`]; names are checked in
//! `check`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value};

use super::super::{Context, Refusal};
use super::models::Generation;
use super::{check, logprobs, member, member_of};
use crate::opaque;
use crate::turn::{Choice, Format, Offer, Prompt, ToolOutcome};

/// A request understood.
pub(super) struct Contents {
    pub(super) prompt: Prompt,
    pub(super) generation: Generation,
    pub(super) candidates: usize,
    pub(super) thoughts_shown: bool,
    /// Alternatives to each token, where log-probabilities are wanted.
    pub(super) logprobs: Option<usize>,
}

/// The seal on thought signatures; it covers the name of the function called.
pub(super) const THOUGHT: &str = "gemini thought";
/// Values the vendor documents for calls that another model made.
const EXEMPT: &[&str] = &["context_engineering_is_the_way_to_go", "skip_thought_signature_validator"];

/// Reads and checks the request.
pub(super) fn read(
    body: &Map<String, Value>,
    model: &str,
    context: &Context<'_>,
) -> Result<Contents, Refusal> {
    check::request(body)?;
    let generation = Generation::of(model);
    let mut prompt = Prompt { model: model.to_owned(), seed: context.seed, ..Prompt::default() };
    if let Some(system) = member_of(body, "systemInstruction") {
        for part in parts(system) {
            if let Some(text) = part.get("text").and_then(Value::as_str) {
                prompt.count(text);
                prompt.push_system(text);
            }
        }
        prompt.mark();
    }
    tools(body, &mut prompt)?;
    let contents = member_of(body, "contents").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if contents.is_empty() {
        return Err(Refusal::invalid("* GenerateContentRequest.contents: contents is not specified\n"));
    }
    read_contents(contents, &mut prompt, context)?;
    if generation.third {
        signatures_present(contents)?;
    }
    let empty = Map::new();
    let config = member_of(body, "generationConfig").and_then(Value::as_object).unwrap_or(&empty);
    let candidates = settings(config, &mut prompt)?;
    if prompt.format != Format::Text && !prompt.tools.is_empty() && !generation.third {
        return Err(Refusal::invalid(
            "Function calling with a response mime type: 'application/json' is unsupported",
        ));
    }
    let thoughts_shown = thinking(config, &mut prompt, generation)?;
    let logprobs = logprobs::wanted(config)?;
    if prompt.tokens() > context.config.context_tokens {
        return Err(Refusal::ContextTooLong {
            limit: context.config.context_tokens,
            tokens: prompt.tokens(),
        });
    }
    Ok(Contents { prompt, generation, candidates, thoughts_shown, logprobs })
}

fn parts(content: &Value) -> &[Value] {
    match member(content, "parts") {
        Some(Value::Array(parts)) => parts,
        // A message field may be given alone where a repeated one is expected.
        Some(part) => std::slice::from_ref(part),
        None => &[],
    }
}

fn tools(body: &Map<String, Value>, prompt: &mut Prompt) -> Result<(), Refusal> {
    let tools = member_of(body, "tools").and_then(Value::as_array);
    for (index, tool) in tools.into_iter().flatten().enumerate() {
        let empty = Map::new();
        check::names(tool.as_object().unwrap_or(&empty), check::TOOL, &format!("tools[{index}]"))?;
        let declarations = member(tool, "functionDeclarations").and_then(Value::as_array);
        for (position, declaration) in declarations.into_iter().flatten().enumerate() {
            let place = format!("tools[{index}].function_declarations[{position}]");
            check::names(declaration.as_object().unwrap_or(&empty), check::DECLARATION, &place)?;
            let name = declaration.get("name").and_then(Value::as_str).unwrap_or_default();
            check::function_name(name, &place)?;
            if prompt.tools.iter().any(|tool| tool.name == name) {
                return Err(Refusal::invalid(format!("Duplicate function declaration found: {name}")));
            }
            let subset = member(declaration, "parameters");
            let raw = member(declaration, "parametersJsonSchema");
            if let Some(schema) = subset {
                check::schema(schema, &format!("{place}.parameters"))?;
            }
            if subset.is_some() && raw.is_some() {
                return Err(Refusal::invalid(format!(
                    "* GenerateContentRequest.{place}: parameters and parameters_json_schema are mutually exclusive\n"
                )));
            }
            prompt.count(&declaration.to_string());
            let schema = subset.or(raw).cloned().unwrap_or_default();
            prompt.tools.push(Offer { name: name.to_owned(), schema });
        }
    }
    let Some(calling) =
        member_of(body, "toolConfig").and_then(|config| member(config, "functionCallingConfig"))
    else {
        return Ok(());
    };
    let members = calling.as_object().cloned().unwrap_or_default();
    check::names(&members, check::CALLING, "tool_config.function_calling_config")?;
    let allowed = member(calling, "allowedFunctionNames").and_then(Value::as_array);
    let allowed: Vec<String> =
        allowed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    if let Some(name) = allowed.iter().find(|name| prompt.tools.iter().all(|tool| tool.name != **name)) {
        return Err(Refusal::invalid(format!(
            "`allowed_function_names` contains a function that is not declared: {name}"
        )));
    }
    let mode = member(calling, "mode").and_then(Value::as_str).unwrap_or("AUTO").to_uppercase();
    if !allowed.is_empty() && !matches!(mode.as_str(), "ANY" | "VALIDATED") {
        return Err(Refusal::invalid(
            "Function calling config is set without function calling mode ANY: allowed_function_names should only be set when the function calling mode is ANY.",
        ));
    }
    prompt.choice = match mode.as_str() {
        "AUTO" | "MODE_UNSPECIFIED" | "VALIDATED" => Choice::Auto,
        "NONE" => Choice::None,
        "ANY" => Choice::Required(allowed),
        other => {
            return Err(Refusal::invalid(format!(
                "Invalid value at 'tool_config.function_calling_config.mode' (type.googleapis.com/google.ai.generativelanguage.v1beta.FunctionCallingConfig.Mode), \"{other}\""
            )));
        }
    };
    Ok(())
}

fn read_contents(contents: &[Value], prompt: &mut Prompt, context: &Context<'_>) -> Result<(), Refusal> {
    // Names and identifiers of calls that wait for their responses.
    let mut pending: Vec<(String, Option<String>)> = Vec::new();
    for (index, content) in contents.iter().enumerate() {
        let role = member(content, "role").and_then(Value::as_str).unwrap_or("user");
        if !matches!(role, "user" | "model" | "function") {
            return Err(Refusal::invalid("Please use a valid role: user, model."));
        }
        let parts = parts(content);
        if parts.is_empty() {
            return Err(Refusal::invalid(format!(
                "* GenerateContentRequest.contents[{index}].parts: contents.parts must not be empty.\n"
            )));
        }
        prompt.count_message(role);
        let is = |name: &str| parts.iter().filter(|part| member(part, name).is_some()).count();
        let (responses, calls) = (is("functionResponse"), is("functionCall"));
        if responses != pending.len() && (responses > 0 || !pending.is_empty()) {
            return Err(Refusal::invalid(
                "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.",
            ));
        }
        if role == "model" {
            prompt.outcomes.clear();
            if calls > 0 && index == 0 {
                return Err(Refusal::invalid(
                    "Please ensure that function call turn comes immediately after a user turn or after a function response turn.",
                ));
            }
        } else if responses == 0 {
            prompt.outcomes.clear();
            prompt.begin_user();
        }
        for (position, part) in parts.iter().enumerate() {
            let place = format!("contents[{index}].parts[{position}]");
            let members =
                part.as_object().ok_or_else(|| Refusal::invalid(format!("Invalid value at '{place}'")))?;
            check::names(members, check::PART, &place)?;
            read_part(part, role == "model", &place, prompt, &mut pending, context)?;
        }
        prompt.mark();
    }
    if pending.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid(
        "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.",
    ))
}

fn read_part(
    part: &Value,
    model: bool,
    place: &str,
    prompt: &mut Prompt,
    pending: &mut Vec<(String, Option<String>)>,
    context: &Context<'_>,
) -> Result<(), Refusal> {
    let signature = member(part, "thoughtSignature").and_then(Value::as_str);
    let call = member(part, "functionCall");
    let covered = call.and_then(|call| call["name"].as_str()).unwrap_or_default();
    // A field of bytes may come back in the URL-safe alphabet; the vendor's own SDK sends it so.
    let standard = |signature: &str| signature.replace('-', "+").replace('_', "/");
    let genuine =
        |signature: &str| opaque::genuine(context.config.secret, THOUGHT, covered, &standard(signature));
    if signature.is_some_and(|signature| !EXEMPT.contains(&signature) && !genuine(signature)) {
        return Err(Refusal::invalid(format!("Thought signature is not valid at '{place}'.")));
    }
    if let Some(text) = member(part, "text").and_then(Value::as_str) {
        prompt.count(text);
        if !model {
            prompt.push_user(text);
        }
    } else if let Some(call) = call {
        check::function_name(covered, &format!("{place}.function_call"))?;
        if member(call, "args").is_some_and(|args| !args.is_object()) {
            return Err(Refusal::invalid(format!(
                "Invalid value at '{place}.function_call.args' (type.googleapis.com/google.protobuf.Struct)"
            )));
        }
        prompt.count(&call.to_string());
        let id = member(call, "id").and_then(Value::as_str).map(str::to_owned);
        pending.push((covered.to_owned(), id));
    } else if let Some(response) = member(part, "functionResponse") {
        function_response(response, place, prompt, pending)?;
    } else if let Some(data) = member(part, "inlineData") {
        let kind = member(data, "mimeType").and_then(Value::as_str).unwrap_or_default();
        let bytes = member(data, "data").and_then(Value::as_str).unwrap_or_default();
        if STANDARD.decode(bytes).is_err() && URL_SAFE.decode(bytes).is_err() {
            return Err(Refusal::invalid(format!(
                "Invalid value at '{place}.inline_data.data' (TYPE_BYTES), Base64 decoding failed for \"{}\"",
                bytes.chars().take(20).collect::<String>()
            )));
        }
        attach(kind, bytes, prompt)?;
    } else if let Some(file) = member(part, "fileData") {
        let uri = member(file, "fileUri").and_then(Value::as_str).unwrap_or_default();
        attach(member(file, "mimeType").and_then(Value::as_str).unwrap_or("image/*"), uri, prompt)?;
    } else if signature.is_none() {
        prompt.count(&part.to_string());
    }
    Ok(())
}

fn attach(kind: &str, identity: &str, prompt: &mut Prompt) -> Result<(), Refusal> {
    match kind.split_once('/') {
        Some(("image", _)) => prompt.count_image(identity),
        Some(("application" | "text" | "audio" | "video", _)) => prompt.count_document(identity),
        _ => return Err(Refusal::invalid(format!("Unsupported MIME type: {kind}"))),
    }
    Ok(())
}

fn function_response(
    response: &Value,
    place: &str,
    prompt: &mut Prompt,
    pending: &mut Vec<(String, Option<String>)>,
) -> Result<(), Refusal> {
    let name = member(response, "name").and_then(Value::as_str).unwrap_or_default();
    check::function_name(name, &format!("{place}.function_response"))?;
    let Some(result) = member(response, "response").filter(|result| result.is_object()) else {
        return Err(Refusal::invalid(format!(
            "Invalid value at '{place}.function_response.response' (type.googleapis.com/google.protobuf.Struct)"
        )));
    };
    let id = member(response, "id").and_then(Value::as_str);
    let by_id = id.and_then(|id| pending.iter().position(|(_, known)| known.as_deref() == Some(id)));
    let at = by_id.or_else(|| pending.iter().position(|(known, _)| known == name));
    let Some(at) = at else {
        return Err(Refusal::invalid(format!(
            "Function response '{name}' does not match any function call of the previous turn."
        )));
    };
    pending.remove(at);
    let failed = result.get("error").is_some();
    let plain = ["result", "output", "error"].iter().find_map(|key| result.get(*key)).and_then(Value::as_str);
    let text = plain.map_or_else(|| result.to_string(), str::to_owned);
    prompt.count(&text);
    prompt.outcomes.push(ToolOutcome { name: name.to_owned(), text, failed });
    Ok(())
}

/// Of the current turn, the first function call of each step must bring its signature.
fn signatures_present(contents: &[Value]) -> Result<(), Refusal> {
    let ordinary = |content: &Value| {
        let model = member(content, "role").and_then(Value::as_str) == Some("model");
        !model && parts(content).iter().any(|part| member(part, "functionResponse").is_none())
    };
    let start = contents.iter().rposition(ordinary).unwrap_or(0);
    for (index, content) in contents.iter().enumerate().skip(start) {
        let first =
            parts(content).iter().enumerate().find(|(_, part)| member(part, "functionCall").is_some());
        let Some((position, part)) = first else { continue };
        if member(part, "thoughtSignature").is_none() {
            let name = part["functionCall"]["name"]
                .as_str()
                .or(part["function_call"]["name"].as_str())
                .unwrap_or_default();
            return Err(Refusal::invalid(format!(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and missing thought_signature may lead to degraded model performance. Additional data, function call `default_api:{name}` , position {}. Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more details.",
                index + position + 1
            )));
        }
    }
    Ok(())
}

/// Generation settings; returns the number of candidates.
fn settings(config: &Map<String, Value>, prompt: &mut Prompt) -> Result<usize, Refusal> {
    check::names(config, check::GENERATION, "generation_config")?;
    check::range(config, "temperature", 0.0, 2.0)?;
    check::range(config, "topP", 0.0, 1.0)?;
    check::range(config, "candidateCount", 1.0, 8.0)?;
    check::range(config, "maxOutputTokens", 1.0, f64::from(i32::MAX))?;
    prompt.max_tokens = member_of(config, "maxOutputTokens").and_then(Value::as_u64);
    let stop = member_of(config, "stopSequences").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if stop.len() > 5 {
        return Err(Refusal::invalid(
            "* GenerateContentRequest.generation_config.stop_sequences: at most 5 stop sequences are allowed\n",
        ));
    }
    prompt.stop = stop.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let json = member_of(config, "responseMimeType").and_then(Value::as_str) == Some("application/json");
    let subset = member_of(config, "responseSchema");
    let raw = member_of(config, "responseJsonSchema").or_else(|| member_of(config, "_responseJsonSchema"));
    if let Some(schema) = subset {
        check::schema(schema, "generation_config.response_schema")?;
    }
    if subset.is_some() && raw.is_some() {
        return Err(Refusal::invalid("Only one of response_schema and response_json_schema may be set."));
    }
    if (subset.is_some() || raw.is_some()) && !json {
        return Err(Refusal::invalid(
            "* GenerateContentRequest.generation_config.response_schema: only allowed when response_mime_type is 'application/json'\n",
        ));
    }
    prompt.format = match subset.or(raw) {
        Some(schema) => Format::Schema(schema.clone()),
        None if json => Format::Json,
        None => Format::Text,
    };
    Ok(member_of(config, "candidateCount").and_then(Value::as_u64).unwrap_or(1) as usize)
}

/// Tokens to think with; returns whether thoughts are shown.
fn thinking(
    config: &Map<String, Value>,
    prompt: &mut Prompt,
    generation: Generation,
) -> Result<bool, Refusal> {
    let by_default = if generation.by_default { 16 } else { 0 };
    let Some(thinking) = member_of(config, "thinkingConfig") else {
        prompt.reasoning = by_default;
        return Ok(false);
    };
    if !generation.thinks {
        return Err(Refusal::invalid(
            "Unable to submit request because thinking is not supported by this model.",
        ));
    }
    let budget = member(thinking, "thinkingBudget").and_then(Value::as_i64);
    let level = member(thinking, "thinkingLevel").and_then(Value::as_str);
    if budget.is_some() && level.is_some() {
        return Err(Refusal::invalid("You can only set only one of thinking budget and thinking level."));
    }
    if level.is_some() && !generation.third {
        return Err(Refusal::invalid("Thinking level is not supported for this model."));
    }
    if budget == Some(0) && prompt.model.contains("pro") {
        return Err(Refusal::invalid("Budget 0 is invalid. This model only works in thinking mode."));
    }
    prompt.reasoning = match (budget, level.map(str::to_uppercase).as_deref()) {
        (Some(budget), _) if budget < 0 => 16,
        (Some(budget), _) => budget.unsigned_abs().min(64),
        (None, Some("MINIMAL")) => 2,
        (None, Some("LOW")) => 8,
        (None, Some("MEDIUM")) => 16,
        (None, Some("HIGH" | "XHIGH")) => 32,
        (None, Some(other)) => {
            return Err(Refusal::invalid(format!(
                "Invalid value at 'generation_config.thinking_config.thinking_level', \"{other}\""
            )));
        }
        (None, None) => by_default,
    };
    Ok(member(thinking, "includeThoughts").and_then(Value::as_bool).unwrap_or(false))
}
