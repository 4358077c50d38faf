//! Anthropic's messages.

use super::{Client, Probe, probe, quiet};
use serde_json::{Value, json};
use trunkline_model::dialect::Dialect;

pub(super) fn client() -> Client {
    Client {
        name: "Anthropic messages",
        dialect: Dialect::Anthropic,
        base: json!({"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "Hello"}]}),
        probes: [conversation(), media(), tools(), parameters(), corners()].into_iter().flatten().collect(),
    }
}

fn said(block: Value) -> Value {
    json!({"messages": [{"role": "user", "content": [block]}]})
}

fn tool() -> Value {
    json!({"name": "tool_mark", "description": "d", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}})
}

fn conversation() -> Vec<Probe> {
    let user = json!({"role": "user", "content": "Hello"});
    let answer = |block: Value| json!({"messages": [user, {"role": "assistant", "content": [block, {"type": "text", "text": "Hi"}]}, user]});
    vec![
        probe("`system`", json!({"system": "SYSTEM-MARK"}), &["SYSTEM-MARK"]),
        probe(
            "`system` with `cache_control`",
            json!({"system": [{"type": "text", "text": "SYSTEM-MARK", "cache_control": {"type": "ephemeral"}}]}),
            &["SYSTEM-MARK", "cache_control|cachePoint"],
        ),
        probe(
            "earlier answer",
            json!({"messages": [user, {"role": "assistant", "content": "EARLIER-MARK"}, user]}),
            &["EARLIER-MARK"],
        ),
        probe(
            "answer at the end (prefill)",
            json!({"messages": [user, {"role": "assistant", "content": "PREFILL-MARK"}]}),
            &["PREFILL-MARK"],
        ),
        probe(
            "`cache_control` of a block",
            said(json!({"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}})),
            &["cache_control|cachePoint"],
        ),
        probe(
            "`cache_control` of an hour",
            said(
                json!({"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral", "ttl": "1h"}}),
            ),
            &["1h"],
        ),
        probe(
            "earlier `thinking` with its signature",
            answer(json!({"type": "thinking", "thinking": "THOUGHT-MARK", "signature": "STATE-MARK"})),
            &["THOUGHT-MARK", "STATE-MARK"],
        ),
        probe(
            "earlier `redacted_thinking`",
            answer(json!({"type": "redacted_thinking", "data": "STATE-MARK"})),
            &["STATE-MARK"],
        ),
    ]
}

fn media() -> Vec<Probe> {
    let source = |kind: &str, name: &str, value: &str| json!({"type": kind, name: value});
    let picture = json!({"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="});
    let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjc="});
    let text = json!({"type": "text", "media_type": "text/plain", "data": "TEXT-MARK"});
    vec![
        probe(
            "picture by URL",
            said(json!({"type": "image", "source": source("url", "url", "https://files.example/a.png")})),
            &["https://files.example/a.png"],
        ),
        probe("picture as data", said(json!({"type": "image", "source": picture})), &["iVBORw0KGgo="]),
        probe(
            "picture by id",
            said(json!({"type": "image", "source": source("file", "file_id", "file_123")})),
            &["file_123"],
        ),
        probe(
            "document by URL",
            said(json!({"type": "document", "source": source("url", "url", "https://files.example/a.pdf")})),
            &["https://files.example/a.pdf"],
        ),
        probe("document as data", said(json!({"type": "document", "source": pdf})), &["JVBERi0xLjc="]),
        probe(
            "document as text",
            said(json!({"type": "document", "source": text})),
            &["TEXT-MARK|VEVYVC1NQVJL"],
        ),
        probe(
            "`title` of a document",
            said(json!({"type": "document", "source": pdf, "title": "TITLE-MARK"})),
            &["TITLE-MARK"],
        ),
        probe(
            "`context` of a document",
            said(json!({"type": "document", "source": pdf, "context": "CONTEXT-MARK"})),
            &["CONTEXT-MARK"],
        ),
        probe(
            "`citations` of a document",
            said(json!({"type": "document", "source": pdf, "citations": {"enabled": true}})),
            &["citations"],
        ),
        probe(
            "`search_result`",
            said(
                json!({"type": "search_result", "source": "https://a.example", "title": "t", "content": [{"type": "text", "text": "SEARCH-MARK"}]}),
            ),
            &["SEARCH-MARK"],
        ),
    ]
}

fn tools() -> Vec<Probe> {
    let user = json!({"role": "user", "content": "Hello"});
    let mut strict = tool();
    strict["strict"] = json!(true);
    let mut cached = tool();
    cached["cache_control"] = json!({"type": "ephemeral"});
    let mut example = tool();
    example["input_examples"] = json!([{"city": "EXAMPLE-MARK"}]);
    let choice = |choice: Value| json!({"tools": [tool()], "tool_choice": choice});
    let call = json!({"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "tool_mark", "input": {"city": "CITY-MARK"}}]});
    let result = |content: Value, is_error: bool| json!({"tools": [tool()], "messages": [user, call, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": content, "is_error": is_error}]}]});
    let picture = json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]);
    vec![
        probe("`tools`", json!({"tools": [tool()]}), &["tool_mark"]),
        probe("`strict` of a tool", json!({"tools": [strict]}), &["\"strict\":true|strict_tools"]),
        probe("`cache_control` of a tool", json!({"tools": [cached]}), &["cache_control|cachePoint"]),
        probe("`input_examples` of a tool", json!({"tools": [example]}), &["EXAMPLE-MARK"]),
        probe(
            "`web_search` tool",
            json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
            &["web_search_20250305"],
        ),
        probe("`tool_choice: any`", choice(json!({"type": "any"})), &["required|any|ANY|REQUIRED"]),
        probe("`tool_choice: none`", choice(json!({"type": "none"})), &["none|NONE"]),
        probe(
            "`tool_choice` of one tool",
            choice(json!({"type": "tool", "name": "tool_mark"})),
            &["tool_choice|toolChoice|toolConfig"],
        ),
        probe(
            "`disable_parallel_tool_use`",
            choice(json!({"type": "auto", "disable_parallel_tool_use": true})),
            &["parallel_tool_calls|disable_parallel_tool_use"],
        ),
        probe("tool call and its result", result(json!("RESULT-MARK"), false), &["CITY-MARK", "RESULT-MARK"]),
        probe("result with `is_error`", result(json!("RESULT-MARK"), true), &["RESULT-MARK", "rror"]),
        probe("picture in a result", result(picture, false), &["iVBORw0KGgo="]),
    ]
}

fn parameters() -> Vec<Probe> {
    let schema = json!({"type": "object", "properties": {"schema_mark": {"type": "string"}}, "required": ["schema_mark"], "additionalProperties": false});
    let one = |name: &str, value: Value| json!({name: value});
    vec![
        probe("`max_tokens`", one("max_tokens", json!(777)), &["777"]),
        probe("`temperature`", one("temperature", json!(0.37)), &["0.37"]),
        probe("`top_p`", one("top_p", json!(0.37)), &["0.37"]),
        probe("`top_k`", one("top_k", json!(37)), &["37"]),
        probe(
            "`stop_sequences`",
            one("stop_sequences", json!(["STOP-ONE", "STOP-TWO"])),
            &["STOP-ONE", "STOP-TWO"],
        ),
        probe(
            "`thinking: enabled`",
            one("thinking", json!({"type": "enabled", "budget_tokens": 2048})),
            &["2048|low|LOW|medium|enabled"],
        ),
        probe(
            "`thinking: adaptive`",
            one("thinking", json!({"type": "adaptive"})),
            &["adaptive|\"thinkingBudget\":-1|enabled"],
        ),
        probe(
            "`thinking.display: omitted`",
            one("thinking", json!({"type": "adaptive", "display": "omitted"})),
            &["omitted|includeThoughts\":false|\"include\""],
        ),
        quiet("`thinking: disabled`", one("thinking", json!({"type": "disabled"}))),
        probe(
            "`output_config.effort`",
            one("output_config", json!({"effort": "low"})),
            &["low|LOW|budget|Budget"],
        ),
        probe(
            "`output_config.format`",
            one("output_config", json!({"format": {"type": "json_schema", "schema": schema}})),
            &["schema_mark"],
        ),
        probe("`metadata.user_id`", one("metadata", json!({"user_id": "USER-MARK"})), &["USER-MARK"]),
        probe("`service_tier`", one("service_tier", json!("standard_only")), &["standard_only"]),
        probe("`container`", one("container", json!("CONTAINER-MARK")), &["CONTAINER-MARK"]),
        probe(
            "`context_management`",
            one("context_management", json!({"edits": [{"type": "clear_tool_uses_20250919"}]})),
            &["clear_tool_uses_20250919"],
        ),
        probe(
            "`mcp_servers`",
            one("mcp_servers", json!([{"type": "url", "url": "https://mcp.example", "name": "MCP-MARK"}])),
            &["MCP-MARK"],
        ),
        probe("unknown parameter", one("x_unknown", json!("UNKNOWN-MARK")), &["UNKNOWN-MARK"]),
        probe(
            "unknown field of a file",
            json!({"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK", "x_unknown": "UNKNOWN-MARK"}}]}]}),
            &["UNKNOWN-MARK"],
        ),
    ]
}

/// What does nothing by itself, and what nobody knows.
fn corners() -> Vec<Probe> {
    let mut odd = tool();
    odd["x_unknown"] = json!("UNKNOWN-MARK");
    vec![
        probe("`tool_choice` without tools", json!({"tool_choice": {"type": "any"}}), &["tool_choice"]),
        probe("unknown field of a tool", json!({"tools": [odd]}), &["UNKNOWN-MARK"]),
        probe(
            "unknown field of `tool_choice`",
            json!({"tools": [tool()], "tool_choice": {"type": "auto", "x_unknown": "UNKNOWN-MARK"}}),
            &["UNKNOWN-MARK"],
        ),
        probe(
            "unknown field of `thinking`",
            json!({"thinking": {"type": "disabled", "x_unknown": "UNKNOWN-MARK"}}),
            &["UNKNOWN-MARK"],
        ),
    ]
}
