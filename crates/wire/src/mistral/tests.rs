//! What holds for every request written for Mistral: no field it does not know, identifiers as it wants them.

use super::*;
use crate::frame::Framing;
use crate::testing::{chat_request, context, frames, profile};
use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashSet;
use trunkline_model::content::{Content, Message, Opaque, Part, Role};
use trunkline_model::event::Event;
use trunkline_model::failure::Failure;
use trunkline_model::request::ChatRequest;

/// The members of each object of Mistral's schema, as its OpenAPI document has them.
fn known(kind: &str) -> &'static [&'static str] {
    match kind {
        "body" => &[
            "model",
            "temperature",
            "top_p",
            "max_tokens",
            "stream",
            "stop",
            "random_seed",
            "metadata",
            "messages",
            "response_format",
            "tools",
            "tool_choice",
            "presence_penalty",
            "frequency_penalty",
            "n",
            "prediction",
            "parallel_tool_calls",
            "reasoning_effort",
            "prompt_mode",
            "guardrails",
            "prompt_cache_key",
            "service_tier",
            "safe_prompt",
        ],
        "system" | "user" => &["role", "content"],
        "assistant" => &["role", "content", "tool_calls", "prefix"],
        "tool" => &["role", "content", "tool_call_id", "name"],
        "text" => &["type", "text"],
        "image_url" => &["type", "image_url"],
        "document_url" => &["type", "document_url", "document_name"],
        "thinking" => &["type", "thinking", "signature", "closed"],
        "input_audio" => &["type", "input_audio"],
        other => panic!("the schema has no `{other}`"),
    }
}

fn check(kind: &str, object: &Value) {
    for name in object.as_object().unwrap().keys() {
        assert!(known(kind).contains(&name.as_str()), "`{name}` in a `{kind}`");
    }
}

fn check_body(body: &[u8]) -> Value {
    let body: Value = serde_json::from_slice(body).unwrap();
    check("body", &body);
    for message in body["messages"].as_array().unwrap() {
        check(message["role"].as_str().unwrap(), message);
        for chunk in message["content"].as_array().into_iter().flatten() {
            check(chunk["type"].as_str().unwrap(), chunk);
        }
        let calls = message["tool_calls"].as_array().into_iter().flatten().map(|call| &call["id"]);
        for id in calls.chain(message.get("tool_call_id")) {
            let id = id.as_str().unwrap();
            assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        }
    }
    body
}

fn written(chat: ChatRequest) -> (Value, Vec<String>) {
    let encoded = encode_request(&Request::Chat(Box::new(chat)), &profile(), Delivery::Plain).unwrap();
    (check_body(&encoded.body), encoded.warnings.iter().map(ToString::to_string).collect())
}

fn decode(bytes: &[u8], chunk: usize) -> Result<Vec<Event>, Failure> {
    let mut decoder = decoder(Operation::Chat, Delivery::Stream);
    let mut events = Vec::new();
    for frame in frames(Framing::Sse, bytes, chunk) {
        decoder.frame(frame.frame(), &mut events)?;
    }
    decoder.end(&mut events)?;
    Ok(events)
}

proptest! {
    #[test]
    fn nothing_is_sent_that_the_schema_does_not_know(chat in chat_request(), streamed in any::<bool>()) {
        let delivery = Delivery::from_stream_flag(streamed);
        let encoded = encode_request(&Request::Chat(Box::new(chat.clone())), &profile(), delivery).unwrap();
        let body = check_body(&encoded.body);
        prop_assert_eq!(body["messages"].as_array().unwrap().len(), chat.messages.len());
    }

    #[test]
    fn calls_and_results_still_belong_together(ids in proptest::collection::hash_set(".{0,30}", 1..20)) {
        let short: HashSet<String> = ids.iter().map(|id| message::call_id(id).into_owned()).collect();
        prop_assert_eq!(short.len(), ids.len());
        for id in &short {
            prop_assert_eq!(&*message::call_id(id).into_owned(), id);
        }
    }

    #[test]
    fn a_stream_is_the_same_however_it_is_cut(chunk in 1usize..400) {
        let stream = include_bytes!("golden/thinking.answer.sse");
        prop_assert_eq!(decode(stream, chunk).unwrap(), decode(stream, usize::MAX).unwrap());
    }

    #[test]
    fn no_bytes_crash_the_decoders(data in "[\\[\\]{}:,\"a-z0-9 ]{0,60}") {
        let frame = crate::codec::Frame { event: "", data: data.as_bytes() };
        for delivery in [Delivery::Plain, Delivery::Stream] {
            let _ = decoder(Operation::Chat, delivery).frame(frame, &mut Vec::new());
        }
        let _ = decode_error(422, data.as_bytes());
    }
}

#[test]
fn signed_thoughts_go_back_to_mistral_and_to_nobody_else() {
    let events = decode(
        br#"data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm."}],"signature":"c2ln"},{"type":"text","text":"Yes."}]},"finish_reason":"stop"}]}

data: [DONE]

"#,
        9,
    )
    .unwrap();
    for client in [Dialect::OpenAi, Dialect::Anthropic] {
        let mut encoder = crate::dispatch::encoder(client, Operation::Chat, Delivery::Plain, context());
        let mut out = BytesMut::new();
        events.iter().for_each(|event| encoder.event(event, &mut out));
        encoder.finish(&mut out);
        let answer: Value = serde_json::from_slice(&out).unwrap();
        let said = match client {
            Dialect::OpenAi => answer["choices"][0]["message"].clone(),
            _ => json!({"role": "assistant", "content": answer["content"]}),
        };
        let next = json!({"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "a"}, said, {"role": "user", "content": "b"}]});
        let request = crate::dispatch::decode_request(
            client,
            Operation::Chat,
            next.to_string().as_bytes(),
            &PathParts::default(),
        )
        .unwrap();
        let back = |target| {
            let encoded =
                crate::dispatch::encode_request(target, &request, &profile(), Delivery::Plain).unwrap();
            String::from_utf8(encoded.body.to_vec()).unwrap()
        };
        let body: Value = serde_json::from_str(&back(Dialect::Mistral)).unwrap();
        let thought = &body["messages"][1]["content"][0];
        assert_eq!(
            *thought,
            json!({"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}], "signature": "c2ln"}),
            "{client}"
        );
        assert!(!back(Dialect::Anthropic).contains("c2ln"), "{client}");
    }
}

#[test]
fn another_providers_thoughts_stay_here_with_a_warning() {
    let thought = Part {
        content: Content::Thinking("Hm.".to_owned()),
        cache: None,
        opaque: Some(Opaque { origin: Dialect::Anthropic, value: "x".to_owned() }),
    };
    let messages = vec![
        Message::text(Role::User, "a"),
        Message { role: Role::Assistant, parts: vec![thought, Part::text("b")], name: None },
        Message { role: Role::User, parts: vec![Part::text("c")], name: Some("joe".to_owned()) },
    ];
    let (body, warnings) = written(ChatRequest { messages, ..ChatRequest::default() });
    assert_eq!(body["messages"][1]["content"], json!([{"type": "text", "text": "b"}]));
    insta::assert_snapshot!(warnings.join("\n"), @r"
    messages[1].content[0] dropped: made by another provider
    messages[2].name dropped: the target's dialect has nothing like it
    ");
}

#[test]
fn an_answer_begun_is_marked_as_a_prefix() {
    let messages = vec![Message::text(Role::User, "a"), Message::text(Role::Assistant, "Once")];
    let (body, _) = written(ChatRequest { messages, ..ChatRequest::default() });
    assert_eq!(body["messages"][1], json!({"role": "assistant", "content": "Once", "prefix": true}));
}

#[test]
fn what_mistral_cannot_say_is_told() {
    let mut chat = ChatRequest {
        messages: vec![Message::text(Role::User, "a")],
        user: Some("u".to_owned()),
        ..ChatRequest::default()
    };
    chat.sampling.temperature = Some(1.9);
    chat.sampling.top_p = Some(0.0);
    chat.sampling.top_k = Some(3);
    chat.sampling.seed = Some(-4);
    let (body, warnings) = written(chat.clone());
    assert_eq!((&body["temperature"], &body["random_seed"]), (&json!(1.5), &json!(4)));
    insta::assert_snapshot!(warnings.join("\n"), @r"
    temperature emulated: limited to the range 0 to 1.5
    top_p dropped: the target takes values above 0
    top_k dropped: the target's dialect has nothing like it
    seed emulated: the target takes no negative seed: its sign was dropped
    user dropped: the target's dialect has nothing like it
    ");
    chat.logprobs = Some(2);
    let error = encode_request(&Request::Chat(Box::new(chat)), &profile(), Delivery::Plain).unwrap_err();
    insta::assert_snapshot!(error, @"logprobs cannot be expressed for this target: the target gives none; leave it out or choose another model");
}
