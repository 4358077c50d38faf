//! The dialect against itself and against what the others can say: goldens, round trips, refusals.

use super::*;
use crate::codec::{EmbeddingForm, EncodeError, Frame, PathParts, Profile, ReasoningStyle};
use crate::collected::{answers, collect, decode_pieces};
use crate::frame::Framing;
use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::Value;
use std::path::PathBuf;
use trunkline_model::capability::Support;
use trunkline_model::content::{
    CacheMark, Content, Media, MediaSource, Message, Opaque, Part, Role, ToolCall, ToolResult,
};
use trunkline_model::dialect::Dialect;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::id::RequestId;
use trunkline_model::json::Json;
use trunkline_model::request::{
    ChatRequest, Effort, EmbeddingInput, EmbeddingRequest, Extra, FunctionTool, OutputFormat, Reasoning,
    Request, Sampling, Tool, ToolChoice, Visibility,
};
use trunkline_model::usage::Usage;

mod answers;

/// The goldens whose names end so, by what stands before.
#[expect(clippy::disallowed_methods, reason = "goldens are files")]
fn golden(kind: &str) -> Vec<(String, Vec<u8>)> {
    let root: PathBuf = [env!("CARGO_MANIFEST_DIR"), "src/gemini/golden"].iter().collect();
    let mut files: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            Some((name.strip_suffix(kind)?.to_owned(), std::fs::read(&path).unwrap()))
        })
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn json(text: &str) -> Json {
    Json::parse(text.to_owned()).unwrap()
}

fn context() -> EncodeContext {
    EncodeContext {
        request_id: RequestId::from_bits(1),
        created: 0,
        model: "asked".to_owned(),
        stream_usage: true,
        encoding: Default::default(),
        embedding_form: EmbeddingForm::Batch,
        echo: None,
    }
}

fn path() -> PathParts {
    PathParts { model: Some("models/auto".to_owned()), delivery: Some(Delivery::Plain) }
}

fn decoded(body: &[u8]) -> ChatRequest {
    match decode_request(Operation::Chat, body, &path()) {
        Ok(Request::Chat(request)) => *request,
        other => panic!("not a chat request: {other:?}"),
    }
}

fn encoded(request: &ChatRequest, profile: &Profile) -> Result<(Value, Vec<String>), EncodeError> {
    let encoded = encode_request(&Request::Chat(Box::new(request.clone())), profile, Delivery::Plain)?;
    Ok((value(&encoded.body), encoded.warnings.iter().map(ToString::to_string).collect()))
}

fn written(delivery: Delivery, events: &[Event]) -> Vec<u8> {
    let mut out = BytesMut::new();
    let mut encoder = encoder(Operation::Chat, delivery, context());
    for event in events {
        encoder.event(event, &mut out);
    }
    encoder.finish(&mut out);
    out.to_vec()
}

fn plain_events(body: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut decoder = decoder(Operation::Chat, Delivery::Plain);
    decoder.frame(Frame { event: "", data: body }, &mut events).unwrap();
    decoder.end(&mut events).unwrap();
    events
}

fn stream_events(body: &[u8]) -> Vec<Event> {
    decode_pieces(decoder(Operation::Chat, Delivery::Stream), Framing::Sse, [body]).unwrap()
}

fn said(text: &str) -> ChatRequest {
    ChatRequest { messages: vec![Message::text(Role::User, text)], ..ChatRequest::default() }
}

fn call(id: &str, name: &str) -> Part {
    let call = ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: json("{}") };
    Part::new(Content::ToolCall(call))
}

fn result(id: &str, parts: Vec<Part>) -> Message {
    let result = ToolResult { call_id: id.to_owned(), name: None, parts, is_error: false };
    Message { role: Role::Tool, parts: vec![Part::new(Content::ToolResult(result))], name: None }
}

#[test]
fn requests_come_out_as_they_went_in() {
    for (name, body) in golden(".request.json") {
        let model = if name == "level" { "gemini-3-pro" } else { "gemini-2.5-pro" };
        let request = decoded(&body);
        assert_eq!(request.model, "auto");
        let (out, warnings) = encoded(&request, &Profile::new(model)).unwrap();
        assert_eq!(out, value(&body), "{name}");
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
    }
}

#[test]
fn both_spellings_mean_the_same() {
    let camel = br#"{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[
        {"inlineData":{"mimeType":"image/png","data":"_-8"}},{"fileData":{"mimeType":"image/png","fileUri":"https://a/b"}}]},
        {"role":"model","parts":[{"functionCall":{"name":"f"},"thoughtSignature":"AA=="}]},
        {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"x"}}}]}],
        "tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","properties":{"a":{"type":"STRING","nullable":true}}}}]}],
        "toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}},
        "generationConfig":{"maxOutputTokens":5,"topK":2,"responseMimeType":"application/json","responseSchema":{"type":"OBJECT"},
        "thinkingConfig":{"thinkingBudget":-1}},"cachedContent":"c"}"#;
    let snake = br#"{"system_instruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[
        {"inline_data":{"mime_type":"image/png","data":"_-8"}},{"file_data":{"mime_type":"image/png","file_uri":"https://a/b"}}]},
        {"role":"model","parts":[{"function_call":{"name":"f"},"thought_signature":"AA=="}]},
        {"role":"function","parts":[{"function_response":{"name":"f","response":{"output":"x"}}}]}],
        "tools":[{"function_declarations":[{"name":"f","parameters":{"type":"OBJECT","properties":{"a":{"type":"STRING","nullable":true}}}}]}],
        "tool_config":{"function_calling_config":{"mode":"any","allowed_function_names":["f"]}},
        "generation_config":{"max_output_tokens":5,"top_k":2.0,"response_mime_type":"application/json","response_schema":{"type":"OBJECT"},
        "thinking_config":{"thinking_budget":-1}},"cached_content":"c"}"#;
    let request = decoded(camel);
    assert_eq!(request, decoded(snake));
    assert_eq!(request.tool_choice, Some(ToolChoice::Named("f".to_owned())));
    let Tool::Function(tool) = &request.tools[0] else { panic!("a function") };
    let schema = tool.parameters.as_ref().unwrap();
    assert_eq!(schema.text(), r#"{"type":"object","properties":{"a":{"type":["string","null"]}}}"#);
    let Content::Image(Media { source: MediaSource::Base64(data), .. }) =
        &request.messages[1].parts[0].content
    else {
        panic!("an image")
    };
    assert_eq!(data, "/+8=");
    let Content::ToolResult(answer) = &request.messages[3].parts[0].content else { panic!("a result") };
    let Content::ToolCall(asked) = &request.messages[2].parts[0].content else { panic!("a call") };
    assert_eq!((&answer.call_id, &answer.parts[..]), (&asked.id, &[Part::text("x")][..]));
}

#[test]
fn responses_without_ids_answer_the_oldest_call_of_their_name() {
    let body = br#"{"contents":[{"parts":[{"text":"x"}]},
        {"role":"model","parts":[{"functionCall":{"name":"f","args":{"n":1}}},{"functionCall":{"name":"g"}},{"functionCall":{"name":"f","args":{"n":2}}}]},
        {"parts":[{"functionResponse":{"name":"g","response":{}}},{"functionResponse":{"name":"f","response":{"n":1}}},
        {"functionResponse":{"name":"f","response":{"n":2}}}]}]}"#;
    let request = decoded(body);
    let ids: Vec<&str> = request.messages[1]
        .parts
        .iter()
        .map(|part| match &part.content {
            Content::ToolCall(call) => call.id.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    let answered: Vec<&str> = request.messages[2..]
        .iter()
        .map(|message| match &message.parts[0].content {
            Content::ToolResult(result) => result.call_id.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(answered, [ids[1], ids[0], ids[2]]);
    // Back to Gemini they stand in the order of their calls, without the ids they never had.
    let (out, _) = encoded(&request, &Profile::new("gemini-2.5-pro")).unwrap();
    insta::assert_snapshot!(out["contents"][2].to_string(), @r#"{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"n":1}}},{"functionResponse":{"name":"g","response":{}}},{"functionResponse":{"name":"f","response":{"n":2}}}]}"#);
}

#[test]
fn state_of_another_provider_returns_on_the_thoughts_it_covers() {
    let sign = |value: &str| Opaque { origin: Dialect::Anthropic, value: value.to_owned() };
    let delta = |part, delta| Event::Delta { choice: 0, part, delta };
    let events = [
        Event::Start { id: "m".to_owned(), model: "claude-x".to_owned(), created: None },
        Event::PartStart { choice: 0, part: 0, kind: PartKind::Thinking },
        delta(0, Delta::Text("One ".to_owned())),
        delta(0, Delta::Text("two.".to_owned())),
        delta(0, Delta::Opaque(sign("sig/+"))),
        Event::PartEnd { choice: 0, part: 0 },
        Event::PartStart { choice: 0, part: 1, kind: PartKind::RedactedThinking },
        delta(1, Delta::Opaque(sign("hidden"))),
        Event::PartEnd { choice: 0, part: 1 },
        Event::PartStart { choice: 0, part: 2, kind: PartKind::Text },
        delta(2, Delta::Text("Three ".to_owned())),
        delta(2, Delta::Text("four.".to_owned())),
        Event::PartEnd { choice: 0, part: 2 },
        Event::Finish { choice: 0, reason: Finish::Stop, native: "end_turn".to_owned(), stop_sequence: None },
        Event::End,
    ];
    let with = |content, value: &str| Part { content, cache: None, opaque: Some(sign(value)) };
    let expected = vec![
        with(Content::Thinking("One two.".to_owned()), "sig/+"),
        with(Content::RedactedThinking, "hidden"),
        Part::text("Three four."),
    ];
    // Once as one answer, once as SDKs keep a stream: a content per chunk.
    let plain = value(&written(Delivery::Plain, &events));
    let mut body =
        serde_json::json!({"contents": [{"parts": [{"text": "x"}]}, plain["candidates"][0]["content"]]});
    assert_eq!(decoded(body.to_string().as_bytes()).messages[1].parts, expected);
    let stream = String::from_utf8(written(Delivery::Stream, &events)).unwrap();
    let contents: Vec<Value> = stream
        .split("\r\n\r\n")
        .filter_map(|chunk| {
            Some(value(chunk.strip_prefix("data: ")?.as_bytes())["candidates"][0]["content"].clone())
        })
        .collect();
    assert!(contents.len() > 3);
    body["contents"] = Value::Array(contents);
    let request = decoded(body.to_string().as_bytes());
    let mut parts = request.messages[0].parts.clone();
    // The last chunk of a stream may hold an empty text.
    parts.retain(|part| part.content != Content::Text("".into()));
    assert_eq!(parts, expected);
}

#[test]
fn another_dialects_request_is_arranged() {
    let mut signed = call("toolu_1", "files.read");
    signed.opaque = Some(Opaque { origin: Dialect::Anthropic, value: "sig".to_owned() });
    let picture = Part::new(Content::Image(Media {
        source: MediaSource::Base64("iVBORw0KGgo=".into()),
        media_type: None,
        name: None,
        detail: Some("high".to_owned()),
    }));
    let mut cached = Part::text("Hi");
    cached.cache = Some(CacheMark::Short);
    let function = FunctionTool {
        name: "files/read".to_owned(),
        description: None,
        parameters: Some(json("{}")),
        strict: Some(true),
        cache: None,
    };
    let request = ChatRequest {
        model: "auto".to_owned(),
        messages: vec![
            Message::text(Role::System, "First."),
            Message::text(Role::Developer, "Second."),
            Message { role: Role::User, parts: vec![cached], name: Some("ann".to_owned()) },
            Message::text(Role::User, ""),
            Message {
                role: Role::Assistant,
                parts: vec![Part::new(Content::Thinking("hm".to_owned())), signed, call("b", "files/read")],
                name: None,
            },
            result("b", vec![Part::text("[1]")]),
            result("toolu_1", vec![Part::text("seen"), picture]),
            Message::text(Role::System, "Be brief."),
            Message::text(Role::User, "Go on"),
        ],
        tools: vec![Tool::Function(function)],
        tool_choice: Some(ToolChoice::Allowed { names: vec!["files/read".to_owned()], required: false }),
        parallel_tool_calls: Some(false),
        sampling: Sampling { seed: Some(1 << 40), ..Sampling::default() },
        output: OutputFormat::JsonObject,
        reasoning: Some(Reasoning { effort: Some(Effort::Medium), ..Reasoning::default() }),
        user: Some("u".to_owned()),
        extras: vec![Extra { origin: Dialect::OpenAi, name: "logit_bias".to_owned(), value: json("{}") }],
        ..ChatRequest::default()
    };
    let mut profile = Profile::new("gemini-2.5-flash");
    profile.reasoning = ReasoningStyle::Budget;
    let (body, warnings) = encoded(&request, &profile).unwrap();
    insta::assert_json_snapshot!(body);
    insta::assert_snapshot!(warnings.join("\n"));
}

#[test]
fn calls_made_elsewhere_pass_the_check_of_the_current_turn_only() {
    let assistant = |parts| Message { role: Role::Assistant, parts, name: None };
    let mut own = call("c", "f");
    own.opaque = Some(Opaque { origin: Dialect::Gemini, value: "b3du".to_owned() });
    let request = ChatRequest {
        messages: vec![
            Message::text(Role::User, "old turn"),
            assistant(vec![call("a", "f")]),
            result("a", vec![Part::text("1")]),
            assistant(vec![Part::text("done")]),
            Message::text(Role::User, "new turn"),
            assistant(vec![call("b", "f"), call("b2", "f")]),
            result("b", vec![Part::text("2")]),
            result("b2", vec![Part::text("2")]),
            assistant(vec![own]),
            result("c", vec![Part::text("3")]),
        ],
        ..ChatRequest::default()
    };
    let signatures = |profile: &Profile| {
        let (body, warnings) = encoded(&request, profile).unwrap();
        let found: Vec<String> = body["contents"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|content| content["parts"].as_array().unwrap())
            .filter(|part| part["functionCall"].is_object())
            .map(|part| part["thoughtSignature"].as_str().unwrap_or("-").to_owned())
            .collect();
        (found.join(" "), warnings.join("\n"))
    };
    let (found, warnings) = signatures(&Profile::new("gemini-3-pro-preview"));
    assert_eq!(found, "- skip_thought_signature_validator - b3du");
    insta::assert_snapshot!(warnings, @"messages[5].content[0] signature emulated: the call was not signed by Gemini: sent with the value that skips the check");
    let (found, warnings) = signatures(&Profile::new("gemini-2.5-pro"));
    assert_eq!((found.as_str(), warnings.as_str()), ("- - - b3du", ""));
}

#[test]
fn reasoning_is_asked_for_in_the_targets_way() {
    let mut lines = Vec::new();
    let cases = [
        Reasoning { effort: Some(Effort::None), ..Reasoning::default() },
        Reasoning { effort: Some(Effort::Minimal), ..Reasoning::default() },
        Reasoning { effort: Some(Effort::High), visibility: Visibility::Shown, ..Reasoning::default() },
        Reasoning { effort: Some(Effort::Max), ..Reasoning::default() },
        Reasoning { budget_tokens: Some(6_000), ..Reasoning::default() },
        Reasoning { adaptive: true, ..Reasoning::default() },
        Reasoning { visibility: Visibility::Shown, ..Reasoning::default() },
    ];
    let styles = [
        ("gemini-2.5-pro", ReasoningStyle::Budget),
        ("gemini-3-pro", ReasoningStyle::Level),
        ("gemini-3-flash", ReasoningStyle::Level),
        ("gemini-3-pro", ReasoningStyle::Unknown),
        ("gemini-2.0-flash", ReasoningStyle::None),
    ];
    for (model, style) in styles {
        for reasoning in &cases {
            let mut request = said("x");
            request.reasoning = Some(reasoning.clone());
            request.max_output_tokens = Some(20_000);
            let mut profile = Profile::new(model);
            profile.reasoning = style;
            let (body, warnings) = encoded(&request, &profile).unwrap();
            let config = &body["generationConfig"]["thinkingConfig"];
            lines.push(format!("{model} {style:?}: {config} {}", warnings.join("; ")));
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_cannot_be_expressed_is_refused() {
    let media = |source, media_type: Option<&str>| {
        let media = Media { source, media_type: media_type.map(str::to_owned), name: None, detail: None };
        Message { role: Role::User, parts: vec![Part::new(Content::Image(media))], name: None }
    };
    let with = |message: Message| ChatRequest { messages: vec![message], ..ChatRequest::default() };
    let mut stops = said("x");
    stops.stop = ["a", "b", "c", "d", "e", "f"].map(str::to_owned).to_vec();
    let mut many = said("x");
    many.choices = Some(9);
    let mut built_in = said("x");
    built_in.tools =
        vec![Tool::BuiltIn { origin: Dialect::OpenAi, kind: "web_search".to_owned(), json: json("{}") }];
    let mut schema = said("x");
    schema.output =
        OutputFormat::JsonSchema { name: None, description: None, schema: json("true"), strict: None };
    let system_picture = Message { role: Role::System, ..media(MediaSource::Base64("AAAA".into()), None) };
    let mut system = said("x");
    system.messages.insert(0, system_picture);
    let requests = [
        with(media(MediaSource::Url("http://a/b.png".to_owned()), None)),
        with(media(MediaSource::Url("https://a/b.png".to_owned()), None)),
        with(media(MediaSource::FileId("file_1".to_owned()), None)),
        with(media(MediaSource::Base64("AAAA".into()), None)),
        with(result("nobody", vec![Part::text("x")])),
        with(Message::text(Role::User, "")),
        stops,
        many,
        built_in,
        schema,
        system,
    ];
    let mut profile = Profile::new("gemini-2.5-pro");
    profile.image_urls = Support::No;
    let lines: Vec<String> =
        requests.iter().map(|request| encoded(request, &profile).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(lines.join("\n"));
    let request = Request::Embeddings(EmbeddingRequest::default());
    insta::assert_snapshot!(encode_count_request(&request, &profile).unwrap_err(), @"embeddings cannot be expressed for this target: Gemini counts the tokens of conversations only");
}

#[test]
fn older_forms_are_used_where_the_newer_are_refused() {
    let schema =
        json(r#"{"type":"object","properties":{"a":{"type":["integer","null"],"exclusiveMinimum":0}}}"#);
    let mut request = said("x");
    request.tools = vec![Tool::Function(FunctionTool {
        name: "f".to_owned(),
        description: None,
        parameters: Some(schema.clone()),
        strict: None,
        cache: None,
    })];
    request.output = OutputFormat::JsonSchema { name: None, description: None, schema, strict: Some(true) };
    let mut profile = Profile::new("gemini-3-pro");
    profile.refused = vec!["parametersJsonSchema".to_owned(), "responseJsonSchema".to_owned()];
    let (body, warnings) = encoded(&request, &profile).unwrap();
    insta::assert_json_snapshot!(body);
    insta::assert_snapshot!(warnings.join("\n"), @r#"
    tools[0].parameters dropped: keywords Gemini's schemas lack are left out: exclusiveMinimum
    response_format.json_schema.schema dropped: keywords Gemini's schemas lack are left out: exclusiveMinimum
    "#);
    // A generation that takes no answer form beside tools is asked in words.
    let (body, warnings) = encoded(&request, &Profile::new("gemini-2.5-pro")).unwrap();
    assert!(body["generationConfig"].is_null());
    insta::assert_snapshot!(body["systemInstruction"].to_string(), @r#"{"parts":[{"text":"When you answer, give one valid JSON value and nothing else: no prose before or after it, no code fence. It must follow this JSON Schema: {\"type\":\"object\",\"properties\":{\"a\":{\"type\":[\"integer\",\"null\"],\"exclusiveMinimum\":0}}}"}]}"#);
    insta::assert_snapshot!(warnings.join("\n"), @"response_format emulated: asked for in the system instruction: the model takes no answer form beside tools");
}
