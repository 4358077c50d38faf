//! The dialect against what the others can say: requests, refusals, splits that must not show.

use super::*;
use crate::codec::{EncodeError, Frame, Profile, ReasoningStyle};
use crate::collected::{collect, decode_pieces};
use crate::frame::Framing;
use crate::testing::{answer, chat_request, message};
use proptest::prelude::*;
use serde_json::{Value, json};
use trunkline_model::capability::Support;
use trunkline_model::content::{
    CacheMark, Content, Media, MediaSource, Message, Opaque, Part, Role, ToolCall, ToolResult,
};
use trunkline_model::dialect::Dialect;
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::json::Json;
use trunkline_model::request::{
    ChatRequest, Effort, EmbeddingInput, EmbeddingRequest, Extra, FunctionTool, OutputFormat, Reasoning,
    Sampling, Tool, ToolChoice, Visibility,
};

const CLAUDE: &str = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn claude() -> Profile {
    Profile { reasoning: ReasoningStyle::Budget, max_output_tokens: Some(64_000), ..Profile::new(CLAUDE) }
}

fn encoded(request: &ChatRequest, profile: &Profile) -> Result<(Value, Vec<String>), EncodeError> {
    let encoded = encode_request(&Request::Chat(Box::new(request.clone())), profile, Delivery::Plain)?;
    let body = serde_json::from_slice(&encoded.body).expect("JSON");
    Ok((body, encoded.warnings.iter().map(ToString::to_string).collect()))
}

fn said(parts: Vec<Part>) -> ChatRequest {
    let messages = vec![Message { role: Role::User, parts, name: None }];
    ChatRequest { messages, ..ChatRequest::default() }
}

fn function(name: &str) -> FunctionTool {
    FunctionTool { name: name.to_owned(), description: None, parameters: None, strict: None, cache: None }
}

fn call(id: &str, name: &str) -> Part {
    let arguments = Json::parse(r#"{"city":"Paris"}"#.to_owned()).unwrap();
    Part::new(Content::ToolCall(ToolCall { id: id.to_owned(), name: name.to_owned(), arguments }))
}

fn result(id: &str, parts: Vec<Part>, is_error: bool) -> Message {
    let result = ToolResult { call_id: id.to_owned(), name: None, parts, is_error };
    Message { role: Role::Tool, parts: vec![Part::new(Content::ToolResult(result))], name: None }
}

fn media(source: MediaSource, media_type: Option<&str>, name: Option<&str>) -> Media {
    Media { source, media_type: media_type.map(str::to_owned), name: name.map(str::to_owned), detail: None }
}

fn signed(content: Content, origin: Dialect) -> Part {
    let opaque = Some(Opaque { origin, value: "c2lnbmVk".to_owned() });
    Part { content, cache: None, opaque }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one request with everything")]
fn a_request_with_everything() {
    let mut first = Part::text("Long instructions.");
    first.cache = Some(CacheMark::Long);
    let mut question = Part::text("What is the weather?");
    question.cache = Some(CacheMark::Short);
    let picture = media(MediaSource::Base64("iVBORw0KGgoAAAA=".into()), None, None);
    let report =
        media(MediaSource::Base64("JVBERi0xLjQ=".into()), Some("application/pdf"), Some("q3_report.pdf"));
    let notes = media(MediaSource::Text("plain".into()), None, Some("q3_report.pdf"));
    let film = media(MediaSource::Url("s3://films/one.mp4".to_owned()), None, None);
    let request = ChatRequest {
        messages: vec![
            Message { role: Role::System, parts: vec![first], name: None },
            Message::text(Role::Developer, "Be short."),
            Message {
                role: Role::User,
                parts: vec![
                    question,
                    Part::new(Content::Image(picture)),
                    Part::new(Content::Document(report)),
                    Part::new(Content::Document(notes)),
                    Part::new(Content::Video(film)),
                ],
                name: Some("ann".to_owned()),
            },
            Message {
                role: Role::Assistant,
                parts: vec![
                    signed(Content::Thinking("Two calls.".to_owned()), Dialect::Converse),
                    signed(Content::RedactedThinking, Dialect::Converse),
                    Part::text("Looking."),
                    call("call.1:a", "get_weather"),
                    call("call_2", "files/read"),
                ],
                name: None,
            },
            result("call.1:a", vec![Part::text("18 degrees")], false),
            result("call_2", vec![], true),
            Message::text(Role::System, "Answer in French."),
            Message::text(Role::User, "  "),
        ],
        tools: vec![
            Tool::Function(FunctionTool {
                description: Some("Weather.".to_owned()),
                parameters: Some(
                    Json::parse(r#"{"properties":{"city":{"type":"string"}}}"#.to_owned()).unwrap(),
                ),
                strict: Some(true),
                cache: Some(CacheMark::Short),
                ..function("get_weather")
            }),
            Tool::Function(function("files/read")),
        ],
        tool_choice: Some(ToolChoice::Auto),
        parallel_tool_calls: Some(false),
        max_output_tokens: Some(100_000),
        stop: vec!["END".to_owned(), " ".to_owned()],
        sampling: Sampling { temperature: Some(0.5), top_k: Some(5), seed: Some(1), ..Sampling::default() },
        reasoning: Some(Reasoning {
            budget_tokens: Some(2_000),
            visibility: Visibility::Shown,
            ..Reasoning::default()
        }),
        output: OutputFormat::JsonSchema {
            name: Some("weather".to_owned()),
            description: None,
            schema: Json::parse(
                r#"{"type":"object","properties":{"t":{"type":"number","minimum":1}}}"#.to_owned(),
            )
            .unwrap(),
            strict: None,
        },
        extras: vec![Extra {
            origin: Dialect::OpenAi,
            name: "service_tier".to_owned(),
            value: Json::parse(r#""flex""#.to_owned()).unwrap(),
        }],
        ..ChatRequest::default()
    };
    let (body, warnings) = encoded(&request, &claude()).unwrap();
    insta::assert_json_snapshot!(body);
    insta::assert_snapshot!(warnings.join("\n"));
    let count = encode_count_request(&Request::Chat(Box::new(request)), &claude()).unwrap();
    let count: Value = serde_json::from_slice(&count.body).unwrap();
    for name in ["system", "messages", "toolConfig"] {
        assert_eq!(count["input"]["converse"][name], body[name], "{name}");
    }
    assert_eq!(count["input"]["converse"].as_object().unwrap().len(), 3);
}

#[test]
fn the_choice_of_tools_is_said_or_reported() {
    let cases = [
        ("auto", ToolChoice::Auto, false),
        ("none", ToolChoice::None, false),
        ("none with calls", ToolChoice::None, true),
        ("required", ToolChoice::Required, false),
        ("named", ToolChoice::Named("f".to_owned()), false),
        ("allowed", ToolChoice::Allowed { names: vec!["f".to_owned()], required: true }, false),
    ];
    let mut lines = Vec::new();
    for (name, choice, calls) in cases {
        let mut request = said(vec![Part::text("hi")]);
        if calls {
            request.messages.push(Message { role: Role::Assistant, parts: vec![call("a", "f")], name: None });
            request.messages.push(result("a", vec![Part::text("x")], false));
        }
        request.tools = vec![Tool::Function(function("f")), Tool::Function(function("g"))];
        request.tool_choice = Some(choice);
        let (body, warnings) = encoded(&request, &claude()).unwrap();
        let names: Vec<String> = body["toolConfig"]["tools"]
            .as_array()
            .map(|tools| tools.iter().map(|tool| tool["toolSpec"]["name"].to_string()).collect())
            .unwrap_or_default();
        lines.push(format!("{name}: {} of {names:?} {warnings:?}", body["toolConfig"]["toolChoice"]));
    }
    // Calls in the conversation need declarations, also when no tool is offered any more.
    let mut request = said(vec![Part::text("hi")]);
    request.messages.push(Message { role: Role::Assistant, parts: vec![call("a", "f")], name: None });
    request.messages.push(result("a", vec![Part::text("x")], false));
    let (body, warnings) = encoded(&request, &claude()).unwrap();
    lines.push(format!("undeclared: {} {warnings:?}", body["toolConfig"]));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn reasoning_is_asked_for_in_the_familys_own_way() {
    let effort = |effort| Reasoning { effort: Some(effort), ..Reasoning::default() };
    let budget = |tokens| Reasoning { budget_tokens: Some(tokens), ..Reasoning::default() };
    let adaptive = Profile { reasoning: ReasoningStyle::Adaptive, ..claude() };
    let nova = Profile::new("us.amazon.nova-2-lite-v1:0");
    let open = Profile::new("openai.gpt-oss-120b-1:0");
    let other = Profile::new("meta.llama4-maverick-17b-instruct-v1:0");
    let none = Profile { reasoning: ReasoningStyle::None, ..claude() };
    let cases = [
        ("claude by budget", &claude(), effort(Effort::High)),
        ("claude, budget", &claude(), budget(100)),
        ("claude, off", &claude(), effort(Effort::None)),
        ("claude, adaptive", &adaptive, effort(Effort::Minimal)),
        ("claude, adaptive by budget", &adaptive, budget(20_000)),
        ("nova", &nova, effort(Effort::Max)),
        ("open", &open, effort(Effort::Low)),
        ("other", &other, budget(5_000)),
        ("does not reason", &none, effort(Effort::High)),
    ];
    let mut lines = Vec::new();
    for (name, profile, reasoning) in cases {
        let request = ChatRequest { reasoning: Some(reasoning), ..said(vec![Part::text("hi")]) };
        let (body, warnings) = encoded(&request, profile).unwrap();
        let (config, fields, output) =
            (&body["inferenceConfig"], &body["additionalModelRequestFields"], &body["outputConfig"]);
        lines.push(format!("{name}: {config} {fields} {output} {warnings:?}"));
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn state_of_other_providers_stays_behind() {
    let mut request = said(vec![Part::text("hi")]);
    request.messages.push(Message {
        role: Role::Assistant,
        parts: vec![
            signed(Content::Thinking("hm".to_owned()), Dialect::Anthropic),
            signed(Content::RedactedThinking, Dialect::Gemini),
            Part::new(Content::Thinking("unsigned".to_owned())),
            Part::text("Yes."),
        ],
        name: None,
    });
    request.messages.push(Message::text(Role::User, "and?"));
    let (body, warnings) = encoded(&request, &claude()).unwrap();
    assert_eq!(body["messages"][1]["content"], json!([{"text": "Yes."}]));
    insta::assert_snapshot!(warnings.join("\n"));
}

#[test]
fn what_cannot_be_said_is_refused() {
    let image = |source, kind| said(vec![Part::new(Content::Image(media(source, kind, None)))]);
    let url = || MediaSource::Url("https://example.com/a.png".to_owned());
    let bytes = || MediaSource::Base64("AAAA".into());
    let thinking = Reasoning { effort: Some(Effort::High), ..Reasoning::default() };
    let cases = [
        ChatRequest { choices: Some(2), ..said(vec![Part::text("hi")]) },
        ChatRequest::default(),
        image(url(), None),
        image(bytes(), Some("image/tiff")),
        image(MediaSource::FileId("file_1".to_owned()), Some("image/png")),
        said(vec![Part::new(Content::Document(media(bytes(), Some("application/zip"), None)))]),
        said(vec![Part::new(Content::Audio(media(bytes(), Some("audio/midi"), None)))]),
        said(vec![Part::new(Content::Video(media(bytes(), None, None)))]),
        ChatRequest {
            reasoning: Some(thinking),
            tools: vec![Tool::Function(function("f"))],
            tool_choice: Some(ToolChoice::Required),
            ..said(vec![Part::text("hi")])
        },
        ChatRequest {
            tools: vec![Tool::BuiltIn {
                origin: Dialect::Anthropic,
                kind: "web_search_20250305".to_owned(),
                json: Json::empty_object(),
            }],
            ..said(vec![Part::text("hi")])
        },
    ];
    let lines: Vec<String> =
        cases.iter().map(|request| encoded(request, &claude()).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn odd_conversations_are_put_in_order() {
    let schema = OutputFormat::JsonSchema {
        name: None,
        description: None,
        schema: Json::parse(r#"{"type":"object","properties":{}}"#.to_owned()).unwrap(),
        strict: None,
    };
    let document = media(MediaSource::Base64("JVBERi0=".into()), None, None);
    let talk = |messages| ChatRequest { messages, ..ChatRequest::default() };
    let cases = [
        talk(vec![Message::text(Role::System, "Only instructions.")]),
        talk(vec![
            Message::text(Role::Assistant, "Hello. "),
            Message::text(Role::Assistant, "How are you? "),
        ]),
        talk(vec![Message::text(Role::User, "one"), Message::text(Role::User, "two")]),
        said(vec![Part::new(Content::Document(document))]),
        ChatRequest { output: OutputFormat::JsonObject, ..said(vec![Part::text("hi")]) },
        ChatRequest { output: schema, ..said(vec![Part::text("hi")]) },
    ];
    let profile = Profile { json_schema: Support::No, ..claude() };
    let lines: Vec<String> = cases
        .iter()
        .map(|request| {
            let (body, warnings) = encoded(request, &profile).unwrap();
            format!("{body}\n{}", warnings.join("\n"))
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n\n"));
}

#[test]
fn embeddings_have_the_familys_own_body() {
    let request = |texts: &[&str]| EmbeddingRequest {
        inputs: texts.iter().map(|text| EmbeddingInput::Text((*text).to_owned())).collect(),
        ..EmbeddingRequest::default()
    };
    let cases = [
        ("amazon.titan-embed-text-v2:0", EmbeddingRequest { dimensions: Some(256), ..request(&["a"]) }),
        ("amazon.titan-embed-text-v2:0", request(&["a", "b"])),
        ("cohere.embed-v4:0", EmbeddingRequest { dimensions: Some(512), ..request(&["a", "b"]) }),
        (
            "cohere.embed-multilingual-v3",
            EmbeddingRequest { task: Some("RETRIEVAL_QUERY".to_owned()), ..request(&["a"]) },
        ),
        ("cohere.embed-multilingual-v3", EmbeddingRequest { dimensions: Some(512), ..request(&["a"]) }),
        ("cohere.embed-multilingual-v3", request(&["a"; 97])),
        ("twelvelabs.marengo-embed-2-7-v1:0", request(&["a"])),
        (
            "cohere.embed-v4:0",
            EmbeddingRequest { inputs: vec![EmbeddingInput::Tokens(vec![1])], ..EmbeddingRequest::default() },
        ),
    ];
    let lines: Vec<String> = cases
        .into_iter()
        .map(|(model, request)| {
            match encode_request(&Request::Embeddings(request), &Profile::new(model), Delivery::Plain) {
                Ok(encoded) => String::from_utf8_lossy(&encoded.body).into_owned(),
                Err(error) => format!("refused: {error}"),
            }
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_forced_answer_tool_is_text_again() {
    let stream = [
        event("contentBlockStart", r#"{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"t","name":"json_answer_by_trunkline"}}}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{\"a\":1}"}}}"#),
        event("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        event("messageStop", r#"{"stopReason":"tool_use"}"#),
    ]
    .concat();
    let events =
        decode_pieces(decoder(Operation::Chat, Delivery::Stream), Framing::EventStream, [&stream[..]]);
    let answer = collect(&events.unwrap());
    assert_eq!((answer.parts[0].1.text.as_str(), answer.finishes[0].1), (r#"{"a":1}"#, Finish::Stop));
    let plain = br#"{"output":{"message":{"content":[{"toolUse":{"toolUseId":"t","name":"json_answer_by_trunkline","input":{"a":1}}}]}},"stopReason":"tool_use"}"#;
    let mut events = Vec::new();
    decoder(Operation::Chat, Delivery::Plain).frame(Frame { event: "", data: plain }, &mut events).unwrap();
    let whole = collect(&events);
    assert_eq!((whole.parts, whole.finishes), (answer.parts, answer.finishes));
}

fn event(name: &str, json: &str) -> Vec<u8> {
    message(&[(":message-type", "event"), (":event-type", name)], json.as_bytes())
}

/// Events of an answer as this dialect's provider would send them.
fn written(events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reason = String::new();
    for item in events {
        match item {
            Event::Start { .. } => out.extend(event("messageStart", r#"{"role":"assistant"}"#)),
            Event::PartStart { part, kind: PartKind::ToolCall { id, name }, .. } => {
                let start =
                    json!({"contentBlockIndex": part, "start": {"toolUse": {"toolUseId": id, "name": name}}});
                out.extend(event("contentBlockStart", &start.to_string()));
            }
            Event::PartStart { .. } => {}
            Event::Delta { part, delta, .. } => {
                let thinking = events.iter().any(|other| {
                    matches!(other, Event::PartStart { part: number, kind: PartKind::Thinking, .. } if number == part)
                });
                let delta = match delta {
                    Delta::Text(text) if thinking => json!({"reasoningContent": {"text": text}}),
                    Delta::Text(text) => json!({"text": text}),
                    Delta::Arguments(piece) => json!({"toolUse": {"input": piece}}),
                    Delta::Opaque(opaque) => json!({"reasoningContent": {"signature": opaque.value}}),
                };
                let delta = json!({"contentBlockIndex": part, "delta": delta, "p": "abc"});
                out.extend(event("contentBlockDelta", &delta.to_string()));
            }
            Event::PartEnd { part, .. } => {
                out.extend(event("contentBlockStop", &json!({"contentBlockIndex": part}).to_string()));
            }
            Event::Finish { reason: finish, .. } => {
                reason = match finish {
                    Finish::ToolCalls => "tool_use",
                    Finish::Length => "max_tokens",
                    _ => "end_turn",
                }
                .to_owned();
                out.extend(event("messageStop", &json!({"stopReason": reason}).to_string()));
            }
            Event::Usage(usage) => {
                let usage = json!({
                    "inputTokens": usage.input, "outputTokens": usage.completion(), "totalTokens": usage.total(),
                    "cacheReadInputTokens": usage.cache_read,
                });
                out.extend(event(
                    "metadata",
                    &json!({"usage": usage, "metrics": {"latencyMs": 1}}).to_string(),
                ));
            }
            _ => {}
        }
    }
    assert!(!reason.is_empty());
    out
}

proptest! {
    #[test]
    fn every_request_follows_the_services_rules(request in chat_request()) {
        let mut request = request;
        for part in request.messages.iter_mut().flat_map(|message| &mut message.parts) {
            if let Content::Text(text) = &mut part.content && text.trim().is_empty() {
                text.push_str("x");
            }
            if let Content::Image(media) = &mut part.content && matches!(media.source, MediaSource::Url(_)) {
                media.source = MediaSource::Base64("AAAA".into());
                media.media_type = Some("image/png".to_owned());
            }
        }
        let thinks = request.reasoning.is_some();
        let refused = thinks
            && (matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)))
                || crate::conversation::check_end(&request.messages, Support::Unknown, thinks).is_err());
        match encoded(&request, &claude()) {
            Err(error) => prop_assert!(refused, "{error}"),
            Ok((body, _)) => check(&body),
        }
    }

    #[test]
    fn streams_decode_alike_however_they_are_cut(events in answer(Dialect::Converse), size in 1usize..40) {
        let bytes = written(&events);
        let stream = || decoder(Operation::Chat, Delivery::Stream);
        let whole = decode_pieces(stream(), Framing::EventStream, [&bytes[..]]).unwrap();
        let pieces = decode_pieces(stream(), Framing::EventStream, bytes.chunks(size)).unwrap();
        prop_assert_eq!(&whole, &pieces);
        let (got, wanted) = (collect(&whole), collect(&events));
        let texts = |answer: &crate::collected::Collected| -> Vec<(PartKind, String)> {
            answer
                .parts
                .iter()
                .map(|(_, part)| (part.kind.clone(), if part.text.is_empty() { "{}".to_owned() } else { part.text.clone() }))
                .collect()
        };
        prop_assert_eq!(texts(&got), texts(&wanted));
        let opaque = |answer: &crate::collected::Collected| -> Vec<Option<Opaque>> {
            answer.parts.iter().map(|(_, part)| part.opaque.clone()).collect()
        };
        prop_assert_eq!(opaque(&got), opaque(&wanted));
        prop_assert_eq!(got.finishes, wanted.finishes);
        prop_assert_eq!(got.usage.map(|usage| usage.total()), wanted.usage.map(|usage| usage.total()));
        // Cut anywhere, it is never a whole answer.
        let stop = bytes.windows(11).position(|window| window == b"messageStop").unwrap();
        let cut = stop * size / 40;
        let short = decode_pieces(stream(), Framing::EventStream, [&bytes[..cut]]);
        prop_assert!(short.is_err());
    }
}

/// What the service refuses.
fn check(body: &Value) {
    let messages = body["messages"].as_array().unwrap();
    for (index, message) in messages.iter().enumerate() {
        assert_eq!(message["role"], if index % 2 == 0 { "user" } else { "assistant" }, "turns alternate");
        let blocks = message["content"].as_array().unwrap();
        assert!(!blocks.is_empty());
        let mut others = false;
        for block in blocks {
            assert_eq!(block.as_object().unwrap().len(), 1, "a block is one of many: {block}");
            if let Some(text) = block.get("text") {
                assert!(!text.as_str().unwrap().trim().is_empty());
            }
            if block.get("toolResult").is_some() {
                assert!(!others, "results come first");
            } else {
                others = true;
            }
        }
    }
    if let Some(thinking) = body["additionalModelRequestFields"].get("thinking") {
        assert!(body["inferenceConfig"].get("temperature").is_none());
        assert!(thinking["budget_tokens"].as_u64() < body["inferenceConfig"]["maxTokens"].as_u64());
    }
    if let Some(format) = body["outputConfig"].get("textFormat") {
        let schema = format["structure"]["jsonSchema"]["schema"].as_str().expect("a string");
        serde_json::from_str::<Value>(schema).expect("of JSON");
    }
}
