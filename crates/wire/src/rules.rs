//! What is common knowledge of translation, asked of every target protocol at once.
//!
//! Owns tables of one question each: the same request to every target, the same ending from every provider. What only one protocol
//! does is shown beside its codec.

use crate::codec::{PathParts, Profile};
use crate::dispatch;
use crate::frame::{Framer, Framing};
use bytes::Bytes;
use serde_json::{Value, json};
use trunkline_model::capability::Support;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::event::Event;

/// What a request becomes for every target: a line for each, with what `shown` picks of the body and with the warnings.
fn everywhere(request: &Value, shown: impl Fn(&Value) -> String) -> String {
    let body = Bytes::from(request.to_string());
    let path = PathParts::default();
    let request = dispatch::decode_request(Dialect::OpenAi, Operation::Chat, &body, &path).unwrap();
    let line = |target: Dialect| match dispatch::encode_request(
        target,
        &request,
        &Profile::new("m"),
        Delivery::Plain,
    ) {
        Ok(encoded) => {
            let warnings: Vec<String> = encoded.warnings.iter().map(ToString::to_string).collect();
            format!("{target}: {} {warnings:?}", shown(&serde_json::from_slice(&encoded.body).unwrap()))
        }
        Err(error) => format!("{target}: refused: {error}"),
    };
    Dialect::ALL.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Members of a body, by pointer; those that are not there are left out.
fn members(body: &Value, pointers: &[&str]) -> String {
    let found = pointers.iter().filter_map(|pointer| {
        let name = pointer.rsplit('/').next().unwrap_or_default();
        body.pointer(pointer).map(|value| format!("{name}={value}"))
    });
    found.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_choice_of_a_tool_is_said_in_every_protocols_words() {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
    let mut tables = Vec::new();
    for choice in [
        json!("auto"),
        json!("none"),
        json!("required"),
        json!({"type": "function", "function": {"name": "f"}}),
        json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}}),
    ] {
        let request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [tool("f"), tool("g")],
            "tool_choice": choice, "parallel_tool_calls": false});
        let pointers = [
            "/tool_choice",
            "/toolConfig/toolChoice",
            "/toolConfig/functionCallingConfig",
            "/parallel_tool_calls",
            "/additionalModelRequestFields",
        ];
        tables.push(format!("{choice}\n{}", everywhere(&request, |body| members(body, &pointers))));
    }
    insta::assert_snapshot!(tables.join("\n\n"));
}

/// What would do nothing anyway is passed where a target takes it, and told everywhere else.
#[test]
fn what_lacks_the_parameter_it_belongs_to_is_told() {
    let mut tables = Vec::new();
    for more in [
        json!({"top_logprobs": 3}),
        json!({"top_logprobs": 3, "logprobs": false}),
        json!({"top_logprobs": 0}),
        json!({"parallel_tool_calls": false}),
        json!({"parallel_tool_calls": true, "tools": []}),
        json!({"tool_choice": "auto"}),
        json!({"tool_choice": "none", "tools": []}),
        json!({"tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": false}),
        json!({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}}),
    ] {
        let mut request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let pointers = ["/top_logprobs", "/logprobs", "/parallel_tool_calls", "/tool_choice"];
        tables.push(format!("{more}\n{}", everywhere(&request, |body| members(body, &pointers))));
    }
    insta::assert_snapshot!(tables.join("\n\n"));
}

/// With a schema that is reached by a tool, the answer's own tool stands beside those of the client.
#[test]
fn the_choice_of_a_tool_holds_where_the_answer_is_one_too() {
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
    let mut lines = Vec::new();
    for choice in [
        json!("auto"),
        json!("none"),
        json!("required"),
        json!({"type": "function", "function": {"name": "f"}}),
    ] {
        let request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [tool], "tool_choice": choice,
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}});
        let body = Bytes::from(request.to_string());
        let request =
            dispatch::decode_request(Dialect::OpenAi, Operation::Chat, &body, &PathParts::default()).unwrap();
        let profile = Profile { json_schema: Support::No, ..Profile::new("m") };
        for target in [Dialect::Anthropic, Dialect::Converse] {
            let encoded = dispatch::encode_request(target, &request, &profile, Delivery::Plain).unwrap();
            let warnings: Vec<String> = encoded.warnings.iter().map(ToString::to_string).collect();
            let said = members(
                &serde_json::from_slice(&encoded.body).unwrap(),
                &["/tool_choice", "/toolConfig/toolChoice"],
            );
            lines.push(format!("{choice} {target}: {said} {warnings:?}"));
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_end_user_is_named_under_either_name() {
    let mut tables = Vec::new();
    for more in [
        json!({"safety_identifier": "ann \"1\""}),
        json!({"safety_identifier": "ann", "user": "ben"}),
        json!({"safety_identifier": 7}),
    ] {
        let mut request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let pointers = ["/user", "/safety_identifier", "/metadata/user_id"];
        tables.push(format!("{more}\n{}", everywhere(&request, |body| members(body, &pointers))));
    }
    insta::assert_snapshot!(tables.join("\n\n"));
}

#[test]
fn stop_texts_and_sampling_stay_within_what_each_protocol_takes() {
    let request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 2, "top_p": 0.5, "seed": 7,
        "stop": ["a", "b", "c", "d", "e", "f"], "max_completion_tokens": 9});
    let pointers = [
        "/temperature",
        "/inferenceConfig/temperature",
        "/generationConfig/temperature",
        "/seed",
        "/random_seed",
        "/generationConfig/seed",
        "/stop",
        "/stop_sequences",
        "/inferenceConfig/stopSequences",
        "/generationConfig/stopSequences",
        "/max_tokens",
        "/max_completion_tokens",
        "/max_output_tokens",
        "/inferenceConfig/maxTokens",
        "/generationConfig/maxOutputTokens",
    ];
    let six = everywhere(&request, |body| members(body, &pointers));
    let mut fewer = request;
    fewer["stop"] = json!(["a", "b", "c", "d"]);
    let four = everywhere(&fewer, |body| members(body, &pointers));
    insta::assert_snapshot!(format!("six\n{six}\n\nfour\n{four}"));
}

/// Clients of providers whose calls have no ids count from the beginning in every turn.
#[test]
fn ids_of_calls_that_stand_twice_are_told_apart_where_they_must_be() {
    let call = |name: &str| json!({"id": "call_0", "type": "function", "function": {"name": name, "arguments": "{}"}});
    let calls = |names: &[&str]| {
        let calls: Vec<Value> = names.iter().map(|name| call(name)).collect();
        json!({"role": "assistant", "content": null, "tool_calls": calls})
    };
    let result = |text: &str| json!({"role": "tool", "tool_call_id": "call_0", "content": text});
    let messages = [
        json!({"role": "user", "content": "hi"}),
        calls(&["f"]),
        result("one"),
        calls(&["g", "f"]),
        result("two"),
        result("three"),
    ];
    let request = json!({"model": "m", "messages": messages});
    // Names beside ids: with one id for two functions, a result would be another function's.
    let shown = |body: &Value| {
        let mut seen = Vec::new();
        ids_and_names(body, &mut seen);
        seen.join(" ")
    };
    insta::assert_snapshot!(everywhere(&request, shown));
}

fn ids_and_names(value: &Value, seen: &mut Vec<String>) {
    const NAMES: [&str; 7] = ["id", "call_id", "tool_call_id", "tool_use_id", "toolUseId", "name", "text"];
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if NAMES.contains(&name.as_str()) => {
                        seen.push(format!("{name}={text}"))
                    }
                    _ => ids_and_names(value, seen),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| ids_and_names(value, seen)),
        _ => {}
    }
}

#[test]
fn no_protocol_gets_more_cache_marks_than_it_takes() {
    let marked = |text: &str| json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral"}});
    let parts: Vec<Value> = ["a", "b", "c", "d", "e", "f"].into_iter().map(marked).collect();
    let request = json!({"model": "m", "messages": [{"role": "user", "content": parts}]});
    let count = |body: &Value| {
        let text = body.to_string();
        let marks = text.matches("\"cache_control\"").count() + text.matches("\"cachePoint\"").count();
        format!("{marks} marks")
    };
    insta::assert_snapshot!(everywhere(&request, count));
}

/// What a whole answer of a provider ends with, and the word a client of each protocol has for it.
fn ending(provider: Dialect, answer: &Value) -> String {
    let mut decoder = dispatch::decoder(provider, Operation::Chat, Delivery::Plain);
    let mut framer = Framer::new(Framing::Body, 1 << 20);
    framer.push(Bytes::from(answer.to_string()));
    let mut events = Vec::new();
    let read = framer
        .finish()
        .and_then(|raw| raw.map_or(Ok(()), |raw| decoder.frame(raw.frame(), &mut events)))
        .and_then(|()| decoder.end(&mut events));
    if let Err(failure) = read {
        return format!("{}: {}", failure.class.name(), failure.message);
    }
    let finish = events.iter().find_map(|event| match event {
        Event::Finish { reason, native, .. } => Some(format!("{reason:?} ({native})")),
        _ => None,
    });
    finish.unwrap_or_else(|| "no ending".to_owned())
}

/// A whole answer of a provider that ends with a word of its own.
fn answer_ending(provider: Dialect, word: &str) -> Value {
    match provider {
        Dialect::Anthropic => json!({"id": "i", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": "a"}], "stop_reason": word,
            "usage": {"input_tokens": 1, "output_tokens": 1}}),
        Dialect::Gemini => json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "a"}]},
            "finishReason": word, "index": 0}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}}),
        Dialect::Converse => json!({"output": {"message": {"role": "assistant", "content": [{"text": "a"}]}},
            "stopReason": word, "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
            "metrics": {"latencyMs": 1}}),
        Dialect::Cohere => json!({"id": "i", "finish_reason": word,
            "message": {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
            "usage": {"tokens": {"input_tokens": 1, "output_tokens": 1}}}),
        Dialect::OpenAi | Dialect::Mistral | Dialect::Responses => {
            json!({"id": "i", "object": "chat.completion",
            "created": 1, "model": "m", "choices": [{"index": 0,
            "message": {"role": "assistant", "content": "a"}, "finish_reason": word}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
        }
    }
}

/// The words that each provider documents, and one that nobody knows yet.
const ENDINGS: [(Dialect, &str); 6] = [
    (
        Dialect::Anthropic,
        "end_turn stop_sequence max_tokens model_context_window_exceeded tool_use refusal pause_turn something_new",
    ),
    (
        Dialect::Gemini,
        "STOP MAX_TOKENS SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII IMAGE_SAFETY MALFORMED_FUNCTION_CALL OTHER SOMETHING_NEW",
    ),
    (
        Dialect::Converse,
        "end_turn stop_sequence max_tokens model_context_window_exceeded tool_use guardrail_intervened content_filtered \
         malformed_model_output malformed_tool_use something_new",
    ),
    (Dialect::Cohere, "COMPLETE STOP_SEQUENCE MAX_TOKENS TOOL_CALL ERROR TIMEOUT SOMETHING_NEW"),
    (Dialect::Mistral, "stop length model_length tool_calls error"),
    (Dialect::OpenAi, "stop length tool_calls content_filter function_call something_new"),
];

#[test]
fn every_providers_word_for_an_ending_is_known() {
    let lines = ENDINGS.iter().flat_map(|(provider, words)| {
        words.split_whitespace().map(move |word| {
            format!("{provider} {word}: {}", ending(*provider, &answer_ending(*provider, word)))
        })
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}
