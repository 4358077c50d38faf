//! What messages, parts and tools say under names that have no canonical form.
//!
//! Owns the lists of the names that are read. Must not judge the values. Each leftover is kept as an extra under its path, so that no
//! encoder can lose it without a warning. What is empty says nothing, and neither does what tells of an answer that is over:
//! clients put whole answers back into the conversation.

use crate::leftovers::{CACHE_MARK, Known, collect, each, elements};
use crate::scan::tree::Node;
use trunkline_model::dialect::Dialect;
use trunkline_model::request::Extra;

const MESSAGE_NAMES: &[&str] = &[
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
const MESSAGE: Known = Known {
    names: MESSAGE_NAMES,
    inside: &[
        ("cache_control", CACHE_MARK),
        ("thinking_blocks", Known::flat(&["type", "thinking", "signature", "data", "index"])),
        ("extra_content", SIGNED),
    ],
};
/// State that a provider wants back.
const SIGNED: Known =
    Known { names: &["google"], inside: &[("google", Known::flat(&["thought_signature"]))] };
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
const PART: Known = Known {
    names: &[
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
    ],
    // Most hold an object under the name of their type.
    inside: &[
        ("image_url", Known::flat(&["url", "detail"])),
        ("video_url", Known::flat(&["url"])),
        ("input_audio", Known::flat(&["data", "format"])),
        ("file", Known::flat(&["file_data", "file_id", "filename"])),
        ("cache_control", CACHE_MARK),
    ],
};
const CALL: Known = Known {
    names: &[
        "type",
        "id",
        "function",
        "extra_content",
        // Of an answer that is over.
        "index",
        "provider_specific_fields",
    ],
    inside: &[("function", CALLED), ("extra_content", SIGNED)],
};
/// The last is what an official client makes of the arguments.
const CALLED: Known = Known::flat(&["name", "arguments", "parsed_arguments"]);
const TOOL: Known = Known {
    names: &["type", "function", "cache_control"],
    inside: &[("function", FUNCTION), ("cache_control", CACHE_MARK)],
};
const FUNCTION: Known = Known {
    names: &["name", "description", "parameters", "strict", "cache_control"],
    inside: &[("cache_control", CACHE_MARK)],
};
const NAMED: Known = Known::flat(&["name"]);
/// A tool that is named, in either form.
const TOOL_NAMED: Known = Known { names: &["type", "name", "function"], inside: &[("function", NAMED)] };
const ALLOWED: Known = Known { names: &["mode", "tools"], inside: &[("tools", TOOL_NAMED)] };
/// Parameters that are objects.
const PARAMETERS: &[(&str, Known)] = &[
    ("functions", FUNCTION),
    ("function_call", TOOL_NAMED),
    (
        "tool_choice",
        Known {
            names: &["type", "name", "function", "allowed_tools", "mode", "tools"],
            inside: &[("function", NAMED), ("allowed_tools", ALLOWED), ("tools", TOOL_NAMED)],
        },
    ),
    (
        "response_format",
        Known {
            names: &["type", "json_schema"],
            inside: &[("json_schema", Known::flat(&["name", "description", "schema", "strict"]))],
        },
    ),
    ("reasoning", REASONING),
    ("thinking", REASONING),
    ("stream_options", Known::flat(&["include_usage"])),
];
const REASONING: Known =
    Known::flat(&["effort", "max_tokens", "budget_tokens", "type", "enabled", "exclude"]);

/// Collects the leftovers of a list of messages.
pub(super) fn of_messages(messages: &Node<'_>, extras: &mut Vec<Extra>) {
    for (index, message) in elements(messages).iter().enumerate() {
        let place = || format!("messages[{index}]");
        collect(Dialect::OpenAi, message, &MESSAGE, &place, extras);
        of_calls(message, index, extras);
        let Some(content) = message.field("content") else { continue };
        for (part_index, part) in elements(content).iter().enumerate() {
            let kind = part.field("type").and_then(Node::as_text);
            if kind.is_some_and(|kind| PARTS.contains(&kind)) {
                let place = || format!("messages[{index}].content[{part_index}]");
                collect(Dialect::OpenAi, part, &PART, &place, extras);
            }
        }
    }
}

/// Calls of another type than functions are kept whole.
fn of_calls(message: &Node<'_>, index: usize, extras: &mut Vec<Extra>) {
    for (position, call) in message.field("tool_calls").map(elements).unwrap_or_default().iter().enumerate() {
        if call.field("type").and_then(Node::as_text).is_none_or(|kind| kind == "function") {
            let place = || format!("messages[{index}].tool_calls[{position}]");
            collect(Dialect::OpenAi, call, &CALL, &place, extras);
        }
    }
    if let Some(call) = message.field("function_call") {
        collect(Dialect::OpenAi, call, &CALLED, &|| format!("messages[{index}].function_call"), extras);
    }
}

/// Collects the leftovers of a list of tools. Those that a provider runs itself are kept whole.
pub(super) fn of_tools(tools: &Node<'_>, extras: &mut Vec<Extra>) {
    for (index, tool) in elements(tools).iter().enumerate() {
        if tool.field("function").is_some() {
            collect(Dialect::OpenAi, tool, &TOOL, &|| format!("tools[{index}]"), extras);
        }
    }
}

/// Collects the leftovers of a parameter that is an object, or a list of them. One that was kept whole has none.
pub(crate) fn of_parameter(name: &str, node: &Node<'_>, extras: &mut Vec<Extra>) {
    let Some((_, known)) = PARAMETERS.iter().find(|(held, _)| *held == name) else { return };
    if extras.last().is_some_and(|kept| kept.name == name) {
        return;
    }
    let first = extras.len();
    each(Dialect::OpenAi, node, known, &|| name.to_owned(), extras);
    // No stream of ours is padded against those who watch its length, which is all that a no asks for.
    let is_done =
        |extra: &Extra| extra.name == "stream_options.include_obfuscation" && extra.value.text() == "false";
    if let Some(done) = extras[first..].iter().position(is_done) {
        extras.remove(first + done);
    }
}

/// Whether an extra is one of these: there is no place at the top of a body for it.
pub(super) fn is_nested(extra: &Extra) -> bool {
    extra.name.contains(['[', '.'])
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
        assert_eq!(names(tools, of_tools), ["tools[0].function.zip", "tools[0].zap"]);
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
            "messages[1].tool_calls[0].function.zap",
            "messages[1].tool_calls[0].zip",
            "messages[2].function_call.zap",
        ];
        assert_eq!(names(messages, of_messages), expected);
    }

    #[test]
    fn what_marks_and_state_say_besides_is_kept_under_its_path() {
        let messages = r#"[{"role":"assistant","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","zap":1}}],
            "thinking_blocks":[{"type":"thinking","thinking":"a","signature":"s"},{"type":"thinking","thinking":"a","zap":1}],
            "extra_content":{"google":{"thought_signature":"s","zap":1},"zip":2},"cache_control":{"ttl":"1h","zap":1}}]"#;
        let expected = [
            "messages[0].thinking_blocks[1].zap",
            "messages[0].extra_content.google.zap",
            "messages[0].extra_content.zip",
            "messages[0].cache_control.zap",
            "messages[0].content[0].cache_control.zap",
        ];
        assert_eq!(names(messages, of_messages), expected);
    }

    #[test]
    fn what_parameters_say_besides_is_kept_under_its_path() {
        let told = |name: &str, json: &str| {
            let mut extras = Vec::new();
            of_parameter(name, &parse_text(json, &["parameters", "schema"]).unwrap(), &mut extras);
            let names: Vec<String> = extras.into_iter().map(|extra| extra.name).collect();
            names.join(" ")
        };
        let lines = [
            told("functions", r#"[{"name":"f","parameters":{"zap":1}},{"name":"g","zap":1}]"#),
            told("tool_choice", r#"{"type":"function","function":{"name":"f","zap":1},"zip":2}"#),
            told(
                "tool_choice",
                r#"{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"},"zap":1}],"zip":2}}"#,
            ),
            told("tool_choice", r#""auto""#),
            told("function_call", r#"{"name":"f","zap":1}"#),
            told(
                "response_format",
                r#"{"type":"json_schema","json_schema":{"name":"n","schema":{"zap":1},"zap":1},"zip":2}"#,
            ),
            told("reasoning", r#"{"effort":"low","exclude":true,"zap":1}"#),
            told("stream_options", r#"{"include_usage":true,"include_obfuscation":false}"#),
            told("stream_options", r#"{"include_obfuscation":true,"zap":1}"#),
            told("user", r#"{"zap":1}"#),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        functions[1].zap
        tool_choice.function.zap tool_choice.zip
        tool_choice.allowed_tools.tools[0].zap tool_choice.allowed_tools.zip

        function_call.zap
        response_format.json_schema.zap response_format.zip
        reasoning.zap

        stream_options.include_obfuscation stream_options.zap

        ");
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
