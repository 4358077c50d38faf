//! A text continued by a conversation, both ways.

use super::*;
use crate::codec::Encode as _;
use crate::scan;
use crate::testing::context;
use bytes::BytesMut;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::usage::Usage;

fn look(body: &str) -> crate::codec::Envelope {
    scan::envelope(Dialect::OpenAi, Operation::Completions, body.as_bytes(), &Default::default())
        .expect("a request")
}

#[test]
fn a_prompt_is_a_message_and_its_parameters_keep_their_names() {
    let body = r#"{"model":"m","prompt":["Once"],"stop":"\n","n":2,"temperature":0.5,"user":"u","logit_bias":{"1":2}}"#;
    let chat = decode(body.as_bytes()).expect("a request");
    assert_eq!(chat.max_output_tokens, Some(16), "the endpoint's own default");
    assert_eq!((chat.choices, chat.sampling.temperature), (Some(2), Some(0.5)));
    assert_eq!(chat.stop, ["\n"]);
    assert_eq!(chat.messages.len(), 1);
    assert_eq!(chat.extras[0].name, "logit_bias");
    assert_eq!(look(body).shape.choices, 2);
}

#[test]
fn what_a_conversation_cannot_do_is_named() {
    let told: Vec<String> = [
        r#"{"model":"m","prompt":"a"}"#,
        r#"{"model":"m","prompt":["a","b"]}"#,
        r#"{"model":"m","prompt":[1,2]}"#,
        r#"{"model":"m","prompt":"a","echo":true}"#,
        r#"{"model":"m","prompt":"a","suffix":"z"}"#,
        r#"{"model":"m","prompt":"a","best_of":3}"#,
    ]
    .iter()
    .map(|body| {
        unsupported(&look(body), body.as_bytes()).map_or_else(|| "-".to_owned(), |error| error.to_string())
    })
    .collect();
    insta::assert_snapshot!(told.join("\n"));
    let warned = r#"{"model":"m","prompt":"a","logprobs":2}"#;
    let warned: Vec<String> =
        warnings(&look(warned), warned.as_bytes()).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(warned.join("\n"));
}

#[test]
fn a_request_without_a_prompt_says_so() {
    let error =
        scan::envelope(Dialect::OpenAi, Operation::Completions, br#"{"model":"m"}"#, &Default::default())
            .expect_err("no prompt");
    assert_eq!(error.path.as_deref(), Some("prompt"));
}

fn written(delivery: Delivery) -> String {
    let mut encoder = Encoder::new(delivery, context());
    let mut out = BytesMut::new();
    let events = [
        Event::Start { id: String::new(), model: "served".to_owned(), created: Some(7) },
        // Thoughts are no part of a text that goes on.
        Event::PartStart { choice: 0, part: 9, kind: PartKind::Thinking },
        Event::Delta { choice: 0, part: 9, delta: Delta::Text("They want a greeting.".to_owned()) },
        Event::PartEnd { choice: 0, part: 9 },
        Event::Delta { choice: 0, part: 0, delta: Delta::Text("Hi \"you\"".to_owned()) },
        Event::Delta { choice: 0, part: 1, delta: Delta::Text("!".to_owned()) },
        Event::Finish { choice: 0, reason: Finish::Length, native: String::new(), stop_sequence: None },
        Event::Usage(Usage { input: 3, output: 2, ..Usage::default() }),
        Event::End,
    ];
    for event in events {
        encoder.event(&event, &mut out);
    }
    encoder.finish(&mut out);
    String::from_utf8(out.to_vec()).expect("text")
}

#[test]
fn answers_have_the_form_of_the_endpoint() {
    insta::assert_snapshot!(written(Delivery::Plain));
    insta::assert_snapshot!(written(Delivery::Stream));
}
