//! The dialect against itself and against what the others can say: goldens, round trips, refusals.

#![expect(clippy::disallowed_methods, reason = "golden folders are read from the disk")]

use super::*;
use crate::call_ids::CallIds;
use crate::codec::{EncodeError, Frame, PathParts, Profile, ReasoningStyle};
use crate::collected::{answers, collect, decode_pieces};
use crate::frame::Framing;
use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::Value;
use std::path::PathBuf;
use trunkline_model::capability::Support;
use trunkline_model::content::{
    Content, Media, MediaSource, Message, Opaque, Part, Role, ToolCall, ToolResult,
};
use trunkline_model::dialect::Dialect;
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::id::RequestId;
use trunkline_model::json::Json;
use trunkline_model::request::{
    ChatRequest, Effort, Extra, FunctionTool, OutputFormat, Reasoning, Request, Sampling, Tool, ToolChoice,
};

mod answers;

fn golden(folder: &str) -> Vec<(String, Vec<u8>)> {
    let root: PathBuf = [env!("CARGO_MANIFEST_DIR"), "src/anthropic/golden", folder].iter().collect();
    let mut files: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn context() -> EncodeContext {
    EncodeContext {
        request_id: RequestId::from_bits(1),
        created: 0,
        model: "asked".to_owned(),
        stream_usage: true,
        encoding: Default::default(),
        embedding_form: Default::default(),
        echo: None,
    }
}

fn decoded(body: &[u8]) -> ChatRequest {
    match decode_request(Operation::Chat, body, &PathParts::default()) {
        Ok(Request::Chat(request)) => *request,
        other => panic!("not a chat request: {other:?}"),
    }
}

fn encoded(request: &ChatRequest, profile: &Profile) -> Result<(Value, Vec<String>), EncodeError> {
    let delivery = Delivery::from_stream_flag(request.stream);
    let encoded = encode_request(&Request::Chat(Box::new(request.clone())), profile, delivery)?;
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

fn said(text: &str) -> ChatRequest {
    ChatRequest { messages: vec![Message::text(Role::User, text)], ..ChatRequest::default() }
}

#[test]
fn requests_come_out_as_they_went_in() {
    for (name, body) in golden("requests") {
        let (out, warnings) = encoded(&decoded(&body), &Profile::new("claude-x")).unwrap();
        assert_eq!(out, value(&body), "{name}");
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
    }
}

#[test]
fn another_dialects_request_is_arranged() {
    let json = |text: &str| Json::parse(text.to_owned()).unwrap();
    let call = |id: &str| {
        Part::new(Content::ToolCall(ToolCall {
            id: id.to_owned(),
            name: "files.read".to_owned(),
            arguments: json("\"\""),
        }))
    };
    let result = |id: &str| Message {
        role: Role::Tool,
        parts: vec![Part::new(Content::ToolResult(ToolResult {
            call_id: id.to_owned(),
            name: None,
            parts: vec![Part::text("ok")],
            is_error: false,
        }))],
        name: None,
    };
    let mut signed = call("call.1");
    signed.opaque = Some(Opaque { origin: Dialect::Gemini, value: "c2ln".to_owned() });
    let request = ChatRequest {
        model: "auto".to_owned(),
        messages: vec![
            Message::text(Role::System, "First."),
            Message::text(Role::Developer, "Second."),
            Message { name: Some("ann".to_owned()), ..Message::text(Role::User, "Hi") },
            Message::text(Role::User, " "),
            Message {
                role: Role::Assistant,
                parts: vec![Part::new(Content::Thinking("hm".to_owned())), signed, call("b")],
                name: None,
            },
            result("call.1"),
            result("b"),
            Message::text(Role::System, "Be brief."),
            Message::text(Role::User, "Go on"),
            Message::text(Role::Assistant, "Well \n"),
        ],
        tools: vec![Tool::Function(FunctionTool {
            name: "files.read".to_owned(),
            description: None,
            parameters: None,
            strict: None,
            cache: None,
        })],
        parallel_tool_calls: Some(false),
        sampling: Sampling {
            temperature: Some(1.7),
            frequency_penalty: Some(0.5),
            seed: Some(3),
            ..Sampling::default()
        },
        stop: vec!["END".to_owned(), "\n".to_owned()],
        logprobs: Some(2),
        output: OutputFormat::JsonObject,
        user: Some("u".to_owned()),
        extras: vec![Extra { origin: Dialect::OpenAi, name: "logit_bias".to_owned(), value: json("{}") }],
        ..ChatRequest::default()
    };
    let (body, warnings) = encoded(&request, &Profile::new("claude-x")).unwrap();
    insta::assert_json_snapshot!(body);
    insta::assert_snapshot!(warnings.join("\n"));
}

#[test]
fn a_schema_is_reached_with_a_forced_tool_and_unwrapped() {
    let mut request = said("x");
    request.output = OutputFormat::JsonSchema {
        name: Some("city".to_owned()),
        description: None,
        schema: Json::parse(r#"{"type":"object","properties":{"a":{"type":"integer"}}}"#.to_owned()).unwrap(),
        strict: Some(true),
    };
    request.reasoning = Some(Reasoning { effort: Some(Effort::High), ..Reasoning::default() });
    let mut profile = Profile::new("old");
    profile.json_schema = Support::No;
    profile.max_output_tokens = Some(50_000);
    let (body, warnings) = encoded(&request, &profile).unwrap();
    insta::assert_json_snapshot!(body);
    insta::assert_snapshot!(warnings.join("\n"), @r"
    response_format emulated: reached with a forced tool
    reasoning dropped: the JSON schema is reached with a forced tool, which Anthropic refuses while thinking
    ");

    let answer = format!(
        r#"{{"type":"message","id":"m","model":"old","content":[{{"type":"tool_use","id":"t","name":"{ANSWER_TOOL}","input":{{"a":1}}}}],"stop_reason":"tool_use","usage":{{"input_tokens":1,"output_tokens":2}}}}"#
    );
    let mut events = Vec::new();
    decoder(Operation::Chat, Delivery::Plain)
        .frame(Frame { event: "", data: answer.as_bytes() }, &mut events)
        .unwrap();
    let plain = collect(&events);
    assert_eq!(plain.parts[0].1.text, r#"{"a":1}"#);
    assert_eq!(plain.finishes[0].1, Finish::Stop);

    let stream = format!(
        "data: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"{ANSWER_TOOL}\",\"input\":{{}}}}}}\n\n\
         data: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"input_json_delta\",\"partial_json\":\"{{\\\"a\\\":1}}\"}}}}\n\n\
         data: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"tool_use\"}}}}\n\ndata: {{\"type\":\"message_stop\"}}\n\n"
    );
    let events =
        decode_pieces(decoder(Operation::Chat, Delivery::Stream), Framing::Sse, [stream.as_bytes()]).unwrap();
    let streamed = collect(&events);
    assert_eq!(streamed.parts, plain.parts);
    assert_eq!(streamed.finishes[0].1, Finish::Stop);
}

#[test]
fn reasoning_follows_the_profile() {
    let shown = |reasoning: Reasoning, style: ReasoningStyle, limit: Option<u64>| {
        let mut request = said("x");
        request.reasoning = Some(reasoning);
        request.max_output_tokens = limit;
        request.sampling.temperature = Some(0.2);
        let mut profile = Profile::new("m");
        profile.reasoning = style;
        profile.max_output_tokens = Some(32_000);
        let (body, warnings) = encoded(&request, &profile).unwrap();
        format!(
            "{} {} {} | {}",
            body["max_tokens"],
            body["thinking"],
            body["output_config"],
            warnings.join("; ")
        )
    };
    let effort = |effort| Reasoning { effort: Some(effort), ..Reasoning::default() };
    let budget = |tokens| Reasoning { budget_tokens: Some(tokens), ..Reasoning::default() };
    let lines = [
        shown(effort(Effort::High), ReasoningStyle::Adaptive, None),
        shown(effort(Effort::Minimal), ReasoningStyle::Adaptive, None),
        shown(effort(Effort::None), ReasoningStyle::Adaptive, None),
        shown(budget(9_000), ReasoningStyle::Adaptive, None),
        shown(effort(Effort::High), ReasoningStyle::Budget, None),
        shown(effort(Effort::High), ReasoningStyle::Budget, Some(4_000)),
        shown(effort(Effort::High), ReasoningStyle::Budget, Some(500)),
        shown(budget(100), ReasoningStyle::Budget, Some(2_000)),
        shown(budget(2_000), ReasoningStyle::Unknown, Some(4_000)),
        shown(effort(Effort::High), ReasoningStyle::None, None),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

fn media(source: MediaSource, kind: Option<&str>) -> Media {
    Media { source, media_type: kind.map(str::to_owned), name: None, detail: None }
}

fn url() -> Media {
    media(MediaSource::Url("https://x".to_owned()), None)
}

fn put(request: &mut ChatRequest, content: Content) {
    request.messages[0].parts.push(Part::new(content));
}

fn schema(text: &str) -> OutputFormat {
    let schema = Json::parse(text.to_owned()).unwrap();
    OutputFormat::JsonSchema { name: None, description: None, schema, strict: None }
}

fn tool() -> Tool {
    let name = "f".to_owned();
    Tool::Function(FunctionTool { name, description: None, parameters: None, strict: None, cache: None })
}

#[test]
fn what_cannot_be_said_is_refused() {
    let refused = |change: &dyn Fn(&mut ChatRequest), profile: &Profile| {
        let mut request = said("x");
        change(&mut request);
        encoded(&request, profile).map(|_| "accepted".to_owned()).unwrap_or_else(|error| error.to_string())
    };
    let profile = Profile::new("m");
    let mut old = Profile::new("m");
    old.json_schema = Support::No;
    old.image_urls = Support::No;
    let lines = [
        refused(&|request| request.choices = Some(2), &profile),
        refused(&|request| request.messages.clear(), &profile),
        refused(&|request| put(request, Content::Audio(url())), &profile),
        refused(&|request| put(request, Content::Video(url())), &profile),
        refused(&|request| put(request, Content::Image(url())), &old),
        refused(
            &|request| put(request, Content::Image(media(MediaSource::FileId("file-1".to_owned()), None))),
            &profile,
        ),
        refused(
            &|request| {
                put(request, Content::Image(media(MediaSource::Base64("AA".into()), Some("image/tiff"))))
            },
            &profile,
        ),
        refused(
            &|request| {
                put(
                    request,
                    Content::Document(media(MediaSource::Base64("AA".into()), Some("application/zip"))),
                )
            },
            &profile,
        ),
        refused(&|request| request.output = schema("[]"), &profile),
        refused(&|request| request.output = schema(r#"{"type":"array"}"#), &old),
        refused(
            &|request| {
                request.tools = vec![tool()];
                request.tool_choice = Some(ToolChoice::Required);
                request.reasoning = Some(Reasoning { adaptive: true, ..Reasoning::default() });
            },
            &profile,
        ),
        refused(
            &|request| {
                let json = Json::empty_object();
                request.tools =
                    vec![Tool::BuiltIn { origin: Dialect::Gemini, kind: "googleSearch".to_owned(), json }];
            },
            &profile,
        ),
        refused(
            &|request| {
                request.messages.insert(
                    0,
                    Message { role: Role::System, parts: vec![Part::new(Content::Image(url()))], name: None },
                );
            },
            &profile,
        ),
        encode_request(&Request::Embeddings(Default::default()), &profile, Delivery::Plain)
            .unwrap_err()
            .to_string(),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn counting_takes_the_prompt_only_and_gives_the_count() {
    let request = Request::Chat(Box::new(ChatRequest { max_output_tokens: Some(5), ..said("x") }));
    let encoded = encode_count_request(&request, &Profile::new("m")).unwrap();
    assert_eq!(encoded.body, r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#);
    let body = br#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
    assert!(decode_request(Operation::CountTokens, body, &PathParts::default()).is_ok());
    let mut events = Vec::new();
    let mut decoder = decoder(Operation::CountTokens, Delivery::Plain);
    decoder.frame(Frame { event: "", data: br#"{"input_tokens":42}"# }, &mut events).unwrap();
    let mut out = BytesMut::new();
    let mut encoder = encoder(Operation::CountTokens, Delivery::Plain, context());
    events.iter().for_each(|event| encoder.event(event, &mut out));
    encoder.finish(&mut out);
    assert_eq!(out, r#"{"input_tokens":42}"#);
    let mut observer = observer(Operation::CountTokens, Delivery::Plain, true);
    observer.frame(Frame { event: "", data: &out }).unwrap();
    assert_eq!(observer.summary().usage.map(|usage| usage.input), Some(42));
}

#[test]
fn foreign_state_returns_to_its_place() {
    let foreign = |value: &str| Delta::Opaque(Opaque { origin: Dialect::Gemini, value: value.to_owned() });
    let part = |part, kind, deltas: Vec<Delta>| {
        let mut events = vec![Event::PartStart { choice: 0, part, kind }];
        events.extend(deltas.into_iter().map(|delta| Event::Delta { choice: 0, part, delta }));
        events.push(Event::PartEnd { choice: 0, part });
        events
    };
    let call = PartKind::ToolCall { id: "c".to_owned(), name: "f".to_owned() };
    let mut events = part(0, PartKind::Thinking, vec![Delta::Text("hm".to_owned())]);
    events.extend(part(1, call, vec![Delta::Arguments("{}".to_owned()), foreign("c1")]));
    events.extend(part(2, PartKind::Text, vec![Delta::Text("t".to_owned()), foreign("c2")]));
    events.extend(part(3, PartKind::Text, vec![foreign("c3")]));
    events.push(Event::End);
    let message = value(&written(Delivery::Plain, &events));
    let stream = written(Delivery::Stream, &events);
    let streamed =
        decode_pieces(decoder(Operation::Chat, Delivery::Stream), Framing::Sse, [&stream[..]]).unwrap();
    assert_eq!(collect(&streamed).parts.len(), message["content"].as_array().unwrap().len());
    let body = serde_json::json!({"model": "m", "max_tokens": 9, "messages": [{"role": "assistant", "content": message["content"]}]});
    let body = serde_json::to_vec(&body).unwrap();
    let envelope = crate::scan::envelope(Dialect::Anthropic, Operation::Chat, &body, &PathParts::default());
    assert!(!may_pass(Operation::Chat, &envelope.unwrap(), &body));
    let request = decoded(&body);
    let state: Vec<(String, Option<String>)> = request.messages[0]
        .parts
        .iter()
        .map(|part| {
            let kind = format!("{:?}", part.content);
            (
                kind.split('(').next().unwrap().to_owned(),
                part.opaque.as_ref().map(|opaque| opaque.value.clone()),
            )
        })
        .collect();
    let expected = [("Thinking", None), ("ToolCall", Some("c1")), ("Text", Some("c2")), ("Text", Some("c3"))];
    assert_eq!(state, expected.map(|(kind, value)| (kind.to_owned(), value.map(str::to_owned))));
}

/// Requests that this dialect can express, in the form its decoder gives them.
fn requests() -> impl Strategy<Value = ChatRequest> {
    let text = || "[a-zé\"\\\\]{1,10}";
    let words = text().prop_map(Part::text);
    let opaque = "[A-Za-z0-9]{6}".prop_map(|value| Opaque { origin: Dialect::Anthropic, value });
    let thinking = (text(), opaque)
        .prop_map(|(text, opaque)| Part { opaque: Some(opaque), ..Part::new(Content::Thinking(text)) });
    let call = ("[a-z0-9_-]{1,8}", "[a-z_]{1,8}").prop_map(|(id, name)| {
        Part::new(Content::ToolCall(ToolCall { id, name, arguments: Json::empty_object() }))
    });
    let image = Just(Part::new(Content::Image(Media {
        source: MediaSource::Base64("iVBORw0KGgo=".into()),
        media_type: Some("image/png".to_owned()),
        name: None,
        detail: None,
    })));
    let user = proptest::collection::vec(prop_oneof![words.clone(), image], 1..4).prop_map(|parts| Message {
        role: Role::User,
        parts,
        name: None,
    });
    let assistant = proptest::collection::vec(prop_oneof![words, thinking, call], 1..4)
        .prop_map(|parts| Message { role: Role::Assistant, parts, name: None });
    let result = ("[a-z0-9_]{1,8}", text(), any::<bool>()).prop_map(|(call_id, text, is_error)| Message {
        role: Role::Tool,
        parts: vec![Part::new(Content::ToolResult(ToolResult {
            call_id,
            name: None,
            parts: vec![Part::text(text)],
            is_error,
        }))],
        name: None,
    });
    let turn = (assistant, proptest::collection::vec(result, 0..3), user.clone())
        .prop_map(|(assistant, results, user)| [vec![assistant], results, vec![user]].concat());
    let rest = (
        proptest::option::of(text()),
        1u64..9_000,
        proptest::option::of(0u32..=10),
        proptest::collection::vec(text(), 0..3),
        any::<bool>(),
    );
    (user, proptest::collection::vec(turn, 0..3), rest).prop_map(|(first, turns, rest)| {
        let (system, limit, temperature, stop, stream) = rest;
        let mut messages: Vec<Message> =
            system.map(|text| Message::text(Role::System, text)).into_iter().collect();
        messages.push(first);
        messages.extend(turns.into_iter().flatten());
        ChatRequest {
            model: "m".to_owned(),
            messages,
            max_output_tokens: Some(limit),
            sampling: Sampling {
                temperature: temperature.map(|tenths| f64::from(tenths) / 10.0),
                ..Sampling::default()
            },
            stop,
            stream,
            stream_usage: stream,
            ..ChatRequest::default()
        }
    })
}

proptest! {
    #[test]
    fn requests_survive_the_wire(request in requests()) {
        prop_assume!(CallIds::of(&request.messages).is_empty());
        let delivery = Delivery::from_stream_flag(request.stream);
        let encoded = encode_request(&Request::Chat(Box::new(request.clone())), &Profile::new("m"), delivery).unwrap();
        prop_assert_eq!(&encoded.warnings, &vec![]);
        prop_assert_eq!(decoded(&encoded.body), request);
    }

    #[test]
    fn answers_survive_the_wire_however_cut(events in answers(Dialect::Anthropic, true), cuts in proptest::collection::vec(1usize..60, 1..20)) {
        let expected = collect(&events);
        let stream = written(Delivery::Stream, &events);
        let mut pieces = Vec::new();
        let (mut rest, mut cuts) = (&stream[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        let streamed = collect(&decode_pieces(decoder(Operation::Chat, Delivery::Stream), Framing::Sse, pieces).unwrap());
        prop_assert_eq!(&streamed, &expected);
        let mut plain = Vec::new();
        decoder(Operation::Chat, Delivery::Plain).frame(Frame { event: "", data: &written(Delivery::Plain, &events) }, &mut plain).unwrap();
        prop_assert_eq!(&collect(&plain), &expected);
    }

    /// Nonsense never panics and never looks like an answer that is complete.
    #[test]
    fn nonsense_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode_request(Operation::Chat, &bytes, &PathParts::default()).is_err());
        let frame = Frame { event: "", data: &bytes };
        let plain = decoder(Operation::Chat, Delivery::Plain).frame(frame, &mut Vec::new());
        prop_assert!(plain.is_err());
        let stream = decode_pieces(decoder(Operation::Chat, Delivery::Stream), Framing::Sse, [&bytes[..]]);
        prop_assert!(stream.is_err());
    }
}
