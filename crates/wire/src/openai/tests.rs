//! What holds for the whole dialect: round trips, agreement of observer and decoder, messages.

use super::*;
use crate::codec::{EncodeError, OutputLimitName, PathParts, Profile, ReasoningStyle};
use crate::frame::Framing;
use crate::scan;
use crate::splice::join_rope;
use crate::testing::{answer, chat_request, context, frames, profile};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use serde_json::json;
use trunkline_model::capability::Support;
use trunkline_model::dialect::Dialect;
use trunkline_model::event::Event;
use trunkline_model::failure::Failure;
use trunkline_model::request::{ChatRequest, Request};

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

proptest! {
    #[test]
    fn requests_round_trip(chat in chat_request()) {
        let request = Request::Chat(Box::new(chat.clone()));
        let encoded = encode_request(&request, &Profile::new("model"), Delivery::Plain).unwrap();
        prop_assert_eq!(encoded.warnings, vec![]);
        prop_assert_eq!(read(&encoded.body), chat);
    }

    #[test]
    fn streams_round_trip_however_they_are_cut(events in answer(Dialect::Anthropic), chunk in 1usize..200) {
        let bytes = encode(Delivery::Stream, &events);
        prop_assert_eq!(decode(Delivery::Stream, &bytes, chunk).unwrap(), events);
    }

    #[test]
    fn a_whole_answer_is_its_stream_collected(events in answer(Dialect::Gemini)) {
        let whole = encode(Delivery::Plain, &events);
        let streamed = decode(Delivery::Stream, &encode(Delivery::Stream, &events), 50).unwrap();
        prop_assert_eq!(&encode(Delivery::Plain, &streamed), &whole);
        let again = decode(Delivery::Plain, &whole, 50).unwrap();
        let is_finished = again.iter().any(|event| matches!(event, Event::Finish { .. }));
        prop_assert!(is_finished);
        let usage = |events: &[Event]| events.iter().rev().find_map(|event| match event {
            Event::Usage(usage) => Some(*usage),
            _ => None,
        });
        prop_assert_eq!(usage(&again), usage(&events));
    }

    #[test]
    fn the_observer_sees_what_the_decoder_reads(events in answer(Dialect::Anthropic)) {
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
        let summary = observer.summary();
        prop_assert!(summary.complete);
        let finish = events.iter().find_map(|event| match event { Event::Finish { reason, .. } => Some(*reason), _ => None });
        prop_assert_eq!(summary.finish, finish);
        let usage = events.iter().find_map(|event| match event { Event::Usage(usage) => Some(*usage), _ => None });
        prop_assert_eq!(summary.usage, usage);
    }

    #[test]
    fn no_bytes_crash_the_decoders(data in "[\\[\\]{}:,\"a-z0-9 ]{0,60}", body in proptest::collection::vec(any::<u8>(), 0..60)) {
        for bytes in [data.as_bytes(), &body] {
            let frame = crate::codec::Frame { event: "", data: bytes };
            for operation in [Operation::Chat, Operation::Embeddings] {
                for delivery in [Delivery::Plain, Delivery::Stream] {
                    let _ = decoder(operation, delivery).frame(frame, &mut Vec::new());
                    let _ = observer(operation, delivery, false).frame(frame);
                }
            }
            let _ = decode_error(400, bytes);
            let _ = decode_request(Operation::Chat, bytes, &PathParts::default());
        }
    }
}

#[test]
fn a_stream_that_just_stops_is_cut_for_decoder_and_observer() {
    let stream = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"He\"}}]}\n\n";
    let failure = decode(Delivery::Stream, stream, 10).unwrap_err();
    insta::assert_snapshot!(failure.message, @"the provider's answer ended before it was complete");
    let mut observer = observer(Operation::Chat, Delivery::Stream, true);
    for frame in frames(Framing::Sse, stream, 10) {
        assert!(observer.frame(frame.frame()).unwrap().semantic);
    }
    assert_eq!(observer.end().unwrap_err(), failure);
}

#[test]
fn usage_nobody_asked_for_is_hidden() {
    let chunk = br#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    let frame = crate::codec::Frame { event: "", data: chunk };
    for wants in [true, false] {
        let mut observer = observer(Operation::Chat, Delivery::Stream, wants);
        let seen = observer.frame(frame).unwrap();
        assert_eq!((seen.semantic, seen.hide), (false, !wants));
        assert_eq!(observer.summary().usage.unwrap().total(), 3);
    }
}

#[test]
fn an_observer_reads_usage_of_vectors() {
    let mut observer = observer(Operation::Embeddings, Delivery::Plain, true);
    let body = br#"{"object":"list","data":[{"embedding":[0.1,0.2]}],"model":"m","usage":{"prompt_tokens":8,"total_tokens":8}}"#;
    assert!(observer.frame(crate::codec::Frame { event: "", data: body }).unwrap().semantic);
    assert_eq!(observer.summary().usage.unwrap().input, 8);
}

#[test]
fn an_observer_passes_no_body_without_vectors() {
    let told = |body: &str| {
        let mut observer = observer(Operation::Embeddings, Delivery::Plain, true);
        let seen = observer.frame(crate::codec::Frame { event: "", data: body.as_bytes() });
        seen.map_or_else(|failure| failure.class.name(), |_| "passed")
    };
    assert_eq!(told(r#"{"data":[{"embedding":[0.1]},{"embedding":"AAAAAA=="}]}"#), "passed");
    // JSON of something else, nothing at all, and the first half of two vectors, which ends in a brace as well.
    assert_eq!(told(r#"{"ok":true,"data":[1,2,3]}"#), "malformed");
    assert_eq!(told(r#"{"data":[]}"#), "malformed");
    assert_eq!(told(r#"{"data":[{"embedding":[0.1]}"#), "malformed");
}

#[test]
fn a_broken_stream_ends_with_an_error_and_nothing_that_looks_like_an_end() {
    let mut encoder = encoder(Operation::Chat, Delivery::Stream, context());
    let mut out = BytesMut::new();
    encoder.event(&Event::Start { id: "a".to_owned(), model: "m".to_owned(), created: None }, &mut out);
    let error =
        trunkline_model::error::ClientError::new(trunkline_model::error::ErrorCode::UpstreamFailed, "cut");
    encoder.fail(&error, &mut out);
    insta::assert_snapshot!(String::from_utf8_lossy(&out), @r#"data: {"error":{"message":"cut","type":"server_error","param":null,"code":"upstream_failed","request_id":"00000000000000000000000007"}}"#);
}

fn pass(body: &serde_json::Value, profile: &Profile, delivery: Delivery) -> String {
    let body = Bytes::from(body.to_string());
    let envelope = scan::envelope(Dialect::OpenAi, Operation::Chat, &body, &PathParts::default()).unwrap();
    let edits = pass_edits(&envelope, &body, profile, delivery);
    let warnings: Vec<String> = edits.warnings.iter().map(ToString::to_string).collect();
    let edited = String::from_utf8(join_rope(&edits.apply(&body, &envelope)).to_vec()).unwrap();
    serde_json::from_str::<serde_json::Value>(&edited).unwrap();
    format!("{edited} {warnings:?}")
}

#[test]
fn a_body_that_passes_changes_only_where_the_target_differs() {
    let plain =
        json!({"model": "auto", "messages": [], "max_tokens": 5, "temperature": 0.5, "stream": false});
    let stream =
        json!({"model": "auto", "messages": [], "max_completion_tokens": 5, "max_tokens": 4, "stream": true});
    let options = json!({"model": "m", "messages": [], "stream": true, "stream_options": {"include_obfuscation": false}});
    let ours = Profile {
        output_limit: OutputLimitName::MaxCompletionTokens,
        sampling: Support::No,
        ..Profile::new("m")
    };
    let theirs = Profile {
        stream_usage: false,
        refused: vec!["temperature".to_owned(), "n".to_owned()],
        renamed: vec![("seed".to_owned(), "random_seed".to_owned())],
        ..Profile::new("m\"")
    };
    let seeded = json!({"model": "auto", "messages": [], "seed": 1, "temperature": 1});
    let report = [
        pass(&plain, &Profile::new("m"), Delivery::Plain),
        pass(&plain, &ours, Delivery::Plain),
        pass(&stream, &Profile::new("m"), Delivery::Stream),
        pass(&stream, &ours, Delivery::Stream),
        pass(&options, &Profile::new("m"), Delivery::Stream),
        pass(&options, &theirs, Delivery::Stream),
        pass(&seeded, &theirs, Delivery::Plain),
        pass(&seeded, &ours, Delivery::Plain),
        pass(&plain, &theirs, Delivery::Stream),
    ];
    insta::assert_snapshot!(report.join("\n"));
}

#[test]
fn mistakes_in_requests_are_named_by_path() {
    let message = |message: serde_json::Value| json!({"model": "m", "messages": [message]});
    let with = |name: &str, value: serde_json::Value| json!({"model": "m", "messages": [], name: value});
    let user = |part: serde_json::Value| message(json!({"role": "user", "content": [part]}));
    let call = |arguments: serde_json::Value| {
        message(
            json!({"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": arguments}}]}),
        )
    };
    let cases = [
        json!([]),
        json!({"messages": []}),
        json!({"model": "m"}),
        json!({"model": 1, "messages": []}),
        with("messages", json!(1)),
        message(json!("hi")),
        message(json!({"content": "x"})),
        message(json!({"role": "robot", "content": "x"})),
        message(json!({"role": "user"})),
        message(json!({"role": "user", "content": 5})),
        user(json!(5)),
        user(json!({"text": "x"})),
        user(json!({"type": "text"})),
        user(json!({"type": "text", "text": 1})),
        user(json!({"type": "image_url", "image_url": {"url": 1}})),
        user(json!({"type": "image_url"})),
        user(json!({"type": "input_audio", "input_audio": "x"})),
        user(json!({"type": "file", "file": {}})),
        message(json!({"role": "tool", "content": "x"})),
        message(json!({"role": "assistant", "tool_calls": {}})),
        call(json!("{")),
        call(json!("[1]")),
        call(json!(5)),
        with("tools", json!([{"type": "function"}])),
        with("tools", json!([{"type": "function", "function": {"name": "f", "parameters": "x"}}])),
        with("tool_choice", json!("maybe")),
        with("tool_choice", json!(5)),
        with("tool_choice", json!({"type": "function", "function": {}})),
        with("temperature", json!("hot")),
        with("seed", json!(1.5)),
        with("stop", json!([1])),
        with("stop", json!(1)),
        with("n", json!(0)),
        with("response_format", json!({"type": "json_schema"})),
        with("response_format", json!("json")),
        with("reasoning_effort", json!("extreme")),
        with("stream_options", json!({"include_usage": 1})),
        with("max_tokens", json!(-1)),
    ];
    let report: Vec<String> = cases
        .iter()
        .map(|case| {
            decode_request(Operation::Chat, case.to_string().as_bytes(), &PathParts::default())
                .unwrap_err()
                .to_string()
        })
        .collect();
    insta::assert_snapshot!(report.join("\n"));
    let embed = |body: serde_json::Value| {
        decode_request(Operation::Embeddings, body.to_string().as_bytes(), &PathParts::default())
            .unwrap_err()
            .to_string()
    };
    let report = [
        embed(json!({"model": "m"})),
        embed(json!({"model": "m", "input": []})),
        embed(json!({"model": "m", "input": {}})),
        embed(json!({"model": "m", "input": ["a", 1]})),
        embed(json!({"model": "m", "input": [1, -1]})),
        embed(json!({"model": "m", "input": "a", "encoding_format": "hex"})),
    ];
    insta::assert_snapshot!("embedding_mistakes", report.join("\n"));
}

#[test]
fn what_a_target_cannot_express_is_an_error_and_what_it_can_do_without_a_warning() {
    let encode = |body: serde_json::Value, profile: &Profile| {
        let request = Request::Chat(Box::new(read(body.to_string().as_bytes())));
        match encode_request(&request, profile, Delivery::Plain) {
            Ok(encoded) => {
                let warnings: Vec<String> = encoded.warnings.iter().map(ToString::to_string).collect();
                format!("{} {warnings:?}", String::from_utf8_lossy(&encoded.body))
            }
            Err(error @ (EncodeError::Unsupported { .. } | EncodeError::Invalid { .. })) => {
                format!("refused: {error}")
            }
        }
    };
    let strict = Profile {
        sampling: Support::No,
        json_schema: Support::No,
        reasoning: ReasoningStyle::None,
        image_urls: Support::No,
        refused: ["stop", "user", "parallel_tool_calls", "logit_bias"].map(str::to_owned).to_vec(),
        renamed: vec![("seed".to_owned(), "random_seed".to_owned())],
        ..profile()
    };
    let with = |name: &str, value: serde_json::Value| json!({"model": "m", "messages": [{"role": "user", "content": "x"}], name: value});
    let user =
        |part: serde_json::Value| json!({"model": "m", "messages": [{"role": "user", "content": [part]}]});
    let budget = Profile { reasoning: ReasoningStyle::Budget, ..profile() };
    let report = [
        encode(with("stop", json!("x")), &strict),
        encode(
            with(
                "response_format",
                json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}),
            ),
            &strict,
        ),
        encode(user(json!({"type": "image_url", "image_url": {"url": "https://x"}})), &strict),
        encode(user(json!({"type": "file", "file": {"file_id": "file_anthropic"}})), &strict),
        encode(with("temperature", json!(0.3)), &strict),
        encode(with("temperature", json!(1)), &strict),
        encode(with("reasoning_effort", json!("high")), &strict),
        encode(with("user", json!("u")), &strict),
        encode(with("seed", json!(7)), &strict),
        encode(with("logit_bias", json!({})), &strict),
        encode(with("reasoning_effort", json!("high")), &budget),
        encode(with("thinking", json!({"type": "disabled"})), &budget),
        encode(with("thinking", json!({"type": "enabled", "budget_tokens": 9000})), &profile()),
    ];
    insta::assert_snapshot!(report.join("\n"));
}

#[test]
fn pictures_in_tool_results_follow_in_a_user_message() {
    use trunkline_model::content::{Content, Media, MediaSource, Message, Part, Role, ToolResult};
    let picture = |data: &str| {
        let source = MediaSource::Base64(data.into());
        Part::new(Content::Image(Media {
            source,
            media_type: Some("image/png".to_owned()),
            name: None,
            detail: None,
        }))
    };
    let result = |id: &str, parts: Vec<Part>, is_error: bool| Message {
        role: Role::Tool,
        parts: vec![Part::new(Content::ToolResult(ToolResult {
            call_id: id.to_owned(),
            name: None,
            parts,
            is_error,
        }))],
        name: None,
    };
    let chat = ChatRequest {
        messages: vec![
            result("a", vec![Part::text("one"), picture("AAAA")], false),
            result("b", vec![picture("BBBB")], false),
            result("c", vec![Part::text("broke"), Part::text("badly")], true),
            Message::text(Role::User, "and?"),
        ],
        ..ChatRequest::default()
    };
    let encoded = encode_request(&Request::Chat(Box::new(chat)), &profile(), Delivery::Stream).unwrap();
    let warnings: Vec<String> = encoded.warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(format!("{}\n{}", String::from_utf8_lossy(&encoded.body), warnings.join("\n")));
}
