//! What holds for every request written for Cohere and every answer read from it.

use super::*;
use crate::frame::Framing;
use crate::testing::{chat_request, frames, profile};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use serde_json::{Value, json};
use trunkline_model::content::{Message, Role};
use trunkline_model::event::Event;
use trunkline_model::failure::Failure;
use trunkline_model::request::{
    ChatRequest, Effort, EmbeddingInput, EmbeddingRequest, OutputFormat, Reasoning, ToolChoice,
};

/// The members of a chat request that the official client knows.
const MEMBERS: &[&str] = &[
    "model",
    "messages",
    "tools",
    "strict_tools",
    "documents",
    "citation_options",
    "response_format",
    "safety_mode",
    "max_tokens",
    "stop_sequences",
    "temperature",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "k",
    "p",
    "logprobs",
    "tool_choice",
    "thinking",
    "priority",
    "stream",
];

fn written(chat: ChatRequest) -> Result<(Value, String), EncodeError> {
    let encoded = encode_request(&Request::Chat(Box::new(chat)), &profile(), Delivery::Plain)?;
    let warnings: Vec<String> = encoded.warnings.iter().map(ToString::to_string).collect();
    Ok((serde_json::from_slice(&encoded.body).unwrap(), warnings.join("\n")))
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
    fn nothing_is_sent_that_cohere_does_not_know(mut chat in chat_request()) {
        // JSON beside tools is refused, see below.
        if !chat.tools.is_empty() {
            chat.output = OutputFormat::Text;
        }
        let (body, _) = written(chat.clone()).unwrap();
        for name in body.as_object().unwrap().keys() {
            prop_assert!(MEMBERS.contains(&name.as_str()), "{}", name);
        }
        prop_assert_eq!(body["messages"].as_array().unwrap().len(), chat.messages.len());
        for message in body["messages"].as_array().unwrap() {
            let roles: &[&str] = match message["role"].as_str().unwrap() {
                "assistant" => &["role", "content", "tool_calls", "tool_plan"],
                "tool" => &["role", "content", "tool_call_id"],
                _ => &["role", "content"],
            };
            for name in message.as_object().unwrap().keys() {
                prop_assert!(roles.contains(&name.as_str()), "{}", message);
            }
        }
        let choice = body.get("tool_choice").and_then(Value::as_str);
        prop_assert!(matches!(choice, None | Some("REQUIRED" | "NONE")));
    }

    #[test]
    fn a_stream_is_the_same_however_it_is_cut(chunk in 1usize..400) {
        for stream in [&include_bytes!("golden/text.answer.sse")[..], include_bytes!("golden/calls.answer.sse")] {
            prop_assert_eq!(decode(stream, chunk).unwrap(), decode(stream, usize::MAX).unwrap());
        }
    }

    #[test]
    fn no_bytes_crash_the_decoders(data in "[\\[\\]{}:,\"a-z0-9 ]{0,60}") {
        let frame = crate::codec::Frame { event: "", data: data.as_bytes() };
        for operation in [Operation::Chat, Operation::Embeddings] {
            for delivery in [Delivery::Plain, Delivery::Stream] {
                let _ = decoder(operation, delivery).frame(frame, &mut Vec::new());
            }
        }
        let _ = decode_error(400, data.as_bytes());
    }
}

#[test]
fn what_cohere_cannot_say_is_told() {
    let plain = || ChatRequest { messages: vec![Message::text(Role::User, "a")], ..ChatRequest::default() };
    let mut chat = plain();
    chat.sampling.temperature = Some(1.5);
    chat.sampling.top_p = Some(1.0);
    chat.sampling.presence_penalty = Some(-1.0);
    chat.sampling.top_k = Some(900);
    chat.max_output_tokens = Some(2_000);
    chat.reasoning = Some(Reasoning { effort: Some(Effort::High), ..Reasoning::default() });
    chat.user = Some("u".to_owned());
    let (body, warnings) = written(chat).unwrap();
    assert_eq!((&body["temperature"], &body["p"], &body["k"]), (&json!(1), &json!(0.99), &json!(500)));
    assert_eq!(body["thinking"], json!({"type": "enabled", "token_budget": 1000}));
    insta::assert_snapshot!(warnings, @r"
    temperature emulated: limited to the range 0 to 1
    top_p emulated: limited to the range 0.01 to 0.99
    presence_penalty emulated: limited to the range 0 to 1
    top_k emulated: limited to 500
    reasoning effort emulated: the level of effort became a token budget
    user dropped: the target's dialect has nothing like it
    ");
    let refused = [
        ChatRequest { choices: Some(2), ..plain() },
        ChatRequest { logprobs: Some(1), ..plain() },
        ChatRequest { stop: vec![String::from("x"); 6], ..plain() },
    ];
    let told: Vec<String> = refused.into_iter().map(|chat| written(chat).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    n cannot be expressed for this target: the target gives one answer; ask several times
    logprobs cannot be expressed for this target: the target's have another form; leave it out or choose another model
    stop cannot be expressed for this target: the target takes at most 5 stop texts
    ");
}

#[test]
fn a_named_tool_is_the_only_one_offered() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = chat_request().prop_filter("two tools", |chat| chat.tools.len() == 2);
    let mut chat = strategy.new_tree(&mut runner).unwrap().current();
    chat.output = OutputFormat::Text;
    let Some(trunkline_model::request::Tool::Function(function)) = chat.tools.last().cloned() else {
        panic!("a function")
    };
    chat.tool_choice = Some(ToolChoice::Named(function.name.clone()));
    let (body, warnings) = written(chat).unwrap();
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&body["tools"][0]["function"]["name"], &body["tool_choice"]),
        (&json!(function.name), &json!("REQUIRED"))
    );
    assert!(warnings.contains("tool_choice emulated"), "{warnings}");
}

#[test]
fn vectors_are_told_what_they_are_for() {
    let purpose = |task: Option<&str>| {
        let request = EmbeddingRequest {
            inputs: vec![EmbeddingInput::Text("a".to_owned())],
            task: task.map(str::to_owned),
            ..EmbeddingRequest::default()
        };
        let encoded = encode_request(&Request::Embeddings(request), &profile(), Delivery::Plain).unwrap();
        let body: Value = serde_json::from_slice(&encoded.body).unwrap();
        (body["input_type"].as_str().unwrap().to_owned(), encoded.warnings.len())
    };
    assert_eq!(purpose(None), ("search_document".to_owned(), 1));
    assert_eq!(purpose(Some("RETRIEVAL_QUERY")), ("search_query".to_owned(), 0));
    assert_eq!(purpose(Some("classification")), ("classification".to_owned(), 0));
}
