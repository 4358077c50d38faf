//! Times the scan of request bodies and prints nanoseconds per body.
//!
//! Owns no check: figures are for reading, a timed test would only measure the neighbours.

#![expect(
    clippy::disallowed_methods,
    reason = "an example that times needs a clock; the crate itself has none"
)]

use std::hint::black_box;
use std::time::Instant;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_wire::codec::PathParts;
use trunkline_wire::scan::envelope;

fn main() {
    let word = "The quick brown fox jumps over the lazy dog. ";
    let line = "The quick brown fox jumps over the lazy dog.\\n";
    let quoted = r#"The line that carries a call is chosen for each call, and \"why\" is written down.\n"#;
    let numbers = r"\u6f22\u5b57 and ";
    for (name, text, size) in [
        ("0.5 kB", word, 400),
        ("10 kB", word, 10_000),
        ("100 kB, one line", word, 100_000),
        ("100 kB, a line end every 45 bytes", line, 100_000),
        ("100 kB, three escapes in 84 bytes", quoted, 100_000),
        ("100 kB, escapes by number", numbers, 100_000),
        ("100 kB, not ASCII", "Übergrößenträger 漢字 ", 100_000),
    ] {
        let content = text.repeat(size / text.len());
        let body = format!(
            r#"{{"model":"gpt-4o-mini","messages":[{{"role":"system","content":"You are helpful."}},{{"role":"user","content":"{content}"}}],"temperature":0.7,"stream":true,"max_tokens":100}}"#
        );
        time(name, &body);
    }
    // Nearly all keys: what is done for each of them shows here and nowhere else.
    let turn = r#"{"role":"user","content":[{"type":"text","text":"Hello"}]},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"look","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_1","content":"fine"},"#;
    let tool = r#"{"type":"function","function":{"name":"look","description":"Looks","parameters":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"}},"required":["a"]}}},"#;
    let (turns, tools) = (turn.repeat(40), tool.repeat(20));
    let body = format!(
        r#"{{"model":"gpt-4o-mini","messages":[{}],"tools":[{}],"stream":true}}"#,
        turns.trim_end_matches(','),
        tools.trim_end_matches(',')
    );
    time("short turns and tools", &body);
}

fn time(name: &str, body: &str) {
    let path = PathParts::default();
    let rounds = (200_000_000 / body.len()).min(200_000);
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..rounds {
            let envelope = envelope(Dialect::OpenAi, Operation::Chat, black_box(body.as_bytes()), &path);
            black_box(envelope.is_ok());
        }
        best = best.min(start.elapsed().as_nanos() as f64 / rounds as f64);
    }
    println!("{name}: {} bytes, {best:.0} ns", body.len());
}
