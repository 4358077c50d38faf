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
    Request, Sampling, Tool, ToolChoice,
};
use trunkline_model::usage::Usage;

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
        Reasoning { effort: Some(Effort::High), visible: Some(true), ..Reasoning::default() },
        Reasoning { effort: Some(Effort::Max), ..Reasoning::default() },
        Reasoning { budget_tokens: Some(6_000), ..Reasoning::default() },
        Reasoning { adaptive: true, ..Reasoning::default() },
        Reasoning { visible: Some(true), ..Reasoning::default() },
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

#[test]
fn answers_come_out_as_they_went_in() {
    for (name, body) in golden(".answer.json") {
        let events = plain_events(&body);
        collect(&events);
        assert_eq!(value(&written(Delivery::Plain, &events)), value(&body), "{name}");
    }
}

#[test]
fn streams_come_out_as_they_went_in() {
    for (name, body) in golden(".answer.sse") {
        let out = written(Delivery::Stream, &stream_events(&body));
        assert_eq!(String::from_utf8(out).unwrap(), String::from_utf8(body).unwrap(), "{name}");
    }
}

#[test]
fn calls_end_an_answer_as_calls_and_go_out_as_stop() {
    let (_, body) = golden(".answer.json").into_iter().find(|(name, _)| name == "tools").unwrap();
    let answer = collect(&plain_events(&body));
    assert_eq!(answer.finishes[0].1, Finish::ToolCalls);
    let Some((_, call)) = answer.parts.get(2) else { panic!("a call") };
    insta::assert_debug_snapshot!(call.kind, @r#"
    ToolCall {
        id: "call_gemini_mAitaLmkHPPlz7IPvtfUqQ4_0",
        name: "get_weather",
    }
    "#);
    assert_eq!(call.opaque.as_ref().unwrap().value, "c2lnMg==");
    let usage = Usage { input: 60, cache_read: 40, output: 20, reasoning: 30, ..Usage::default() };
    assert_eq!(answer.usage, Some(usage));
    let (_, body) = golden(".answer.json").into_iter().find(|(name, _)| name == "several").unwrap();
    let reasons: Vec<Finish> =
        collect(&plain_events(&body)).finishes.into_iter().map(|(_, reason, _)| reason).collect();
    assert_eq!(reasons, [Finish::Length, Finish::ContentFilter, Finish::Error]);
}

#[test]
fn an_observer_sees_what_a_decoder_sees() {
    for (name, body) in golden(".answer.sse") {
        let mut observer = observer(Operation::Chat, Delivery::Stream, true);
        let mut decoder = decoder(Operation::Chat, Delivery::Stream);
        for chunk in
            String::from_utf8(body.clone()).unwrap().split("\r\n\r\n").filter(|chunk| !chunk.is_empty())
        {
            let frame = Frame { event: "", data: &chunk.as_bytes()[6..] };
            let mut now = Vec::new();
            decoder.frame(frame, &mut now).unwrap();
            let seen = observer.frame(frame).unwrap();
            assert_eq!(seen.semantic, now.iter().any(Event::is_semantic), "{name}: {chunk}");
            assert!(!seen.hide);
        }
        observer.end().unwrap();
        let answer = collect(&stream_events(&body));
        assert_eq!(observer.summary().usage, answer.usage);
        assert_eq!(observer.summary().finish, Some(answer.finishes[0].1));
        assert!(observer.summary().complete && observer.summary().output_bytes > 0);
    }
    for (name, body) in golden(".answer.json") {
        let mut observer = observer(Operation::Chat, Delivery::Plain, true);
        assert!(observer.frame(Frame { event: "", data: &body }).unwrap().semantic);
        observer.end().unwrap();
        let answer = collect(&plain_events(&body));
        assert_eq!(observer.summary().usage, answer.usage, "{name}");
        assert_eq!(observer.summary().finish, Some(answer.finishes[0].1), "{name}");
    }
}

#[test]
fn words_inside_arguments_are_not_taken_for_ours() {
    let chunk = br#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{
        "usageMetadata":{"promptTokenCount":999,"totalTokenCount":999},"finishReason":"STOP","error":{"code":500}}}}]}}]}"#;
    let mut observer = observer(Operation::Chat, Delivery::Stream, true);
    let seen = observer.frame(Frame { event: "", data: chunk }).unwrap();
    assert!(seen.semantic);
    assert_eq!((observer.summary().usage, observer.summary().complete), (None, false));
    assert!(observer.end().is_err());
}

#[test]
fn broken_answers_are_typed_failures() {
    let (_, body) = golden(".answer.sse").remove(0);
    let text = String::from_utf8(body).unwrap();
    let run = |text: &str| {
        decode_pieces(decoder(Operation::Chat, Delivery::Stream), Framing::Sse, [text.as_bytes()])
            .map(|_| String::new())
            .unwrap_or_else(|failure| format!("{}: {}", failure.class.name(), failure.message))
    };
    let watch = |text: &str| {
        let mut observer = observer(Operation::Chat, Delivery::Stream, true);
        let mut framer = crate::frame::Framer::new(Framing::Sse, 1 << 20);
        framer.push(bytes::Bytes::copy_from_slice(text.as_bytes()));
        let mut result = Ok(());
        while let (true, Ok(Some(frame))) = (result.is_ok(), framer.next()) {
            result = observer.frame(frame.frame()).map(|_| ());
        }
        result
            .and_then(|()| observer.end())
            .map(|()| String::new())
            .unwrap_or_else(|failure| failure.class.name().to_owned())
    };
    let error = |status: &str| {
        format!("data: {{\"error\":{{\"code\":503,\"message\":\"m\",\"status\":\"{status}\"}}}}\r\n\r\n")
    };
    let cases = [
        text.replace("\"finishReason\":\"STOP\",", ""),
        error("UNAVAILABLE"),
        error("RESOURCE_EXHAUSTED"),
        error("INTERNAL"),
        "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{\"promptTokenCount\":4}}\n\n".to_owned(),
        "data: <html>\n\n".to_owned(),
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"te\n\n".to_owned(),
        "data: {\"candidates\":7}\n\n".to_owned(),
        // One of two candidates never ends.
        "data: {\"candidates\":[{\"index\":0,\"finishReason\":\"STOP\"},{\"index\":1,\"content\":{\"parts\":[{\"text\":\"x\"}]}}]}\n\n".to_owned(),
        String::new(),
    ];
    let lines: Vec<String> = cases.iter().map(|case| format!("{} | {}", run(case), watch(case))).collect();
    insta::assert_snapshot!(lines.join("\n"));
    let bodies = [
        "{}",
        "<html>",
        r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}"#,
        r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT","blockReasonMessage":"no"}}"#,
    ];
    let failures: Vec<String> = bodies
        .iter()
        .map(|body| {
            let frame = Frame { event: "", data: body.as_bytes() };
            let failure =
                decoder(Operation::Chat, Delivery::Plain).frame(frame, &mut Vec::new()).unwrap_err();
            let watched = observer(Operation::Chat, Delivery::Plain, true).frame(frame).unwrap_err();
            assert_eq!(failure, watched);
            format!("{}: {}", failure.class.name(), failure.message)
        })
        .collect();
    insta::assert_snapshot!(failures.join("\n"));
}

#[test]
fn a_finish_reason_on_every_chunk_ends_nothing() {
    let chunk = |text: &str| {
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{text}\"}}]}},\"finishReason\":\"STOP\"}}]}}\n\n"
        )
    };
    let answer = collect(&stream_events((chunk("a") + &chunk("b")).as_bytes()));
    assert_eq!((answer.parts[0].1.text.as_str(), answer.parts.len(), answer.finishes.len()), ("ab", 1, 1));
}

#[test]
fn answers_are_bounded() {
    let parts = vec![r#"{"functionCall":{"name":"f"}}"#; 5_000].join(",");
    let body = format!(r#"{{"candidates":[{{"content":{{"parts":[{parts}]}}}}]}}"#);
    let frame = Frame { event: "", data: body.as_bytes() };
    let failure = decoder(Operation::Chat, Delivery::Plain).frame(frame, &mut Vec::new()).unwrap_err();
    insta::assert_snapshot!(failure.message, @"the answer has too many parts");
    let candidates: Vec<String> = (0..200).map(|index| format!(r#"{{"index":{index}}}"#)).collect();
    let body = format!(r#"{{"candidates":[{}]}}"#, candidates.join(","));
    let frame = Frame { event: "", data: body.as_bytes() };
    let failure = decoder(Operation::Chat, Delivery::Plain).frame(frame, &mut Vec::new()).unwrap_err();
    insta::assert_snapshot!(failure.message, @"the answer has too many candidates");
}

#[test]
fn a_failed_stream_ends_in_an_error_event_and_nothing_else() {
    let mut out = BytesMut::new();
    let mut encoder = encoder(Operation::Chat, Delivery::Stream, context());
    encoder.event(&Event::PartStart { choice: 0, part: 0, kind: PartKind::Text }, &mut out);
    encoder.event(&Event::Delta { choice: 0, part: 0, delta: Delta::Text("Hal".to_owned()) }, &mut out);
    let before = out.len();
    encoder.fail(&ClientError::new(ErrorCode::Timeout, "stalled"), &mut out);
    insta::assert_snapshot!(std::str::from_utf8(&out[..before]).unwrap().replace('\r', "<CR>"), @r#"
    data: {"candidates":[{"content":{"parts":[{"text":"Hal"}],"role":"model"},"index":0}],"modelVersion":"asked","responseId":"00000000000000000000000001"}<CR>
    <CR>
    "#);
    insta::assert_snapshot!(std::str::from_utf8(&out[before..]).unwrap().replace('\r', "<CR>"), @r#"
    data: {"error":{"code":504,"message":"stalled","status":"DEADLINE_EXCEEDED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"TIMEOUT","domain":"trunkline","metadata":{"code":"timeout"}},{"@type":"type.googleapis.com/google.rpc.RequestInfo","requestId":"00000000000000000000000001"}]}}<CR>
    <CR>
    "#);
}

#[test]
fn tokens_are_counted_both_ways() {
    let body = br#"{"generateContentRequest":{"model":"models/m","contents":[{"parts":[{"text":"x"}]}]}}"#;
    let request = decode_request(Operation::CountTokens, body, &PathParts::default()).unwrap();
    let Request::Chat(chat) = &request else { panic!("a chat") };
    assert_eq!(chat.model, "m");
    let encoded = encode_count_request(&request, &Profile::new("gemini-x")).unwrap();
    insta::assert_snapshot!(std::str::from_utf8(&encoded.body).unwrap(), @r#"{"generateContentRequest":{"model":"models/gemini-x","contents":[{"role":"user","parts":[{"text":"x"}]}]}}"#);
    let bare = br#"{"contents":[{"parts":[{"text":"x"}]}]}"#;
    assert!(decode_request(Operation::CountTokens, bare, &path()).is_ok());

    let answer = br#"{"totalTokens":31,"cachedContentTokenCount":11}"#;
    let mut events = Vec::new();
    decoder(Operation::CountTokens, Delivery::Plain)
        .frame(Frame { event: "", data: answer }, &mut events)
        .unwrap();
    let usage = Usage { input: 20, cache_read: 11, ..Usage::default() };
    assert_eq!(events, [Event::Usage(usage), Event::End]);
    let mut observer = observer(Operation::CountTokens, Delivery::Plain, true);
    observer.frame(Frame { event: "", data: answer }).unwrap();
    assert_eq!(observer.summary().usage, Some(usage));
    let mut out = BytesMut::new();
    let mut encoder = encoder(Operation::CountTokens, Delivery::Plain, context());
    events.iter().for_each(|event| encoder.event(event, &mut out));
    encoder.finish(&mut out);
    assert_eq!(out, answer[..]);
}

#[test]
fn embeddings_are_asked_in_batch_and_answered_as_asked() {
    let single = br#"{"content":{"parts":[{"text":"a"},{"text":"b"}]},"taskType":"CLUSTERING","outputDimensionality":2,"title":"t"}"#;
    let request = decode_request(Operation::Embeddings, single, &path()).unwrap();
    let encoded = encode_request(&request, &Profile::new("gemini-embedding-001"), Delivery::Plain).unwrap();
    assert!(encoded.warnings.is_empty());
    insta::assert_snapshot!(std::str::from_utf8(&encoded.body).unwrap(), @r#"{"requests":[{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"a\nb"}]},"taskType":"CLUSTERING","outputDimensionality":2,"title":"t"}]}"#);
    assert_eq!(decode_request(Operation::Embeddings, &encoded.body, &path()), Ok(request));

    let answer = br#"{"embeddings":[{"values":[0.25,-1.5]},{"values":[1.0,0.1]}]}"#;
    let mut events = Vec::new();
    decoder(Operation::Embeddings, Delivery::Plain)
        .frame(Frame { event: "", data: answer }, &mut events)
        .unwrap();
    assert_eq!(collect(&events).vectors, [vec![0.25, -1.5], vec![1.0, 0.1]]);
    observer(Operation::Embeddings, Delivery::Plain, true).frame(Frame { event: "", data: answer }).unwrap();
    let write = |form| {
        let mut out = BytesMut::new();
        let mut encoder = encoder(
            Operation::Embeddings,
            Delivery::Plain,
            EncodeContext { embedding_form: form, ..context() },
        );
        events.iter().for_each(|event| encoder.event(event, &mut out));
        encoder.finish(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    };
    assert_eq!(write(EmbeddingForm::Batch), std::str::from_utf8(answer).unwrap());
    assert_eq!(write(EmbeddingForm::Single), r#"{"embedding":{"values":[0.25,-1.5]}}"#);
}

#[test]
fn mistakes_in_embeddings_are_named() {
    let bodies = [
        r#"{}"#,
        r#"{"content":{"parts":[{"inlineData":{}}]}}"#,
        r#"{"requests":[]}"#,
        r#"{"requests":[{"content":{"parts":[{"text":"a"}]},"taskType":"CLUSTERING"},{"content":{"parts":[{"text":"b"}]}}]}"#,
        r#"{"content":{"parts":[{"text":"a"}]},"outputDimensionality":0}"#,
    ];
    let lines: Vec<String> = bodies
        .iter()
        .map(|body| decode_request(Operation::Embeddings, body.as_bytes(), &path()).unwrap_err().message)
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    content: missing, expected a content with text parts
    content.parts[0].text: missing, expected a string: only text can be embedded
    requests: expected at least one request
    requests[1]: expected the same taskType and outputDimensionality in all requests of a batch
    outputDimensionality: expected a whole number, 1 or more
    "#);
    let request = EmbeddingRequest {
        inputs: vec![EmbeddingInput::Tokens(vec![1])],
        task: Some("poetry".to_owned()),
        user: Some("u".to_owned()),
        ..EmbeddingRequest::default()
    };
    let refused = encode_request(&Request::Embeddings(request.clone()), &Profile::new("m"), Delivery::Plain);
    insta::assert_snapshot!(refused.unwrap_err(), @"input[0] cannot be expressed for this target: Gemini takes text and not token ids: send the text");
    let request = EmbeddingRequest { inputs: vec![EmbeddingInput::Text("x".to_owned())], ..request };
    let encoded = encode_request(&Request::Embeddings(request), &Profile::new("m"), Delivery::Plain).unwrap();
    let warnings: Vec<String> = encoded.warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(warnings.join("\n"), @r#"
    input_type dropped: Gemini knows no task `poetry`
    user dropped: Gemini has nothing like it
    "#);
}

proptest! {
    /// An answer of Gemini's survives its own stream, however the network cuts it; signed parts are never joined.
    #[test]
    fn streams_round_trip(events in answers(Dialect::Gemini, false), size in 1usize..64) {
        let bytes = written(Delivery::Stream, &events);
        let decoder = decoder(Operation::Chat, Delivery::Stream);
        let back = decode_pieces(decoder, Framing::Sse, bytes.chunks(size)).unwrap();
        prop_assert_eq!(flat(&back), flat(&events));
        prop_assert_eq!(decode_pieces(super::decoder(Operation::Chat, Delivery::Stream), Framing::Sse, [&bytes[..]]).unwrap(), back);
    }

    /// And its own plain form, part by part.
    #[test]
    fn plain_answers_round_trip(events in answers(Dialect::Gemini, false)) {
        let back = plain_events(&written(Delivery::Plain, &events));
        prop_assert_eq!(flat(&back), flat(&events));
    }

    /// Nonsense never panics and never ends an answer.
    #[test]
    fn nonsense_is_refused(data in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut events = Vec::new();
        let mut decoder = decoder(Operation::Chat, Delivery::Stream);
        let _ = decoder.frame(Frame { event: "", data: &data }, &mut events);
        prop_assert!(decoder.end(&mut events).is_err());
    }
}

/// What an answer says, without where parts of one kind were cut.
fn flat(events: &[Event]) -> (String, Vec<Finish>, Option<Usage>, bool) {
    let answer = collect(events);
    let mut said = String::new();
    let mut last = "";
    for (_, whole) in &answer.parts {
        let kind = match &whole.kind {
            PartKind::ToolCall { name, .. } => {
                said.push_str(&format!("\n{name}({})", whole.text));
                last = "";
                continue;
            }
            PartKind::Thinking => "\nthought: ",
            _ => "\ntext: ",
        };
        if last != kind && !whole.text.is_empty() {
            said.push_str(kind);
            last = kind;
        }
        said.push_str(&whole.text);
        if let Some(opaque) = &whole.opaque {
            said.push_str(&format!("[{}]", opaque.value));
        }
    }
    let finishes = answer.finishes.iter().map(|(_, finish, _)| *finish).collect();
    (said, finishes, answer.usage, answer.ended)
}
