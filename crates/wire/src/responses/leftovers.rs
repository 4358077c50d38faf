//! What a client says of an item under names that have no canonical form.
//!
//! Owns the lists of the names that are read. Must not look at what the assistant said: those items are of answers that are over, and
//! the gateway itself puts them back. Each leftover is kept as an extra under its path, so that no encoder can lose it without a
//! warning.

use crate::leftovers::{self, Known, elements};
use crate::scan::tree::Node;
use trunkline_model::dialect::Dialect;
use trunkline_model::request::Extra;

const MESSAGE: Known = Known::flat(&["type", "role", "content", "id", "status"]);
const OUTPUT: Known = Known::flat(&["type", "call_id", "output", "id", "status", "name"]);
const PART: Known = Known {
    names: &[
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
    ],
    inside: &[("input_audio", Known::flat(&["data", "format"]))],
};
/// Parts with another type are kept whole.
const PARTS: &[&str] = &["input_text", "text", "input_image", "input_file", "input_audio"];
const FUNCTION: Known = Known::flat(&["type", "name", "description", "parameters", "strict"]);
/// The format is kept whole.
const CUSTOM: Known = Known::flat(&["type", "name", "description", "format"]);
/// Parameters that are objects.
const PARAMETERS: &[(&str, Known)] = &[
    (
        "tool_choice",
        Known {
            names: &["type", "name", "mode", "tools"],
            inside: &[("tools", Known::flat(&["type", "name"]))],
        },
    ),
    (
        "text",
        Known {
            names: &["format", "verbosity"],
            inside: &[("format", Known::flat(&["type", "name", "description", "schema", "strict"]))],
        },
    ),
    ("stream_options", Known::flat(&[])),
];

/// Collects the leftovers of a list of items, which is under that name.
pub(super) fn of_items(name: &str, items: &Node<'_>, extras: &mut Vec<Extra>) {
    for (index, item) in elements(items).iter().enumerate() {
        let text = |name| item.field(name).and_then(Node::as_text);
        let place = || format!("{name}[{index}]");
        match text("type") {
            None | Some("message") if text("role").is_some_and(|role| role != "assistant") => {
                collect(item, &MESSAGE, &place, extras);
                of_parts(item.field("content"), &|| format!("{}.content", place()), extras);
            }
            Some("function_call_output" | "custom_tool_call_output") => {
                collect(item, &OUTPUT, &place, extras);
                of_parts(item.field("output"), &|| format!("{}.output", place()), extras);
            }
            _ => {}
        }
    }
}

fn of_parts(parts: Option<&Node<'_>>, place: &dyn Fn() -> String, extras: &mut Vec<Extra>) {
    for (index, part) in parts.map(elements).unwrap_or_default().iter().enumerate() {
        let kind = part.field("type").and_then(Node::as_text);
        if kind.is_some_and(|kind| PARTS.contains(&kind)) {
            collect(part, &PART, &|| format!("{}[{index}]", place()), extras);
        }
    }
}

/// Collects the leftovers of a tool. Those that a provider runs itself are kept whole.
pub(super) fn of_tool(tool: &Node<'_>, index: usize, extras: &mut Vec<Extra>) {
    let known = match tool.field("type").and_then(Node::as_text) {
        Some("function") => &FUNCTION,
        Some("custom") => &CUSTOM,
        _ => return,
    };
    collect(tool, known, &|| format!("tools[{index}]"), extras);
}

/// Collects the leftovers of a parameter that is an object. One that was kept whole has none.
pub(super) fn of_parameter(name: &str, node: &Node<'_>, extras: &mut Vec<Extra>) {
    let Some((_, known)) = PARAMETERS.iter().find(|(held, _)| *held == name) else { return };
    if extras.last().is_some_and(|kept| kept.name == name) {
        return;
    }
    let first = extras.len();
    collect(node, known, &|| name.to_owned(), extras);
    // No stream of ours is padded against those who watch its length, which is all that a no asks for.
    let is_done =
        |extra: &Extra| extra.name == "stream_options.include_obfuscation" && extra.value.text() == "false";
    if let Some(done) = extras[first..].iter().position(is_done) {
        extras.remove(first + done);
    }
}

fn collect(node: &Node<'_>, known: &Known, place: &dyn Fn() -> String, extras: &mut Vec<Extra>) {
    leftovers::collect(Dialect::Responses, node, known, place, extras);
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
        of_items("input", &parse_text(items, &[]).unwrap(), &mut extras);
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

    #[test]
    fn what_tools_and_parameters_say_besides_is_kept_under_its_path() {
        let mut extras = Vec::new();
        let tools = r#"[{"type":"function","name":"f","parameters":{"zap":1},"strict":true,"zap":1},
            {"type":"custom","name":"c","format":{"type":"grammar","zap":1},"zip":2},{"type":"web_search","zap":1}]"#;
        for (index, tool) in elements(&parse_text(tools, &["parameters"]).unwrap()).iter().enumerate() {
            of_tool(tool, index, &mut extras);
        }
        let parameters = r#"{"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"mcp","server_label":"s"}],"zap":1},
            "text":{"format":{"type":"json_schema","schema":{"zap":1},"zap":1},"zip":2},
            "stream_options":{"include_obfuscation":false},"user":{"zap":1}}"#;
        for (name, node) in parse_text(parameters, &["schema"]).unwrap().fields() {
            of_parameter(name, node, &mut extras);
        }
        let names: Vec<&str> = extras.iter().map(|extra| extra.name.as_str()).collect();
        let expected = [
            "tools[0].zap",
            "tools[1].zip",
            "tool_choice.tools[0].server_label",
            "tool_choice.zap",
            "text.format.zap",
            "text.zip",
        ];
        assert_eq!(names, expected);
    }
}
