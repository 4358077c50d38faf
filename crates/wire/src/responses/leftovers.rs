//! What a client says of an item under names that have no canonical form.
//!
//! Owns the lists of the names that are read. Must not look at what the assistant said: those items are of answers that are over, and
//! the gateway itself puts them back. Each leftover is kept as an extra under its path, so that no encoder can lose it without a
//! warning.

use super::request_decode::extra;
use crate::scan::tree::{Node, Value};
use trunkline_model::dialect::Dialect;
use trunkline_model::request::Extra;

const MESSAGE: &[&str] = &["type", "role", "content", "id", "status"];
const OUTPUT: &[&str] = &["type", "call_id", "output", "id", "status"];
const PART: &[&str] = &[
    "type",
    "text",
    "refusal",
    "image_url",
    "file_id",
    "detail",
    "input_audio",
    "file_data",
    "file_url",
    "filename",
    "annotations",
    "logprobs",
];
const AUDIO: &[&str] = &["data", "format"];
/// Parts with another type are kept whole.
const PARTS: &[&str] = &["input_text", "text", "input_image", "input_file", "input_audio"];
/// Most extras of a request: by then it has been said often enough that something is left out.
const MOST: usize = 64;

/// Collects the leftovers of a list of items.
pub(super) fn of_items(input: &Node<'_>, extras: &mut Vec<Extra>) {
    for (index, item) in elements(input).iter().enumerate() {
        let text = |name| item.field(name).and_then(Node::as_text);
        let place = || format!("input[{index}]");
        match text("type") {
            None | Some("message") if text("role").is_some_and(|role| role != "assistant") => {
                collect(item, MESSAGE, &place, extras);
                of_parts(item.field("content"), &|| format!("{}.content", place()), extras);
            }
            Some("function_call_output" | "custom_tool_call_output") => {
                collect(item, OUTPUT, &place, extras);
                of_parts(item.field("output"), &|| format!("{}.output", place()), extras);
            }
            _ => {}
        }
    }
}

fn of_parts(parts: Option<&Node<'_>>, place: &dyn Fn() -> String, extras: &mut Vec<Extra>) {
    for (index, part) in parts.map(elements).unwrap_or_default().iter().enumerate() {
        let kind = part.field("type").and_then(Node::as_text);
        let place = || format!("{}[{index}]", place());
        if kind.is_some_and(|kind| PARTS.contains(&kind)) {
            collect(part, PART, &place, extras);
        }
        if let Some(audio) = part.field("input_audio").filter(|_| kind == Some("input_audio")) {
            collect(audio, AUDIO, &|| format!("{}.input_audio", place()), extras);
        }
    }
}

fn elements<'n, 'a>(node: &'n Node<'a>) -> &'n [Node<'a>] {
    match &node.value {
        Value::Array(elements) => elements,
        _ => &[],
    }
}

/// The place is written only where there is something to tell: there hardly ever is, and a conversation has many places.
fn collect(node: &Node<'_>, known: &[&str], place: &dyn Fn() -> String, extras: &mut Vec<Extra>) {
    for (name, value) in node.fields() {
        let says_something = !matches!(value.raw, "null" | "[]" | "{}" | "\"\"");
        if extras.len() < MOST && !known.contains(&name) && says_something {
            extras.push(extra(Dialect::Responses, format!("{}.{name}", place()), value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::tree::parse_text;

    #[test]
    fn what_a_client_says_and_nobody_reads_is_kept_under_its_path() {
        let items = r#"[
            {"role":"user","content":"a","zap":1},
            {"type":"message","role":"user","content":[{"type":"input_text","text":"b","zip":2},{"type":"sparkle","zip":2},
                {"type":"input_audio","input_audio":{"data":"","format":"wav","zap":1}}]},
            {"type":"message","role":"assistant","id":"m","phase":"final","content":[{"type":"output_text","text":"c","zip":2}]},
            {"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"d","zip":null}],"zap":1},
            {"type":"something_else","zap":1}
        ]"#;
        let mut extras = Vec::new();
        of_items(&parse_text(items, &[]).unwrap(), &mut extras);
        let names: Vec<&str> = extras.iter().map(|extra| extra.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "input[0].zap",
                "input[1].content[0].zip",
                "input[1].content[2].input_audio.zap",
                "input[3].zap"
            ]
        );
    }
}
