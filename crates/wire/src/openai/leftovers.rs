//! What messages, parts and tools say under names that have no canonical form.
//!
//! Owns the lists of the names that are read. Must not judge the values. Each leftover is kept as an extra under its path, so that no
//! encoder can lose it without a warning. What is empty says nothing, and neither does what tells of an answer that is over:
//! clients put whole answers back into the conversation.

use super::request_decode::extra;
use crate::scan::tree::{Node, Value};
use trunkline_model::request::Extra;

const MESSAGE: &[&str] = &[
    "role",
    "content",
    "name",
    "cache_control",
    "tool_calls",
    "tool_call_id",
    "function_call",
    "refusal",
    "reasoning_content",
    "reasoning",
    "thinking_blocks",
    "extra_content",
    // Of an answer that is over.
    "annotations",
    "citations",
    "id",
    "index",
    "provider_specific_fields",
];
/// Parts with another type are kept whole.
const PARTS: &[&str] = &[
    "text",
    "input_text",
    "output_text",
    "image_url",
    "video_url",
    "input_audio",
    "file",
    "refusal",
    "thinking",
    "redacted_thinking",
];
const PART: &[&str] = &[
    "type",
    "text",
    "image_url",
    "video_url",
    "detail",
    "input_audio",
    "file",
    "refusal",
    "thinking",
    "signature",
    "data",
    "cache_control",
    "annotations",
    "id",
    "index",
];
const TOOL: &[&str] = &["type", "function", "cache_control"];
const FUNCTION: &[&str] = &["name", "description", "parameters", "strict", "cache_control"];

/// Most extras of a request: by then it has been said often enough that something is left out.
const MOST: usize = 64;

/// Collects the leftovers of a list of messages.
pub(super) fn of_messages(messages: &Node<'_>, extras: &mut Vec<Extra>) {
    for (index, message) in elements(messages).iter().enumerate() {
        let place = || format!("messages[{index}]");
        collect(message, MESSAGE, &place, extras);
        let Some(content) = message.field("content") else { continue };
        for (part_index, part) in elements(content).iter().enumerate() {
            let kind = part.field("type").and_then(Node::as_text);
            if kind.is_some_and(|kind| PARTS.contains(&kind)) {
                collect(part, PART, &|| format!("messages[{index}].content[{part_index}]"), extras);
            }
        }
    }
}

/// Collects the leftovers of a list of tools. Those that a provider runs itself are kept whole.
pub(super) fn of_tools(tools: &Node<'_>, extras: &mut Vec<Extra>) {
    for (index, tool) in elements(tools).iter().enumerate() {
        let Some(function) = tool.field("function") else { continue };
        collect(tool, TOOL, &|| format!("tools[{index}]"), extras);
        collect(function, FUNCTION, &|| format!("tools[{index}].function"), extras);
    }
}

/// Whether an extra is one of these: there is no place at the top of a body for it.
pub(super) fn is_nested(extra: &Extra) -> bool {
    extra.name.contains(['[', '.'])
}

fn elements<'n, 'a>(node: &'n Node<'a>) -> &'n [Node<'a>] {
    match &node.value {
        Value::Array(elements) => elements,
        _ => &[],
    }
}

fn collect(node: &Node<'_>, known: &[&str], place: &dyn Fn() -> String, extras: &mut Vec<Extra>) {
    for (name, value) in node.fields() {
        if extras.len() < MOST && !known.contains(&name) && says_something(value) {
            extras.push(extra(&format!("{}.{name}", place()), value));
        }
    }
}

fn says_something(node: &Node<'_>) -> bool {
    !matches!(node.raw, "null" | "[]" | "{}" | "\"\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::tree::parse_text;

    fn names(json: &str, collect: fn(&Node<'_>, &mut Vec<Extra>)) -> Vec<String> {
        let mut extras = Vec::new();
        collect(&parse_text(json, &[]).unwrap(), &mut extras);
        assert!(extras.iter().all(is_nested));
        extras.into_iter().map(|extra| extra.name).collect()
    }

    #[test]
    fn what_nobody_reads_is_kept_under_its_path() {
        let messages = r#"[
            {"role":"user","content":"a","zap":1},
            {"role":"assistant","content":null,"audio":{"id":"x"},"refusal":null,"tool_calls":[]},
            {"role":"user","content":[{"type":"text","text":"b","zip":true},{"type":"sparkle","zip":true}]}
        ]"#;
        let found = names(messages, of_messages);
        assert_eq!(found, ["messages[0].zap", "messages[1].audio", "messages[2].content[0].zip"]);
        let tools = r#"[
            {"type":"function","function":{"name":"f","parameters":{"zap":1},"zip":2},"zap":3},
            {"type":"web_search","zap":1}
        ]"#;
        assert_eq!(names(tools, of_tools), ["tools[0].zap", "tools[0].function.zip"]);
    }

    #[test]
    fn an_answer_put_back_leaves_nothing_over() {
        let messages = r#"[{"role":"assistant","content":"a","refusal":null,"annotations":[{"type":"url_citation"}],
            "audio":null,"function_call":null,"tool_calls":null,"images":[],"reasoning_content":"b"}]"#;
        assert_eq!(names(messages, of_messages), [""; 0]);
    }
}
