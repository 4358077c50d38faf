//! What holds for the whole dialect: round trips, agreement of observer and decoder, order of events, messages.

use super::*;
use crate::codec::{Frame, PathParts, Profile};
use crate::frame::Framing;
use crate::splice::join_rope;
use crate::testing::{answer, chat_request, context, frames};
use crate::{scan, sealed};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use serde_json::Value;
use trunkline_model::capability::Support;
use trunkline_model::content::{Content, Opaque, Part, Role};
use trunkline_model::dialect::Dialect;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::failure::Failure;
use trunkline_model::request::{ChatRequest, Request, Sampling, Tool};

fn decode(delivery: Delivery, bytes: &[u8], chunk: usize) -> Result<Vec<Event>, Failure> {
    let framing = if delivery.is_stream() { Framing::Sse } else { Framing::Body };
    let mut decoder = decoder(Operation::Chat, delivery);
    let mut events = Vec::new();
    for frame in frames(framing, bytes, chunk) {
        decoder.frame(frame.frame(), &mut events)?;
    }
    decoder.end(&mut events)?;
    Ok(events)
}

fn encode(delivery: Delivery, events: &[Event]) -> BytesMut {
    let mut encoder = encoder(Operation::Chat, delivery, context());
    let mut out = BytesMut::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    encoder.finish(&mut out);
    out
}

fn read(body: &[u8]) -> ChatRequest {
    match decode_request(Operation::Chat, body, &PathParts::default()).unwrap() {
        Request::Chat(chat) => *chat,
        Request::Embeddings(_) | Request::Rerank(_) => panic!("asked for chat"),
    }
}

/// What the dialect has no words for, taken out; what it always says, put in.
fn expressible(mut chat: ChatRequest) -> ChatRequest {
    chat.stop.clear();
    chat.sampling = Sampling {
        temperature: chat.sampling.temperature,
        top_p: chat.sampling.top_p,
        ..Sampling::default()
    };
    chat.stream_usage = true;
    for tool in &mut chat.tools {
        if let Tool::Function(function) = tool {
            function.strict = Some(false);
        }
    }
    if chat.tools.is_empty() {
        chat.tool_choice = None;
    }
    chat
}

/// The dialect does not say which stop it was, and gives ids and parts of its own.
fn comparable(events: &[Event]) -> Vec<Event> {
    let mut events: Vec<Event> = events.to_vec();
    events.retain(|event| !matches!(event, Event::Usage(_)));
    for event in &mut events {
        match event {
            Event::Start { id, .. } => id.clear(),
            Event::Finish { native, .. } => native.clear(),
            _ => {}
        }
    }
    events
}

fn usage(events: &[Event]) -> Option<u64> {
    events.iter().find_map(|event| match event {
        Event::Usage(usage) => Some(usage.total()),
        _ => None,
    })
}

proptest! {
    #[test]
    fn requests_round_trip(chat in chat_request()) {
        let chat = expressible(chat);
        let request = Request::Chat(Box::new(chat.clone()));
        let encoded = encode_request(&request, &Profile::new("model"), Delivery::Plain).unwrap();
        prop_assert_eq!(encoded.warnings, vec![]);
        prop_assert_eq!(read(&encoded.body), chat);
    }

    #[test]
    fn streams_round_trip_however_they_are_cut(events in answer(Dialect::Responses), chunk in 1usize..200) {
        let bytes = encode(Delivery::Stream, &events);
        let again = decode(Delivery::Stream, &bytes, chunk).unwrap();
        prop_assert_eq!(usage(&again), usage(&events));
        prop_assert_eq!(comparable(&again), comparable(&events));
    }

    #[test]
    fn a_whole_answer_is_its_stream_collected(events in answer(Dialect::Gemini)) {
        let whole = encode(Delivery::Plain, &events);
        let streamed = encode(Delivery::Stream, &events);
        let text = String::from_utf8(streamed.to_vec()).unwrap();
        let last: Value = serde_json::from_str(text.trim().rsplit("data: ").next().unwrap()).unwrap();
        prop_assert_eq!(&last["response"], &serde_json::from_slice::<Value>(&whole).unwrap());
    }

    #[test]
    fn events_are_numbered_and_in_order(events in answer(Dialect::Anthropic)) {
        let bytes = encode(Delivery::Stream, &events);
        let mut open: Option<(u64, String)> = None;
        let mut items = 0;
        for (number, frame) in frames(Framing::Sse, &bytes, 1000).iter().enumerate() {
            let event: Value = serde_json::from_slice(frame.frame().data).unwrap();
            prop_assert_eq!(event["sequence_number"].as_u64(), Some(number as u64));
            prop_assert_eq!(event["type"].as_str(), Some(frame.frame().event));
            match frame.frame().event {
                "response.output_item.added" => {
                    prop_assert!(open.is_none());
                    prop_assert_eq!(event["output_index"].as_u64(), Some(items));
                    open = Some((items, event["item"]["id"].as_str().unwrap().to_owned()));
                }
                "response.output_item.done" => {
                    let id = open.take().map(|(_, id)| id);
                    prop_assert_eq!(event["item"]["id"].as_str(), id.as_deref());
                    items += 1;
                }
                name if name.matches('.').count() == 2 => {
                    let (index, id) = open.clone().unwrap();
                    prop_assert_eq!(event["output_index"].as_u64(), Some(index));
                    prop_assert_eq!(event["item_id"].as_str(), Some(id.as_str()));
                }
                _ => prop_assert!(open.is_none()),
            }
        }
    }

    #[test]
    fn the_observer_sees_what_the_decoder_reads(events in answer(Dialect::Responses)) {
        let bytes = encode(Delivery::Stream, &events);
        let mut decoder = decoder(Operation::Chat, Delivery::Stream);
        let mut observer = observer(Operation::Chat, Delivery::Stream, true);
        for frame in frames(Framing::Sse, &bytes, 1000) {
            let mut decoded = Vec::new();
            decoder.frame(frame.frame(), &mut decoded).unwrap();
            let seen = observer.frame(frame.frame()).unwrap();
            prop_assert_eq!(seen.semantic, decoded.iter().any(Event::is_semantic), "{:?}", frame.frame());
        }
        observer.end().unwrap();
        prop_assert!(observer.summary().complete);
        let finish = events.iter().find_map(|event| match event { Event::Finish { reason, .. } => Some(*reason), _ => None });
        prop_assert_eq!(observer.summary().finish, finish);
        prop_assert_eq!(observer.summary().usage.map(|usage| usage.total()), usage(&events));
    }

    #[test]
    fn no_bytes_crash_the_decoders(data in "[\\[\\]{}:,\"a-z0-9. ]{0,60}", body in proptest::collection::vec(any::<u8>(), 0..60)) {
        for bytes in [data.as_bytes(), &body] {
            let frame = Frame { event: "response.completed", data: bytes };
            for delivery in [Delivery::Plain, Delivery::Stream] {
                let _ = decoder(Operation::Chat, delivery).frame(frame, &mut Vec::new());
                let _ = observer(Operation::Chat, delivery, false).frame(frame);
            }
            let _ = decode_error(400, bytes);
            let _ = decode_request(Operation::Chat, bytes, &PathParts::default());
            let _ = replay(bytes, None);
        }
    }

    /// State of any provider, on any part that may carry some, comes back on the same part of the next request.
    #[test]
    fn foreign_state_round_trips_through_a_client(value in "[A-Za-z0-9+/=:]{1,20}", is_call in any::<bool>(), text in "[a-z]{0,5}") {
        for origin in [Dialect::Anthropic, Dialect::Gemini, Dialect::Converse, Dialect::Responses] {
            let opaque = Opaque { origin, value: value.clone() };
            let on_text = matches!(origin, Dialect::Gemini);
            let kind = match (on_text, is_call) {
                (true, true) => PartKind::ToolCall { id: "c".to_owned(), name: "f".to_owned() },
                (true, false) => PartKind::Text,
                (false, true) => PartKind::Thinking,
                (false, false) => PartKind::RedactedThinking,
            };
            let mut events = vec![Event::PartStart { choice: 0, part: 0, kind: kind.clone() }];
            if matches!(kind, PartKind::Text | PartKind::Thinking) {
                events.push(Event::Delta { choice: 0, part: 0, delta: Delta::Text(text.clone()) });
            }
            events.push(Event::Delta { choice: 0, part: 0, delta: Delta::Opaque(opaque.clone()) });
            events.push(Event::PartEnd { choice: 0, part: 0 });
            events.push(Event::Finish { choice: 0, reason: Finish::Stop, native: String::new(), stop_sequence: None });
            events.push(Event::End);
            let response: Value = serde_json::from_slice(&encode(Delivery::Plain, &events)).unwrap();
            let request = serde_json::json!({"model": "m", "input": response["output"]});
            let chat = read(request.to_string().as_bytes());
            prop_assert_eq!(chat.messages.len(), 1);
            prop_assert_eq!(chat.messages[0].role, Role::Assistant);
            let parts: Vec<&Part> = chat.messages[0].parts.iter().filter(|part| part.opaque.is_some()).collect();
            prop_assert_eq!(parts.len(), 1);
            prop_assert_eq!(parts[0].opaque.as_ref(), Some(&opaque));
            let same = match (&parts[0].content, &kind) {
                (Content::Text(said), PartKind::Text) => said.as_str() == text,
                // Sealed reasoning of this dialect has no text either way.
                (Content::Thinking(said), PartKind::Thinking) => said == &text,
                (Content::RedactedThinking, PartKind::Thinking) => origin == Dialect::Responses && text.is_empty(),
                (Content::ToolCall(call), PartKind::ToolCall { .. }) => call.name == "f",
                (Content::RedactedThinking, PartKind::RedactedThinking) => true,
                _ => false,
            };
            prop_assert!(same, "{:?} for {:?}", parts[0].content, kind);
        }
    }
}

#[test]
fn the_error_that_ends_a_passed_stream_has_the_next_number() {
    let mut observer = observer(Operation::Chat, Delivery::Stream, true);
    for number in [0, 1, 7] {
        let data = format!(
            "{{\"type\":\"response.output_text.delta\",\"delta\":\"a\",\"sequence_number\":{number}}}"
        );
        observer.frame(Frame { event: "", data: data.as_bytes() }).unwrap();
        assert_eq!(observer.summary().next_event, number + 1);
    }
}

#[test]
fn a_stream_that_just_stops_is_cut_for_decoder_and_observer() {
    let stream = b"data: {\"type\":\"response.output_text.delta\",\"delta\":\"He\"}\n\n";
    let failure = decode(Delivery::Stream, stream, 10).unwrap_err();
    insta::assert_snapshot!(failure.message, @"the provider's answer ended before it was complete");
    let mut observer = observer(Operation::Chat, Delivery::Stream, true);
    for frame in frames(Framing::Sse, stream, 10) {
        assert!(observer.frame(frame.frame()).unwrap().semantic);
    }
    assert_eq!(observer.end().unwrap_err(), failure);
}

#[test]
fn broken_answers_are_typed_failures() {
    let told = |delivery: Delivery, data: &str| {
        let frame = Frame { event: "", data: data.as_bytes() };
        let decoded = decoder(Operation::Chat, delivery).frame(frame, &mut Vec::new());
        let observed = observer(Operation::Chat, delivery, true).frame(frame).map(drop);
        assert_eq!(
            decoded.as_ref().err().map(|f| f.class),
            observed.as_ref().err().map(|f| f.class),
            "{data}"
        );
        let failure = decoded.unwrap_err();
        format!("{} {:?}: {}", failure.class.name(), failure.code, failure.message)
    };
    let lines = [
        told(Delivery::Plain, r#"{"ok":true,"data":[1,2,3]}"#),
        told(Delivery::Plain, "<html>"),
        told(
            Delivery::Plain,
            r#"{"status":"failed","error":{"code":"server_error","message":"no"},"output":[]}"#,
        ),
        told(Delivery::Plain, r#"{"error":{"message":"over quota","code":"insufficient_quota"}}"#),
        told(Delivery::Stream, r#"{"type":"response.output_text.delta","del"#),
        told(Delivery::Stream, r#"{"choices":[]}"#),
        told(
            Delivery::Stream,
            r#"{"type":"error","code":"rate_limit_exceeded","message":"slow down","param":null}"#,
        ),
        told(Delivery::Stream, r#"{"error":{"message":"over quota","code":"insufficient_quota"}}"#),
        told(
            Delivery::Stream,
            r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"context_length_exceeded","message":"too long"}}}"#,
        ),
        told(Delivery::Stream, r#"{"type":"response.completed","response":{"status":"cancelled"}}"#),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_broken_stream_ends_with_errors_that_clients_raise() {
    let mut encoder = encoder(Operation::Chat, Delivery::Stream, context());
    let mut out = BytesMut::new();
    encoder.event(&Event::Start { id: "a".to_owned(), model: "m".to_owned(), created: None }, &mut out);
    out.clear();
    encoder.fail(&ClientError::new(ErrorCode::UpstreamFailed, "cut"), &mut out);
    insta::assert_snapshot!(String::from_utf8_lossy(&out));
}

fn pass(body: &Value, profile: &Profile, delivery: Delivery) -> String {
    let body = Bytes::from(body.to_string());
    let envelope = scan::envelope(Dialect::Responses, Operation::Chat, &body, &PathParts::default()).unwrap();
    let edits = pass_edits(&envelope, &body, profile, delivery);
    let warnings: Vec<String> = edits.warnings.iter().map(ToString::to_string).collect();
    let edited = String::from_utf8(join_rope(&edits.apply(&body, &envelope)).to_vec()).unwrap();
    format!("{edited} {warnings:?}")
}

#[test]
fn a_body_that_passes_changes_only_where_the_target_differs() {
    let body = serde_json::json!({"model": "auto", "input": "x", "temperature": 0.5, "max_output_tokens": 9000, "store": false,
        "include": ["reasoning.encrypted_content"], "truncation": "auto", "new": {"a": 1}});
    let strict = Profile {
        sampling: Support::No,
        max_output_tokens: Some(4_096),
        refused: ["store", "include", "truncation"].map(str::to_owned).to_vec(),
        ..Profile::new("m")
    };
    let lines = [pass(&body, &Profile::new("m"), Delivery::Plain), pass(&body, &strict, Delivery::Stream)];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn mistakes_in_requests_are_named_by_path() {
    let told = |body: Value| {
        let error =
            decode_request(Operation::Chat, body.to_string().as_bytes(), &PathParts::default()).unwrap_err();
        error.to_string()
    };
    let with = |item: Value| told(serde_json::json!({"model": "m", "input": [item]}));
    let field = |name: &str, value: Value| told(serde_json::json!({"model": "m", "input": "x", name: value}));
    let lines = [
        told(serde_json::json!([])),
        told(serde_json::json!({"input": "x"})),
        told(serde_json::json!({"model": "m"})),
        told(serde_json::json!({"model": "m", "input": 1})),
        with(serde_json::json!("x")),
        with(serde_json::json!({})),
        with(serde_json::json!({"role": "robot", "content": "x"})),
        with(serde_json::json!({"role": "user"})),
        with(serde_json::json!({"role": "user", "content": [{"type": "input_text"}]})),
        with(serde_json::json!({"role": "user", "content": [{"type": "input_image"}]})),
        with(serde_json::json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "[1]"})),
        with(serde_json::json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"})),
        with(serde_json::json!({"type": "function_call_output", "output": "x"})),
        with(serde_json::json!({"type": "reasoning", "summary": "x"})),
        with(serde_json::json!({"type": "item_reference", "id": "msg_1"})),
        field("tools", serde_json::json!([{"name": "f"}])),
        field("tool_choice", serde_json::json!("any")),
        field("text", serde_json::json!({"format": {"type": "json_schema", "name": "a"}})),
        field("text", serde_json::json!({"format": {"type": "xml"}})),
        field("reasoning", serde_json::json!({"effort": "huge"})),
        field("conversation", serde_json::json!("conv_1")),
        field("previous_response_id", serde_json::json!("resp_1")),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn an_answer_repeats_its_request() {
    let body =
        br#"{"model":"auto","input":"x","instructions":"Be\nbrief","temperature":0.20,"metadata":{"a" :
        "b"},"tools":[{"type":"custom","name":"patch"}],"store":null}"#;
    let body = String::from_utf8_lossy(body).replace("Be\nbrief", "Be brief");
    let envelope =
        scan::envelope(Dialect::Responses, Operation::Chat, body.as_bytes(), &PathParts::default()).unwrap();
    let echo = Echo::read(&envelope, body.as_bytes()).with_id("resp_given".to_owned());
    let context = EncodeContext { echo: Some(std::sync::Arc::new(echo)), ..context() };
    let mut encoder = encoder(Operation::Chat, Delivery::Stream, context);
    let mut out = BytesMut::new();
    let kind = PartKind::ToolCall { id: "c".to_owned(), name: "patch".to_owned() };
    for event in [
        Event::Start { id: "chatcmpl-1".to_owned(), model: "m-1".to_owned(), created: Some(5) },
        Event::PartStart { choice: 0, part: 0, kind },
        Event::Delta { choice: 0, part: 0, delta: Delta::Arguments(r#"{"input":"*** \"#.to_owned()) },
        Event::Delta { choice: 0, part: 0, delta: Delta::Arguments(r#""x\""}"#.to_owned()) },
        Event::PartEnd { choice: 0, part: 0 },
        Event::Finish { choice: 0, reason: Finish::ToolCalls, native: String::new(), stop_sequence: None },
        Event::End,
    ] {
        encoder.event(&event, &mut out);
    }
    encoder.finish(&mut out);
    insta::assert_snapshot!(String::from_utf8_lossy(&out));
}

#[test]
fn state_of_another_provider_is_taken_out_and_said() {
    let body = br#"{"model":"m","input":[{"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"A"},{"type":"reasoning","id":"s","summary":[],"encrypted_content":"B"},{"role":"assistant","content":"x"}]}"#;
    let mut request = Request::Chat(Box::new(read(body)));
    let warnings: Vec<String> =
        sealed::strip(&mut request, Dialect::Responses).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(warnings.join("\n"), @"input[].encrypted_content dropped: 2 pieces made by another provider than the one that answers now");
    let Request::Chat(chat) = request else { panic!("a chat") };
    let parts: Vec<&Content> = chat.messages[0].parts.iter().map(|part| &part.content).collect();
    assert_eq!(parts, [&Content::Thinking("hm".to_owned()), &Content::Text("x".into())]);
}

#[test]
fn a_finished_response_can_be_told_again() {
    let whole = include_bytes!("golden/tools.answer.json");
    let story = replay(whole, None);
    let text = String::from_utf8_lossy(&story);
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    insta::assert_snapshot!(names.join("\n"));
    let again = decode(Delivery::Stream, &story, 50).unwrap();
    let straight = decode(Delivery::Plain, whole, 50).unwrap();
    assert_eq!(usage(&again), usage(&straight));
    assert_eq!(
        again.len(),
        straight.len() + 2,
        "a summary of two parts comes as three pieces instead of one"
    );
    let last = replay(whole, Some(999));
    assert_eq!(String::from_utf8_lossy(&last).matches("event: ").count(), 1);
}
