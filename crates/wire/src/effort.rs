//! Another depth of reasoning than the body asks for, where the body otherwise passes.
//!
//! Owns carrying an effort into a body by place. Must not know how a dialect asks for reasoning, nor what a target can do: the
//! dialect's own encoder writes the same request with the new effort, and only the places where reasoning stands are taken over
//! from that. Everything else of the body stays as it came, byte for byte.

use crate::codec::{EncodeError, Envelope, Profile};
use crate::dispatch;
use crate::scan::tree::{Node, Value, parse};
use crate::splice::{Edits, json_string};
use bytes::Bytes;
use trunkline_model::dialect::{Delivery, Dialect};
use trunkline_model::request::{ChatRequest, Effort, Reasoning, Request};
use trunkline_model::warning::Warning;

/// Where a dialect asks for reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningPlace {
    /// A top-level field, set or removed.
    Field(&'static str),
    /// A field inside a top-level object; both under every name they are known by, the one to write first.
    Inside {
        /// Names of the object.
        object: &'static [&'static str],
        /// Names of the field.
        field: &'static [&'static str],
    },
    /// A top-level field that some depths of reasoning rule out: removed where the encoder leaves it out, never set.
    Yields(&'static str),
}

/// Sets how deeply a conversation asks to reason. What it says of showing the reasoning stays.
pub fn set_effort(chat: &mut ChatRequest, effort: Effort) {
    let visibility = chat.reasoning.as_ref().map(|reasoning| reasoning.visibility).unwrap_or_default();
    chat.reasoning = Some(Reasoning { effort: Some(effort), visibility, ..Reasoning::default() });
}

/// The changes that make a body ask a target of its own dialect for this effort. `chat` is what the body says. The warnings are
/// about reasoning alone: the target may reason in other steps, or not at all.
///
/// # Errors
/// The request contradicts itself with this effort (a forced tool where reasoning allows none).
pub fn effort_edits(
    (dialect, delivery): (Dialect, Delivery),
    (envelope, body): (&Envelope, &[u8]),
    chat: &ChatRequest,
    effort: Effort,
    profile: &Profile,
) -> Result<Edits, EncodeError> {
    let encode = |chat: ChatRequest| {
        dispatch::encode_request(dialect, &Request::Chat(Box::new(chat)), profile, delivery)
    };
    let before = encode(chat.clone())?;
    let mut wanted = chat.clone();
    set_effort(&mut wanted, effort);
    let after = encode(wanted)?;
    // What is said of the request as it came is said of it elsewhere.
    let said_anew = |warning: &Warning| !before.warnings.contains(warning);
    let warnings = after.warnings.iter().filter(|warning| said_anew(warning)).cloned().collect();
    let mut edits = Edits { edits: Vec::new(), warnings };
    let whole = after.whole();
    let Ok(to) = parse(&whole, &[]) else { return Ok(edits) };
    for place in dispatch::reasoning_places(dialect) {
        match place {
            ReasoningPlace::Field(name) => set(&mut edits, envelope, body, name, to.field(name)),
            ReasoningPlace::Yields(name) => {
                // Also where the body asked for reasoning itself: the provider would have refused the two together.
                if to.field(name).is_none() && edits.remove(envelope, body, name) {
                    let why = after.warnings.iter().find(|warning| warning.feature == *name);
                    if let Some(why) = why.filter(|why| !edits.warnings.contains(why)) {
                        edits.warnings.push(why.clone());
                    }
                }
            }
            ReasoningPlace::Inside { object, field } => {
                let value = object.iter().find_map(|object| {
                    let object = to.field(object)?;
                    field.iter().find_map(|name| object.field(name))
                });
                set_inside(&mut edits, (envelope, body), object, field, value);
            }
        }
    }
    Ok(edits)
}

fn set(edits: &mut Edits, envelope: &Envelope, body: &[u8], name: &str, value: Option<&Node<'_>>) {
    match value {
        Some(value) if is_same(field_of(envelope, body, name), value) => {}
        Some(value) => edits.set(envelope, body, name, Bytes::copy_from_slice(value.raw.as_bytes())),
        None => {
            edits.remove(envelope, body, name);
        }
    }
}

fn set_inside(
    edits: &mut Edits,
    (envelope, body): (&Envelope, &[u8]),
    object: &[&str],
    field: &[&str],
    value: Option<&Node<'_>>,
) {
    let written = object.iter().find(|name| field_of(envelope, body, name).is_some());
    let name = written.copied().unwrap_or(object[0]);
    let given = written.and_then(|name| field_of(envelope, body, name)).unwrap_or("null");
    let Ok(given) = parse(given.as_bytes(), &[]) else { return };
    let fields: &[_] = match &given.value {
        Value::Object(fields) => fields,
        _ => &[],
    };
    let is_ours = |name: &str| field.contains(&name);
    let ours: Vec<&Node<'_>> =
        fields.iter().filter(|(name, _)| is_ours(name)).map(|(_, node)| node).collect();
    match value {
        None if ours.is_empty() => return,
        Some(value) if ours.len() == 1 && is_same(Some(ours[0].raw), value) => return,
        _ => {}
    }
    let mut rebuilt = Vec::with_capacity(given.raw.len() + 64);
    let mut add = |name: &str, value: &str| {
        rebuilt.push(if rebuilt.is_empty() { b'{' } else { b',' });
        rebuilt.extend_from_slice(&json_string(name));
        rebuilt.push(b':');
        rebuilt.extend_from_slice(value.as_bytes());
    };
    fields.iter().filter(|(name, _)| !is_ours(name)).for_each(|(name, node)| add(name, node.raw));
    if let Some(value) = value {
        add(field[0], value.raw);
    }
    if rebuilt.is_empty() {
        edits.remove(envelope, body, name);
    } else {
        rebuilt.push(b'}');
        edits.set(envelope, body, name, rebuilt);
    }
}

/// The text of a top-level field.
fn field_of<'b>(envelope: &Envelope, body: &'b [u8], name: &str) -> Option<&'b str> {
    let range = envelope.field(body, name)?.value.clone();
    std::str::from_utf8(body.get(range)?).ok()
}

/// The same value, however it is written.
fn is_same(given: Option<&str>, value: &Node<'_>) -> bool {
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    given.and_then(read).is_some_and(|given| Some(given) == read(value.raw))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{PathParts, ReasoningStyle};
    use crate::splice::join_rope;
    use trunkline_model::dialect::Operation;

    const EFFORTS: [Effort; 7] = [
        Effort::None,
        Effort::Minimal,
        Effort::Low,
        Effort::Medium,
        Effort::High,
        Effort::ExtraHigh,
        Effort::Max,
    ];

    fn path() -> PathParts {
        PathParts { model: Some("m".into()), delivery: Some(Delivery::Plain) }
    }

    fn changed(dialect: Dialect, text: &str, effort: Effort, style: ReasoningStyle) -> (String, String) {
        let body = Bytes::copy_from_slice(text.as_bytes());
        let path = path();
        let envelope = dispatch::envelope(dialect, Operation::Chat, &body, &path).unwrap();
        let request = dispatch::decode_request(dialect, Operation::Chat, &body, &path).unwrap();
        let Request::Chat(chat) = request else { panic!("it is a chat") };
        let mut profile = Profile::new("m");
        profile.reasoning = style;
        let edits =
            effort_edits((dialect, Delivery::Plain), (&envelope, &body), &chat, effort, &profile).unwrap();
        let warnings: Vec<String> = edits.warnings.iter().map(ToString::to_string).collect();
        let out = join_rope(&edits.apply(&body, &envelope));
        (String::from_utf8(out.to_vec()).unwrap(), warnings.join("; "))
    }

    const OPENAI: &str = r#"{ "model":"m", "reasoning_effort": "low","x_ours":[1.50, 2],"messages":[{"role":"user","content":"h\u0069"}] }"#;
    const RESPONSES: &str =
        r#"{"model":"m","input":"h\u0069","reasoning": { "summary":"auto" ,"effort":"low"},"x_ours":1.50}"#;
    const ANTHROPIC: &str = r#"{"model":"m","max_tokens":20000,"x_ours":1.50,"temperature":0.70,"output_config":{"effort":"low"},"messages":[{"role":"user","content":"h\u0069"}]}"#;
    const GEMINI: &str = r#"{"contents":[{"role":"user","parts":[{"text":"h\u0069"}]}],"generationConfig":{ "topP": 0.50,"thinkingConfig":{"thinkingBudget":128}},"x_ours":1.50}"#;

    #[test]
    fn long_texts_are_no_reason_to_leave_the_effort_as_it_was() {
        let long = "so it is. ".repeat(40_000);
        for body in [OPENAI, RESPONSES] {
            let dialect = if body == OPENAI { Dialect::OpenAi } else { Dialect::Responses };
            let body = body.replace("h\\u0069", &long);
            let (after, _) = changed(dialect, &body, Effort::High, ReasoningStyle::Effort);
            assert!(after.contains("\"high\"") && after.contains(&long) && !after.contains("\"low\""));
        }
    }

    #[test]
    fn the_effort_is_set_where_the_dialect_has_it_and_nothing_else_changes() {
        let mut story = String::new();
        for (dialect, body, styles) in [
            (Dialect::OpenAi, OPENAI, [ReasoningStyle::Effort, ReasoningStyle::None]),
            (Dialect::Responses, RESPONSES, [ReasoningStyle::Effort, ReasoningStyle::None]),
            (Dialect::Anthropic, ANTHROPIC, [ReasoningStyle::Adaptive, ReasoningStyle::Budget]),
            (Dialect::Anthropic, ANTHROPIC, [ReasoningStyle::None, ReasoningStyle::Unknown]),
            (Dialect::Gemini, GEMINI, [ReasoningStyle::Budget, ReasoningStyle::Level]),
        ] {
            for style in styles {
                for effort in [Effort::None, Effort::High] {
                    let (out, warnings) = changed(dialect, body, effort, style);
                    assert!(out.contains("1.50") && out.contains(r"h\u0069"), "{out}");
                    story += &format!("{dialect:?} {style:?} {}\n  {out}\n  {warnings}\n", effort.name());
                }
            }
        }
        insta::assert_snapshot!(story);
    }

    #[test]
    fn a_body_that_says_nothing_of_reasoning_gets_it_said_and_one_that_says_the_same_is_left_alone() {
        let plain = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
        let (out, _) = changed(Dialect::OpenAi, plain, Effort::High, ReasoningStyle::Effort);
        assert_eq!(
            out,
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"reasoning_effort":"high"}"#
        );
        assert_eq!(changed(Dialect::OpenAi, OPENAI, Effort::Low, ReasoningStyle::Effort).0, OPENAI);
        assert_eq!(changed(Dialect::Responses, RESPONSES, Effort::Low, ReasoningStyle::Effort).0, RESPONSES);
    }

    #[test]
    fn what_is_read_back_is_the_effort_that_was_set() {
        for (dialect, body, style) in [
            (Dialect::OpenAi, OPENAI, ReasoningStyle::Effort),
            (Dialect::Responses, RESPONSES, ReasoningStyle::Effort),
        ] {
            for effort in EFFORTS {
                let (out, _) = changed(dialect, body, effort, style);
                let request =
                    dispatch::decode_request(dialect, Operation::Chat, out.as_bytes(), &path()).unwrap();
                let Request::Chat(chat) = request else { panic!("it is a chat") };
                assert_eq!(chat.reasoning.unwrap().effort, Some(effort));
            }
        }
    }
}
