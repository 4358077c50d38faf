//! OpenAI's chat completions.

use super::{Client, Probe, probe, quiet};
use serde_json::{Value, json};
use trunkline_model::dialect::Dialect;

pub(super) fn client() -> Client {
    Client {
        name: "OpenAI chat completions",
        dialect: Dialect::OpenAi,
        base: json!({"model": "m", "max_completion_tokens": 9000, "messages": [{"role": "user", "content": "Hello"}]}),
        probes: [conversation(), media(), tools(), parameters(), corners()].into_iter().flatten().collect(),
    }
}

fn said(parts: Value) -> Value {
    json!({"messages": [{"role": "user", "content": parts}]})
}

fn tool() -> Value {
    json!({"type": "function", "function": {"name": "tool_mark", "description": "d", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}})
}

fn conversation() -> Vec<Probe> {
    let user = json!({"role": "user", "content": "Hello"});
    vec![
        probe(
            "`system` message",
            json!({"messages": [{"role": "system", "content": "SYSTEM-MARK"}, user]}),
            &["SYSTEM-MARK"],
        ),
        probe(
            "`developer` message",
            json!({"messages": [{"role": "developer", "content": "DEVELOPER-MARK"}, user]}),
            &["DEVELOPER-MARK"],
        ),
        probe(
            "`system` message in the middle",
            json!({"messages": [user, {"role": "assistant", "content": "Hi"}, {"role": "system", "content": "SYSTEM-MARK"}, user]}),
            &["SYSTEM-MARK"],
        ),
        probe(
            "`name` of a participant",
            json!({"messages": [{"role": "user", "content": "Hello", "name": "NAME-MARK"}]}),
            &["NAME-MARK"],
        ),
        probe(
            "earlier `assistant` message",
            json!({"messages": [user, {"role": "assistant", "content": "EARLIER-MARK"}, user]}),
            &["EARLIER-MARK"],
        ),
        probe(
            "`assistant` message at the end",
            json!({"messages": [user, {"role": "assistant", "content": "PREFILL-MARK"}]}),
            &["PREFILL-MARK"],
        ),
        probe(
            "earlier `refusal`",
            json!({"messages": [user, {"role": "assistant", "refusal": "REFUSAL-MARK"}, user]}),
            &["REFUSAL-MARK"],
        ),
        probe(
            "`reasoning_content` of an earlier answer",
            json!({"messages": [user, {"role": "assistant", "content": "Hi", "reasoning_content": "THOUGHT-MARK"}, user]}),
            &["THOUGHT-MARK"],
        ),
        probe(
            "`cache_control` of a part",
            said(json!([{"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}])),
            &["cache_control|cachePoint"],
        ),
    ]
}

fn media() -> Vec<Probe> {
    let data = "data:image/png;base64,iVBORw0KGgo=";
    let pdf = "data:application/pdf;base64,JVBERi0xLjc=";
    vec![
        probe(
            "picture by URL",
            said(json!([{"type": "image_url", "image_url": {"url": "https://files.example/a.png"}}])),
            &["https://files.example/a.png"],
        ),
        probe(
            "picture as data",
            said(json!([{"type": "image_url", "image_url": {"url": data}}])),
            &["iVBORw0KGgo="],
        ),
        probe(
            "`detail` of a picture",
            said(json!([{"type": "image_url", "image_url": {"url": data, "detail": "high"}}])),
            &["\"high\""],
        ),
        probe(
            "document as data",
            said(json!([{"type": "file", "file": {"filename": "a.pdf", "file_data": pdf}}])),
            &["JVBERi0xLjc="],
        ),
        probe(
            "document by id",
            said(json!([{"type": "file", "file": {"file_id": "file-123"}}])),
            &["file-123"],
        ),
        probe(
            "sound as data",
            said(json!([{"type": "input_audio", "input_audio": {"data": "UklGRgAA", "format": "wav"}}])),
            &["UklGRgAA"],
        ),
    ]
}

fn tools() -> Vec<Probe> {
    let user = json!({"role": "user", "content": "Hello"});
    let mut strict = tool();
    strict["function"]["strict"] = json!(true);
    let mut cached = tool();
    cached["cache_control"] = json!({"type": "ephemeral"});
    let with = |name: &str, value: Value| json!({"tools": [tool()], name: value});
    let call = json!({"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "tool_mark", "arguments": "{\"city\":\"CITY-MARK\"}"}}]});
    let two = json!({"role": "assistant", "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "tool_mark", "arguments": "{}"}},
        {"id": "call_2", "type": "function", "function": {"name": "tool_mark", "arguments": "{}"}},
    ]});
    let result = |id: &str, text: &str| json!({"role": "tool", "tool_call_id": id, "content": text});
    vec![
        probe("`tools`", json!({"tools": [tool()]}), &["tool_mark"]),
        probe("`strict` of a tool", json!({"tools": [strict]}), &["\"strict\":true|strict_tools"]),
        probe("`cache_control` of a tool", json!({"tools": [cached]}), &["cache_control|cachePoint"]),
        probe(
            "tool of another type",
            json!({"tools": [{"type": "custom", "custom": {"name": "custom_mark"}}]}),
            &["custom_mark"],
        ),
        probe(
            "`tool_choice: required`",
            with("tool_choice", json!("required")),
            &["required|any|ANY|REQUIRED"],
        ),
        probe("`tool_choice: none`", with("tool_choice", json!("none")), &["none|NONE"]),
        probe(
            "`tool_choice` of one tool",
            with("tool_choice", json!({"type": "function", "function": {"name": "tool_mark"}})),
            &["tool_choice|toolChoice|toolConfig"],
        ),
        probe(
            "`tool_choice` of allowed tools",
            with(
                "tool_choice",
                json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "tool_mark"}}]}}),
            ),
            &["tool_mark"],
        ),
        probe(
            "`parallel_tool_calls: false`",
            with("parallel_tool_calls", json!(false)),
            &["parallel_tool_calls|disable_parallel_tool_use"],
        ),
        probe(
            "`parallel_tool_calls` without tools",
            json!({"parallel_tool_calls": true}),
            &["parallel_tool_calls"],
        ),
        probe(
            "tool call and its result",
            json!({"tools": [tool()], "messages": [user, call, result("call_1", "RESULT-MARK")]}),
            &["CITY-MARK", "RESULT-MARK"],
        ),
        probe(
            "parallel tool calls",
            json!({"tools": [tool()], "messages": [user, two, result("call_1", "RESULT-ONE"), result("call_2", "RESULT-TWO")]}),
            &["RESULT-ONE", "RESULT-TWO"],
        ),
        probe("`functions` (legacy)", json!({"functions": [tool()["function"]]}), &["tool_mark"]),
    ]
}

fn parameters() -> Vec<Probe> {
    let schema = json!({"type": "object", "properties": {"schema_mark": {"type": "string"}}, "required": ["schema_mark"], "additionalProperties": false});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema}});
    let one = |name: &str, value: Value| json!({name: value});
    vec![
        probe("`max_completion_tokens`", one("max_completion_tokens", json!(777)), &["777"]),
        probe("`temperature`", one("temperature", json!(0.37)), &["0.37"]),
        probe("`temperature` above 1", one("temperature", json!(1.37)), &["1.37"]),
        probe("`top_p`", one("top_p", json!(0.37)), &["0.37"]),
        probe("`top_k`", one("top_k", json!(37)), &["37"]),
        probe("`frequency_penalty`", one("frequency_penalty", json!(0.37)), &["0.37"]),
        probe("`presence_penalty`", one("presence_penalty", json!(0.37)), &["0.37"]),
        probe("`seed`", one("seed", json!(4711)), &["4711"]),
        probe("`stop`", one("stop", json!(["STOP-ONE", "STOP-TWO"])), &["STOP-ONE", "STOP-TWO"]),
        probe("`stop` of six texts", one("stop", json!(["S1", "S2", "S3", "S4", "S5", "S6"])), &["\"S6\""]),
        probe("`n`", one("n", json!(3)), &[":3"]),
        probe("`logprobs`", one("logprobs", json!(true)), &["ogprobs"]),
        probe("`top_logprobs`", json!({"logprobs": true, "top_logprobs": 7}), &["7"]),
        probe("`top_logprobs` without `logprobs`", one("top_logprobs", json!(7)), &["7"]),
        probe("`logit_bias`", one("logit_bias", json!({"4711": 5})), &["4711"]),
        probe(
            "`response_format: json_object`",
            one("response_format", json!({"type": "json_object"})),
            &["json_object|application/json"],
        ),
        probe("`response_format: json_schema`", one("response_format", format), &["schema_mark"]),
        probe("`reasoning_effort`", one("reasoning_effort", json!("low")), &["low|LOW|budget|Budget"]),
        quiet("`reasoning.exclude`", json!({"reasoning": {"exclude": true}})),
        quiet("`reasoning_effort: none`", one("reasoning_effort", json!("none"))),
        probe("`verbosity`", one("verbosity", json!("low")), &["verbosity"]),
        probe(
            "`prediction`",
            one("prediction", json!({"type": "content", "content": "PREDICTION"})),
            &["PREDICTION"],
        ),
        probe(
            "`modalities`",
            json!({"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}),
            &["alloy"],
        ),
        probe("`metadata`", one("metadata", json!({"k": "METADATA-MARK"})), &["METADATA-MARK"]),
        probe("`service_tier`", one("service_tier", json!("flex")), &["flex"]),
        probe("`store`", one("store", json!(true)), &["store"]),
        probe("`user`", one("user", json!("USER-MARK")), &["USER-MARK"]),
        probe("`safety_identifier`", one("safety_identifier", json!("SAFETY-MARK")), &["SAFETY-MARK"]),
        probe("`prompt_cache_key`", one("prompt_cache_key", json!("CACHE-MARK")), &["CACHE-MARK"]),
        probe(
            "`web_search_options`",
            one("web_search_options", json!({"search_context_size": "low"})),
            &["search_context_size"],
        ),
        probe("unknown parameter", one("x_unknown", json!("UNKNOWN-MARK")), &["UNKNOWN-MARK"]),
        probe(
            "unknown field of a file",
            said(
                json!([{"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0xLjQK", "filename": "a.pdf", "x_unknown": "UNKNOWN-MARK"}}]),
            ),
            &["UNKNOWN-MARK"],
        ),
        probe(
            "unknown field of a tool call",
            json!({"tools": [tool()], "messages": [{"role": "user", "content": "Hello"},
                {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "x_unknown": "UNKNOWN-MARK", "function": {"name": "tool_mark", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "call_1", "content": "Yes"}]}),
            &["UNKNOWN-MARK"],
        ),
    ]
}

/// What does nothing by itself, and what nobody knows.
fn corners() -> Vec<Probe> {
    let mut odd = tool();
    odd["function"]["x_unknown"] = json!("UNKNOWN-MARK");
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "description": "DESCRIPTION-MARK", "schema": schema}});
    vec![
        probe("`tool_choice` without tools", json!({"tool_choice": "required"}), &["tool_choice"]),
        probe(
            "`parallel_tool_calls: false` with `tool_choice: none`",
            json!({"tools": [tool()], "tool_choice": "none", "parallel_tool_calls": false}),
            &["parallel_tool_calls"],
        ),
        probe(
            "`description` of the answer's schema",
            json!({"response_format": format}),
            &["DESCRIPTION-MARK"],
        ),
        probe("unknown field of a function", json!({"tools": [odd]}), &["UNKNOWN-MARK"]),
    ]
}
