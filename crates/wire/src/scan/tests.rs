//! What the scan tells of requests of every dialect, and how it names what is wrong.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn scan(dialect: Dialect, operation: Operation, body: &str) -> Result<Envelope, BadRequest> {
    envelope(dialect, operation, body.as_bytes(), &PathParts::default())
}

fn chat(body: &serde_json::Value) -> Envelope {
    scan(Dialect::OpenAi, Operation::Chat, &body.to_string()).unwrap()
}

#[test]
fn an_openai_chat_request_is_understood() {
    let body = json!({
        "model": "auto \u{e9}", "stream": true, "stream_options": {"include_usage": true},
        "messages": [
            {"role": "system", "content": "0123456789"},
            {"role": "user", "content": [
                {"type": "text", "text": "01234"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "file", "file": {"file_data": "AAAA"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "01234"},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}],
        "tool_choice": "required", "max_tokens": 5, "max_completion_tokens": 7, "n": 2, "logprobs": true,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
        "reasoning_effort": "high", "user": "u",
    });
    insta::assert_debug_snapshot!(chat(&body).shape);
    assert!(chat(&body).wants_stream_usage);
}

#[test]
fn what_is_no_value_is_no_json_whatever_field_it_stands_in() {
    const FIELDS: [&str; 26] = [
        "model",
        "messages",
        "contents",
        "input",
        "documents",
        "tools",
        "functions",
        "tool_choice",
        "system",
        "systemInstruction",
        "generationConfig",
        "toolConfig",
        "stream",
        "stream_options",
        "max_tokens",
        "n",
        "response_format",
        "reasoning",
        "thinking",
        "output_config",
        "metadata",
        "text",
        "user",
        "provider",
        "models",
        "logprobs",
    ];
    for field in FIELDS {
        for value in
            ["", "x", "x]", "x}", "\u{e9}", "\u{e9}]", "(\"a\"]", "]", "[x", "[\u{e9}]", "[{\"role\":x]}]"]
        {
            for end in ["", "}", ",\"model\":\"m\"}"] {
                let body = format!("{{\"{field}\":{value}{end}");
                for (dialect, operation) in
                    Dialect::CLIENTS.iter().flat_map(|dialect| Operation::ALL.map(|each| (*dialect, each)))
                {
                    let error = scan(dialect, operation, &body).expect_err(&body);
                    assert!(
                        error.offset.is_none_or(|offset| offset <= body.len()),
                        "{dialect}: {body}: {error:?}"
                    );
                }
            }
        }
    }
    insta::assert_snapshot!(
        scan(Dialect::OpenAi, Operation::Chat, r#"{"model":"m","messages":x]}"#).unwrap_err().message,
        @"invalid JSON at byte 24: expected a JSON value, found `x`"
    );
}

#[test]
fn an_anthropic_request_is_understood() {
    let body = json!({
        "model": "claude", "max_tokens": 100, "stream": true,
        "system": [{"type": "text", "text": "0123456789", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "document", "source": {"type": "url", "url": "https://x"}},
                {"type": "text", "text": "01234"}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "01234", "signature": "abc"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"signature": "not one"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "0123"}]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "f"},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "output_config": {"format": {"type": "json_schema", "schema": {}}},
        "metadata": {"user_id": "u"},
    });
    insta::assert_debug_snapshot!(
        scan(Dialect::Anthropic, Operation::Chat, &body.to_string()).unwrap().shape
    );
}

#[test]
fn a_gemini_request_is_understood() {
    let body = json!({
        "systemInstruction": {"parts": [{"text": "0123456789"}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "01234"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://x"}},
                {"inline_data": {"mime_type": "video/mp4", "data": "AAAA"}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "abc"}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}, {"googleSearch": {}}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {"maxOutputTokens": 9, "candidateCount": 2, "responseMimeType": "application/json",
            "thinkingConfig": {"thinkingBudget": -1}, "responseLogprobs": true},
    });
    let path = PathParts { model: Some("gemini-x".to_owned()), delivery: Some(Delivery::Stream) };
    let envelope = envelope(Dialect::Gemini, Operation::Chat, body.to_string().as_bytes(), &path).unwrap();
    insta::assert_debug_snapshot!(envelope.shape);
}

#[test]
fn embedding_inputs_are_counted() {
    let count = |input: serde_json::Value| {
        let body = json!({"model": "m", "input": input}).to_string();
        let shape = scan(Dialect::OpenAi, Operation::Embeddings, &body).unwrap().shape;
        (shape.messages, shape.text_bytes)
    };
    assert_eq!(count(json!("abcd")), (1, 4));
    assert_eq!(count(json!(["ab", "cde"])), (2, 5));
    assert_eq!(count(json!([1, 2, 3])), (1, 12));
    assert_eq!(count(json!([[1], [2, 3]])), (2, 12));
}

#[test]
fn opaque_state_is_seen_where_it_is_and_only_there() {
    let with = |message: serde_json::Value| {
        chat(&json!({"model": "m", "messages": [message]})).shape.has_opaque_state
    };
    assert!(with(json!({"role": "assistant", "thinking_blocks": [{"type": "thinking", "signature": "x"}]})));
    assert!(with(json!({"role": "assistant", "extra_content": {"google": {"thought_signature": "x"}}})));
    assert!(with(
        json!({"role": "assistant", "tool_calls": [{"extra_content": {"google": {"thought_signature": "x"}}}]})
    ));
    assert!(!with(json!({"role": "assistant", "thinking_blocks": []})));
    assert!(!with(
        json!({"role": "assistant", "tool_calls": [{"function": {"arguments": "{\"signature\":\"x\"}"}}]})
    ));
}

#[test]
fn of_a_top_level_field_given_twice_the_last_counts() {
    let body = r#"{"model":"a","messages":[{"content":"01234"},{"content":"01234"}],"model":"b","stream":true,"stream":false,"messages":[{"content":"0"}]}"#;
    let envelope = scan(Dialect::OpenAi, Operation::Chat, body).unwrap();
    assert_eq!(envelope.shape.model, "b");
    assert_eq!(envelope.shape.delivery, Delivery::Plain);
    assert_eq!((envelope.shape.messages, envelope.shape.text_bytes), (1, 1));
    assert_eq!(envelope.fields.len(), 6);
    assert_eq!(&body[envelope.field(body.as_bytes(), "model").unwrap().value.clone()], "\"b\"");
}

#[test]
fn an_object_of_no_dialect_is_read_as_strictly() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let bodies: [&[u8]; 8] = [
        b"",
        b"[]",
        b"{\"a\":1",
        b"{\"a\":1}x",
        b"{\"a\":\xff}",
        b"{\"a\":1,\"b\":2,\"\\u0061\":3}",
        b"{\"x\":[{\"a\":1,\"a\":2}]}",
        deep.as_bytes(),
    ];
    let told = bodies.map(|body| super::object(body).unwrap_err().message);
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!(super::object(b" {\"a\": {\"b\": 1}, \"b\": [1, 2]} "), Ok(()));
}

#[test]
fn a_field_given_twice_below_is_refused_with_its_path() {
    let bodies = [
        r#"{"model":"a","messages":[{"role":"user","content":"a","role":"system"}]}"#,
        r#"{"model":"a","messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","type":"array"}}}]}"#,
    ];
    let told = bodies.map(|body| scan(Dialect::OpenAi, Operation::Chat, body).unwrap_err());
    let shown: Vec<String> = told.iter().map(|error| format!("{:?} {}", error.path, error.message)).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn escaped_keys_and_values_are_resolved() {
    let body = r#"{"mod\u0065l":"caf\u00e9","messages":[]}"#;
    assert_eq!(scan(Dialect::OpenAi, Operation::Chat, body).unwrap().shape.model, "café");
}

#[test]
fn mistakes_are_named_by_path_or_byte() {
    let cases: &[(Dialect, Operation, &[u8])] = &[
        (Dialect::OpenAi, Operation::Chat, b"[]"),
        (Dialect::OpenAi, Operation::Chat, b""),
        (Dialect::OpenAi, Operation::Chat, b"{\"model\":\"\xff\"}"),
        (Dialect::OpenAi, Operation::Chat, br#"{"messages":[]}"#),
        (Dialect::OpenAi, Operation::Chat, br#"{"model":1,"messages":[]}"#),
        (Dialect::OpenAi, Operation::Chat, br#"{"model":null,"messages":[]}"#),
        (Dialect::OpenAi, Operation::Chat, br#"{"model":"m"}"#),
        (Dialect::OpenAi, Operation::Chat, br#"{"model":"m","messages":"hi"}"#),
        (Dialect::OpenAi, Operation::Chat, br#"{"model":"m","messages":["hi"]}"#),
        (Dialect::OpenAi, Operation::Chat, br#"{"model":"m","messages":[],"stream":"yes"}"#),
        (Dialect::OpenAi, Operation::Chat, br#"{"model":"m","messages":[],"max_tokens":"5"}"#),
        (Dialect::OpenAi, Operation::Chat, br#"{"model":"m","messages":[],"n":1.5}"#),
        (Dialect::OpenAi, Operation::Chat, br#"{"model":"m","messages":[],"n":-1}"#),
        (Dialect::OpenAi, Operation::Chat, br#"{"model":"m","messages":[}"#),
        (Dialect::OpenAi, Operation::Chat, br#"{"model":"m","messages":}"#),
        (Dialect::OpenAi, Operation::Chat, br#"{"model":"m","messages":[]} x"#),
        (Dialect::OpenAi, Operation::Embeddings, br#"{"model":"m"}"#),
        (Dialect::OpenAi, Operation::Embeddings, br#"{"model":"m","input":{}}"#),
        (Dialect::OpenAi, Operation::Embeddings, br#"{"model":"m","input":["a",null]}"#),
        (Dialect::Anthropic, Operation::Chat, br#"{"model":"m","messages":{}}"#),
        (Dialect::Gemini, Operation::Chat, br#"{"contents":[]}"#),
        (Dialect::Gemini, Operation::Chat, br#"{"model":"m","contents":"hi"}"#),
        (Dialect::Gemini, Operation::Embeddings, br#"{"model":"m"}"#),
    ];
    let report: Vec<String> = cases
        .iter()
        .map(|(dialect, operation, body)| {
            let error = envelope(*dialect, *operation, body, &PathParts::default()).unwrap_err();
            format!("{} -> {error} [{:?} {:?}]", String::from_utf8_lossy(body), error.path, error.offset)
        })
        .collect();
    insta::assert_snapshot!(report.join("\n"));
}

proptest! {
    #[test]
    fn no_bytes_crash_the_scan(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for dialect in Dialect::CLIENTS {
            let _ = envelope(dialect, Operation::Chat, &body, &PathParts::default());
        }
    }

    #[test]
    fn a_cut_body_is_never_taken_for_a_whole_one(at in 0usize..1000) {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "hé\n"}]}],
            "temperature": 0.5, "tools": [], "stop": null, "stream": false}).to_string();
        let at = at % body.len();
        prop_assert!(envelope(Dialect::OpenAi, Operation::Chat, &body.as_bytes()[..at], &PathParts::default()).is_err());
    }

    #[test]
    fn the_fields_are_where_they_are_said_to_be(names in proptest::collection::vec("[a-z]{1,6}", 0..8), blank in "[ \n\t]{0,2}") {
        let mut body = format!("{blank}{{{blank}\"model\":\"m\",\"messages\":[]");
        for (index, name) in names.iter().enumerate() {
            body.push_str(&format!("{blank},{blank}\"x_{name}\"{blank}:{blank}{{\"i\":[{index}]}}"));
        }
        body.push_str(&format!("{blank}}}{blank}"));
        let envelope = scan(Dialect::OpenAi, Operation::Chat, &body).unwrap();
        for (index, (name, field)) in names.iter().zip(&envelope.fields[2..]).enumerate() {
            prop_assert_eq!(&body[field.name.clone()], format!("x_{}", name));
            prop_assert_eq!(&body[field.value.clone()], format!("{{\"i\":[{index}]}}"));
        }
    }
}
