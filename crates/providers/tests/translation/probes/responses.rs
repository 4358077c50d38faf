//! OpenAI's responses. What the gateway itself serves (`store`, `previous_response_id`, `background`, `metadata`, `conversation`) is
//! no matter of translation and not here.

use super::{Client, Probe, probe, quiet};
use serde_json::{Value, json};
use trunkline_model::dialect::Dialect;

pub(super) fn client() -> Client {
    Client {
        name: "OpenAI responses",
        dialect: Dialect::Responses,
        base: json!({"model": "m", "max_output_tokens": 9000, "input": [{"role": "user", "content": "Hello"}]}),
        probes: [input(), tools(), parameters(), corners()].into_iter().flatten().collect(),
    }
}

fn said(part: Value) -> Value {
    json!({"input": [{"role": "user", "content": [part]}]})
}

fn tool() -> Value {
    json!({"type": "function", "name": "tool_mark", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}, "strict": false})
}

fn input() -> Vec<Probe> {
    let user = json!({"role": "user", "content": "Hello"});
    let picture = "data:image/png;base64,iVBORw0KGgo=";
    vec![
        probe("`instructions`", json!({"instructions": "SYSTEM-MARK"}), &["SYSTEM-MARK"]),
        probe(
            "`developer` message",
            json!({"input": [{"role": "developer", "content": "DEVELOPER-MARK"}, user]}),
            &["DEVELOPER-MARK"],
        ),
        probe(
            "earlier answer",
            json!({"input": [user, {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "EARLIER-MARK"}]}, user]}),
            &["EARLIER-MARK"],
        ),
        probe(
            "earlier `reasoning` with a summary",
            json!({"input": [user, {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "THOUGHT-MARK"}]}, {"role": "assistant", "content": "Hi"}, user]}),
            &["THOUGHT-MARK"],
        ),
        probe(
            "earlier `reasoning` with `encrypted_content`",
            json!({"input": [user, {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "STATE-MARK"}, {"role": "assistant", "content": "Hi"}, user]}),
            &["STATE-MARK"],
        ),
        probe(
            "picture by URL",
            said(json!({"type": "input_image", "image_url": "https://files.example/a.png"})),
            &["https://files.example/a.png"],
        ),
        probe(
            "picture as data",
            said(json!({"type": "input_image", "image_url": picture})),
            &["iVBORw0KGgo="],
        ),
        probe("picture by id", said(json!({"type": "input_image", "file_id": "file-123"})), &["file-123"]),
        probe(
            "document by URL",
            said(json!({"type": "input_file", "file_url": "https://files.example/a.pdf"})),
            &["https://files.example/a.pdf"],
        ),
        probe(
            "document as data",
            said(
                json!({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjc="}),
            ),
            &["JVBERi0xLjc="],
        ),
        probe("document by id", said(json!({"type": "input_file", "file_id": "file-123"})), &["file-123"]),
    ]
}

fn tools() -> Vec<Probe> {
    let user = json!({"role": "user", "content": "Hello"});
    let mut strict = tool();
    strict["strict"] = json!(true);
    let with = |name: &str, value: Value| json!({"tools": [tool()], name: value});
    let call = json!({"type": "function_call", "call_id": "call_1", "name": "tool_mark", "arguments": "{\"city\":\"CITY-MARK\"}"});
    let result = json!({"type": "function_call_output", "call_id": "call_1", "output": "RESULT-MARK"});
    vec![
        probe("`tools`", json!({"tools": [tool()]}), &["tool_mark"]),
        probe("`strict` of a tool", json!({"tools": [strict]}), &["\"strict\":true|strict_tools"]),
        probe(
            "`custom` tool",
            json!({"tools": [{"type": "custom", "name": "custom_mark"}]}),
            &["custom_mark"],
        ),
        probe("`web_search` tool", json!({"tools": [{"type": "web_search"}]}), &["web_search"]),
        probe(
            "`mcp` tool",
            json!({"tools": [{"type": "mcp", "server_label": "MCP-MARK", "server_url": "https://mcp.example"}]}),
            &["MCP-MARK"],
        ),
        probe(
            "`tool_choice: required`",
            with("tool_choice", json!("required")),
            &["required|any|ANY|REQUIRED"],
        ),
        probe("`tool_choice: none`", with("tool_choice", json!("none")), &["none|NONE"]),
        probe(
            "`tool_choice` of one tool",
            with("tool_choice", json!({"type": "function", "name": "tool_mark"})),
            &["tool_choice|toolChoice|toolConfig"],
        ),
        probe(
            "`tool_choice` of allowed tools",
            with(
                "tool_choice",
                json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "tool_mark"}]}),
            ),
            &["tool_mark"],
        ),
        probe(
            "`parallel_tool_calls: false`",
            with("parallel_tool_calls", json!(false)),
            &["parallel_tool_calls|disable_parallel_tool_use"],
        ),
        probe("`max_tool_calls`", with("max_tool_calls", json!(3)), &["max_tool_calls"]),
        probe(
            "tool call and its result",
            json!({"tools": [tool()], "input": [user, call, result]}),
            &["CITY-MARK", "RESULT-MARK"],
        ),
    ]
}

fn parameters() -> Vec<Probe> {
    let schema = json!({"type": "object", "properties": {"schema_mark": {"type": "string"}}, "required": ["schema_mark"], "additionalProperties": false});
    let one = |name: &str, value: Value| json!({name: value});
    vec![
        probe("`max_output_tokens`", one("max_output_tokens", json!(777)), &["777"]),
        probe("`temperature`", one("temperature", json!(0.37)), &["0.37"]),
        probe("`top_p`", one("top_p", json!(0.37)), &["0.37"]),
        probe(
            "`top_logprobs`",
            json!({"top_logprobs": 7, "include": ["message.output_text.logprobs"]}),
            &["7"],
        ),
        quiet("`include` of encrypted reasoning", one("include", json!(["reasoning.encrypted_content"]))),
        probe(
            "`text.format: json_object`",
            one("text", json!({"format": {"type": "json_object"}})),
            &["json_object|application/json"],
        ),
        probe(
            "`text.format: json_schema`",
            one(
                "text",
                json!({"format": {"type": "json_schema", "name": "answer", "strict": true, "schema": schema}}),
            ),
            &["schema_mark"],
        ),
        probe("`text.verbosity`", one("text", json!({"verbosity": "low"})), &["verbosity"]),
        probe("`reasoning.effort`", one("reasoning", json!({"effort": "low"})), &["low|LOW|budget|Budget"]),
        probe(
            "`reasoning.summary`",
            one("reasoning", json!({"effort": "low", "summary": "auto"})),
            &["summary|includeThoughts\":true|thinking|additionalModelRequestFields"],
        ),
        probe("`truncation: auto`", one("truncation", json!("auto")), &["truncation"]),
        probe("`service_tier`", one("service_tier", json!("flex")), &["flex"]),
        probe("`user`", one("user", json!("USER-MARK")), &["USER-MARK"]),
        probe("`safety_identifier`", one("safety_identifier", json!("SAFETY-MARK")), &["SAFETY-MARK"]),
        probe("`prompt_cache_key`", one("prompt_cache_key", json!("CACHE-MARK")), &["CACHE-MARK"]),
        probe(
            "`parallel_tool_calls` without tools",
            one("parallel_tool_calls", json!(true)),
            &["parallel_tool_calls"],
        ),
        probe("unknown parameter", one("x_unknown", json!("UNKNOWN-MARK")), &["UNKNOWN-MARK"]),
    ]
}

/// What does nothing by itself, and what nobody knows.
fn corners() -> Vec<Probe> {
    let mut odd = tool();
    odd["x_unknown"] = json!("UNKNOWN-MARK");
    vec![
        probe("`tool_choice` without tools", json!({"tool_choice": "required"}), &["tool_choice"]),
        probe(
            "`user` and `safety_identifier`",
            json!({"user": "USER-MARK", "safety_identifier": "SAFETY-MARK"}),
            &["USER-MARK", "SAFETY-MARK"],
        ),
        probe(
            "`include` of what a tool found",
            json!({"include": ["file_search_call.results"]}),
            &["file_search_call.results"],
        ),
        probe("unknown field of a function tool", json!({"tools": [odd]}), &["UNKNOWN-MARK"]),
        probe("unknown field of `text`", json!({"text": {"x_unknown": "UNKNOWN-MARK"}}), &["UNKNOWN-MARK"]),
    ]
}
