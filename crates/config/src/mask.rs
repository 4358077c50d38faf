//! The configuration's texts as they may be shown.
//!
//! Owns hiding credentials that are written out in a file. Must not know what else the file says. Problems are shown with
//! their lines, on terminals and (after a reload) in logs, and a line with a mistake may hold a credential beside it. Texts
//! keep their length, so that places stay true.

use crate::source::{Node, Source, Tree, Value};
use std::ops::Range;

/// Settings whose values are credentials; `headers` may be.
const SECRET: &[&str] = &["key", "key_secret", "access_key", "secret_key", "session_token"];

/// The texts with every credential replaced by stars, apart from pure references such as `${NAME}`.
pub(crate) fn masked(mut sources: Vec<Source>, tree: &Tree) -> Vec<Source> {
    let mut spans = Vec::new();
    collect(&tree.root, false, &mut spans);
    for (position, source) in sources.iter_mut().enumerate() {
        for (_, span) in spans.iter().filter(|(source, _)| *source == position) {
            hide(&mut source.text, span.clone());
        }
        if !tree.complete {
            // Maybe this is the text that could not be read: then lines that look like credentials are masked.
            source.text = by_lines(&source.text);
        }
    }
    sources
}

fn collect(node: &Node, secret: bool, spans: &mut Vec<(usize, Range<usize>)>) {
    match &node.value {
        Value::Map(entries) => {
            for (key, child) in entries {
                let named = SECRET.contains(&key.name.as_str()) || key.name == "headers";
                // Under `keys`, `key` can also be the name of a virtual key: then its value is a map and its `key` is secret.
                let inside = secret || named && !(key.name == "key" && matches!(child.value, Value::Map(_)));
                collect(child, inside, spans);
            }
        }
        Value::List(items) => items.iter().for_each(|item| collect(item, secret, spans)),
        Value::Text(text) if secret && !is_reference(text) => {
            spans.push((node.place.source, node.place.span.clone()));
            spans.push((node.place.source, node.written.clone()));
        }
        Value::Integer(_) | Value::Float(_) if secret => {
            spans.push((node.place.source, node.written.clone()))
        }
        _ => {}
    }
}

fn is_reference(text: &str) -> bool {
    let inner = text.trim().strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}

/// Replaces letters by as many stars as they have bytes; quotes, blanks and line ends stay.
fn hide(text: &mut String, span: Range<usize>) {
    let Some(hidden) = text.get(span.clone()) else { return };
    let stars: String = hidden
        .chars()
        .map(|letter| match letter {
            '"' | '\'' | ' ' | '\t' | '\n' | '\r' => letter.to_string(),
            _ => "*".repeat(letter.len_utf8()),
        })
        .collect();
    text.replace_range(span, &stars);
}

/// For texts that are no YAML: everything after `key:` or the like up to the end of the line or the next comma.
fn by_lines(text: &str) -> String {
    let mut masked = text.to_owned();
    for name in ["key", "key_secret", "authorization", "x-api-key", "api-key", "token"] {
        let lower = masked.to_ascii_lowercase();
        for (at, _) in lower.match_indices(name) {
            let inside = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-');
            if lower[..at].ends_with(inside) {
                continue;
            }
            let Some(value) = value_after(&lower, at + name.len()) else { continue };
            if !is_reference(lower[value.clone()].trim_matches(['"', '\'', ' '])) {
                hide(&mut masked, value);
            }
        }
    }
    masked
}

fn value_after(text: &str, end_of_name: usize) -> Option<Range<usize>> {
    let rest = text[end_of_name..].trim_start_matches(['"', '\'', ' ']).strip_prefix(':')?;
    let start = text.len() - rest.len();
    let end = rest.find([',', '\n']).unwrap_or(rest.len());
    let value = rest[..end].trim_end_matches([' ', '}', '\r']);
    Some(start..start + value.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problems;

    fn shown(text: &str) -> String {
        let sources = vec![Source { path: "t.yaml".to_owned(), text: text.to_owned() }];
        let tree = crate::source::read(&sources, &mut Problems::default());
        let shown = masked(sources, &tree).remove(0).text;
        assert_eq!(shown.len(), text.len());
        shown
    }

    #[test]
    fn credentials_are_hidden_and_references_are_not() {
        insta::assert_snapshot!(shown("key_secret: pepper\nproviders:\n  openai: { key: \"sk-é\", headers: { x: abc } }\n  mistral: { key: \"${MISTRAL_API_KEY}\" }\nkeys:\n  key: { key: 12345678901234567 }\n"), @r#"
        key_secret: ******
        providers:
          openai: { key: "*****", headers: { x: *** } }
          mistral: { key: "${MISTRAL_API_KEY}" }
        keys:
          key: { key: ***************** }
        "#);
        insta::assert_snapshot!(shown("x: &k sk-abc\nproviders: { openai: { key: *k } }\n"), @"
        x: &k ******
        providers: { openai: { key: ** } }
        ");
    }

    #[test]
    fn texts_that_cannot_be_read_are_hidden_by_their_looks() {
        insta::assert_snapshot!(shown("providers: { openai: { key: sk-abc, kee: [ }\n Authorization: Bearer abc\n  key: \"${A}\"\n"), @r#"
        providers: { openai: { key: ******, kee: [ }
         Authorization: ****** ***
          key: "${A}"
        "#);
    }
}
