//! Every place in a warning is one that the client's body has, or is said to be ours.

use super::*;
use crate::dispatch;
use crate::goldens::{self, Golden};
use crate::testing::profile;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use trunkline_model::capability::Support;
use trunkline_model::dialect::{Delivery, Operation};

/// What warnings about a body are called, for every target and several kinds of models; and how often something was told.
fn told(dialect: Dialect, operation: Operation, body: &[u8], names: &mut BTreeMap<String, String>) {
    let Ok(request) = goldens::decode(dialect, operation, body) else { return };
    let places = Places::of(dialect, &request, body, None).unwrap();
    let plain = profile();
    let mute = crate::codec::Profile {
        sampling: Support::No,
        json_schema: Support::No,
        reasoning: crate::codec::ReasoningStyle::None,
        refused: ["user", "stop", "seed", "n", "tool_choice"].map(str::to_owned).to_vec(),
        ..profile()
    };
    for target in Dialect::ALL {
        for profile in [&plain, &mute] {
            match dispatch::encode_request(target, &request, profile, Delivery::Plain) {
                Ok(encoded) => {
                    for warning in encoded.warnings {
                        names.insert(warning.feature.to_string(), places.name(&warning.feature).into_owned());
                    }
                }
                Err(
                    EncodeError::Unsupported { feature, .. } | EncodeError::Invalid { path: feature, .. },
                ) => {
                    names.insert(feature.clone(), places.name(&feature).into_owned());
                }
            }
        }
    }
}

/// Whether a name is a path of the body, but for what qualifies it.
fn stands_in(body: &Value, name: &str) -> bool {
    let place = name.split(' ').next().unwrap_or_default();
    path::resolve(body, place).as_deref() == Some(place)
}

/// What the client did not say and yet is told of: what a target needs besides.
const BROUGHT_IN: &[&str] = &["max_tokens", "messages[0]"];

#[test]
fn every_place_in_a_warning_is_one_of_the_clients_body() {
    let mut wrong = Vec::new();
    let mut all = 0;
    for Golden { name, dialect, operation, body } in goldens::requests() {
        let value: Value = serde_json::from_slice(&body).unwrap();
        let mut names = BTreeMap::new();
        told(dialect, operation, &body, &mut names);
        all += names.len();
        for (feature, shown) in names {
            let is_ours = shown.strip_suffix(OURS).is_some_and(|ours| BROUGHT_IN.contains(&ours));
            if !is_ours && !OPERATIONS.contains(&shown.as_str()) && !stands_in(&value, &shown) {
                wrong.push(format!("{name}: {feature} -> {shown}"));
            }
        }
    }
    assert!(all > 100, "only {all} were told");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// No golden has parts or tools whose places do not come out even with the request.
#[test]
fn every_message_part_and_tool_has_its_place() {
    let mut uneven = String::new();
    for Golden { name, dialect, operation, body } in goldens::requests() {
        let Ok(Request::Chat(chat)) = goldens::decode(dialect, operation, &body) else { continue };
        let value: Value = serde_json::from_slice(&body).unwrap();
        let layout = layout::of(dialect, &value);
        let parts =
            |layout: &Layout| layout.messages.iter().map(|message| message.parts.len()).collect::<Vec<_>>();
        let expected: Vec<usize> = chat.messages.iter().map(|message| message.parts.len()).collect();
        if parts(&layout) != expected || layout.tools.len() != chat.tools.len() {
            let _ = writeln!(uneven, "{name}: {:?} for {expected:?}, {:?}", parts(&layout), layout.tools);
        }
        let all = layout.messages.iter().flat_map(|message| message.parts.iter().chain([&message.place]));
        for place in all.chain(&layout.tools) {
            assert!(stands_in(&value, place), "{name}: {place}");
        }
    }
    assert!(uneven.is_empty(), "{uneven}");
}

/// Conversations in which a place in canonical form is another one in the body.
#[test]
fn what_is_counted_otherwise_is_told_by_the_clients_count() {
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}});
    let anthropic = json!({"model": "m", "max_tokens": 9000, "system": [{"type": "text", "text": "s"}],
        "stop_sequences": ["x"], "metadata": {"user_id": "u"}, "thinking": {"type": "enabled", "budget_tokens": 2000},
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "text", "text": "b"},
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "r"}, image]}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}]});
    let responses = json!({"model": "m", "instructions": "i", "max_output_tokens": 9, "reasoning": {"effort": "low"},
        "input": [
            {"role": "user", "content": "a"},
            {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "state"},
            {"type": "function_call", "call_id": "t", "name": "f", "arguments": "{}"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "b"}, {"type": "output_text", "text": "c"}]},
            {"type": "function_call_output", "call_id": "t", "output": [{"type": "input_text", "text": "r"}]}],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]});
    let gemini = json!({"system_instruction": {"parts": [{"text": "s"}]},
        "generation_config": {"top_k": 3, "stopSequences": ["x"], "thinkingConfig": {"thinking_budget": 2000}},
        "contents": [
            {"role": "user", "parts": [{"text": "a"}]},
            {"role": "model", "parts": [{"text": "b"}]},
            {"role": "model", "parts": [{"text": "c"}, {"functionCall": {"name": "f", "args": {}}}]},
            {"role": "user", "parts": [{"text": "d"}, {"functionResponse": {"name": "f", "response": {}}}]}],
        "tools": [{"googleSearch": {}, "functionDeclarations": [{"name": "g"}, {"name": "f"}]}]});
    let openai = json!({"model": "m", "max_completion_tokens": 9, "messages": [
        {"role": "system", "content": "s"},
        {"role": "assistant", "reasoning_content": "t", "content": "a", "tool_calls": [{"id": "t", "function": {"name": "f"}}]},
        {"role": "tool", "tool_call_id": "t", "content": "r"}],
        "functions": [{"name": "f"}]});
    let asked = [
        "messages[0].content[0]",
        "messages[1].content[0] signature",
        "messages[1].content[1]",
        "messages[1].content[2]",
        "messages[2].content[0]",
        "messages[2].content[0].content[1]",
        "messages[3].content[0].content[0]",
        "messages[3].content[0].is_error",
        "messages[4].content[0]",
        "messages[9]",
        "messages[] signatures",
        "tools[0].parameters",
        "tools[1] (search)",
        "tools[].cache_control",
        "stop",
        "top_k",
        "user",
        "max_tokens",
        "reasoning budget",
        "reasoning_effort",
        "parallel_tool_calls",
    ];
    let mut shown = String::new();
    for (dialect, body) in [
        (Dialect::OpenAi, openai),
        (Dialect::Responses, responses),
        (Dialect::Anthropic, anthropic),
        (Dialect::Gemini, gemini),
    ] {
        let text = body.to_string();
        let request = goldens::decode(dialect, Operation::Chat, text.as_bytes()).unwrap();
        let places = Places::of(dialect, &request, text.as_bytes(), None).unwrap();
        let _ = writeln!(shown, "{dialect}");
        for feature in asked {
            let _ = writeln!(shown, "  {feature} -> {}", places.name(feature));
        }
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn what_was_put_before_the_clients_items_is_not_counted() {
    let body = json!({"model": "m", "input": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c", "zap": 1}]});
    let text = body.to_string();
    let request = goldens::decode(Dialect::Responses, Operation::Chat, text.as_bytes()).unwrap();
    let named = |is_text| {
        let earlier = Earlier { items: 2, named_by: "previous_response_id", is_text };
        let places = Places::of(Dialect::Responses, &request, text.as_bytes(), Some(earlier)).unwrap();
        ["messages[0]", "messages[1].content[0]", "messages[2].content[0]", "input[2].zap"]
            .map(|feature| places.name(feature).into_owned())
    };
    assert_eq!(
        named(false),
        ["previous_response_id", "previous_response_id", "input[0].content", "input[0].zap"]
    );
    assert_eq!(named(true), ["previous_response_id", "previous_response_id", "input", "input"]);
}
