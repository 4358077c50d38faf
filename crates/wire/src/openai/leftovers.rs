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
    "parsed",
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
/// Parts that hold an object under the name of their type, and what is read of it.
const HELD: &[(&str, &[&str])] = &[
    ("image_url", &["url", "detail"]),
    ("video_url", &["url"]),
    ("input_audio", &["data", "format"]),
    ("file", &["file_data", "file_id", "filename"]),
];
const CALL: &[&str] = &[
    "type",
    "id",
    "function",
    "extra_content",
    // Of an answer that is over.
    "index",
    "provider_specific_fields",
];
/// The last is what an official client makes of the arguments.
const CALLED: &[&str] = &["name", "arguments", "parsed_arguments"];
const TOOL: &[&str] = &["type", "function", "cache_control"];
const FUNCTION: &[&str] = &["name", "description", "parameters", "strict", "cache_control"];

/// Most extras of a request: by then it has been said often enough that something is left out.
const MOST: usize = 64;

/// Collects the leftovers of a list of messages.
pub(super) fn of_messages(messages: &Node<'_>, extras: &mut Vec<Extra>) {
    for (index, message) in elements(messages).iter().enumerate() {
        let place = || format!("messages[{index}]");
        collect(message, MESSAGE, &place, extras);
        of_calls(message, index, extras);
        let Some(content) = message.field("content") else { continue };
        for (part_index, part) in elements(content).iter().enumerate() {
            let kind = part.field("type").and_then(Node::as_text);
            let Some(kind) = kind.filter(|kind| PARTS.contains(kind)) else { continue };
            let place = || format!("messages[{index}].content[{part_index}]");
            collect(part, PART, &place, extras);
            for (held, known) in HELD.iter().filter(|(held, _)| *held == kind) {
                let Some(value) = part.field(held) else { continue };
                collect(value, known, &|| format!("{}.{held}", place()), extras);
            }
        }
    }
}

/// Calls of another type than functions are kept whole.
fn of_calls(message: &Node<'_>, index: usize, extras: &mut Vec<Extra>) {
    for (position, call) in message.field("tool_calls").map(elements).unwrap_or_default().iter().enumerate() {
        let place = || format!("messages[{index}].tool_calls[{position}]");
        if call.field("type").and_then(Node::as_text).is_some_and(|kind| kind != "function") {
            continue;
        }
        collect(call, CALL, &place, extras);
        if let Some(function) = call.field("function") {
            collect(function, CALLED, &|| format!("{}.function", place()), extras);
        }
    }
    if let Some(call) = message.field("function_call") {
        collect(call, CALLED, &|| format!("messages[{index}].function_call"), extras);
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
    fn what_calls_and_files_say_besides_is_kept_under_its_path() {
        let messages = r#"[
            {"role":"user","content":[
                {"type":"image_url","image_url":{"url":"u","detail":"low","zap":1}},
                {"type":"image_url","image_url":"u"},
                {"type":"video_url","video_url":{"url":"u","detail":"low"}},
                {"type":"input_audio","input_audio":{"data":"","format":"wav","zap":null,"zip":[1]}},
                {"type":"file","file":{"file_data":"","file_id":"f","filename":"n","format":"pdf"}},
                {"type":"sparkle","file":{"zap":1}}
            ]},
            {"role":"assistant","tool_calls":[
                {"id":"a","type":"function","function":{"name":"f","arguments":"{\"zap\":1}","zap":1},"zip":2},
                {"id":"b","function":{"name":"f","arguments":{"zap":1}},"zip":{}},
                {"id":"c","type":"custom","custom":{"name":"f","input":"i","zap":1},"zip":2}
            ]},
            {"role":"assistant","function_call":{"name":"f","arguments":"","zap":1}}
        ]"#;
        let expected = [
            "messages[0].content[0].image_url.zap",
            "messages[0].content[2].video_url.detail",
            "messages[0].content[3].input_audio.zip",
            "messages[0].content[4].file.format",
            "messages[1].tool_calls[0].zip",
            "messages[1].tool_calls[0].function.zap",
            "messages[2].function_call.zap",
        ];
        assert_eq!(names(messages, of_messages), expected);
    }

    #[test]
    fn an_answer_put_back_leaves_nothing_over() {
        let messages = r#"[{"role":"assistant","content":"a","refusal":null,"annotations":[{"type":"url_citation"}],
            "audio":null,"function_call":null,"tool_calls":null,"images":[],"reasoning_content":"b"},
            {"role":"assistant","parsed":{"a":1},"tool_calls":[{"index":0,"id":"a","type":"function","provider_specific_fields":{"a":1},
                "extra_content":{"google":{"thought_signature":"s"}},
                "function":{"name":"f","arguments":"{}","parsed_arguments":{"a":1}}}]}]"#;
        assert_eq!(names(messages, of_messages), [""; 0]);
    }
}
