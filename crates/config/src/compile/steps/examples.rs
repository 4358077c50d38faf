//! Files of labelled examples.
//!
//! Owns their two forms: JSON lines with `text` and `label`, and a YAML map of labels to lists of texts. Every mistake names the
//! file and the line or label.

use serde::Deserialize;
use std::collections::BTreeMap;

/// A labelled text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Where in the file it stands, in words.
    pub(super) place: String,
    pub(super) text: String,
    pub(super) label: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    text: Option<String>,
    label: Option<String>,
}

/// Reads a file of examples by the ending of its name.
///
/// # Errors
/// What is wrong, with the line or label.
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Vec<Row>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| format!("`{name}` is not UTF-8 text"))?;
    let lines = std::path::Path::new(name).extension().is_some_and(|extension| {
        extension.eq_ignore_ascii_case("jsonl") || extension.eq_ignore_ascii_case("ndjson")
    });
    let rows = if lines { json_lines(name, text)? } else { yaml(name, text)? };
    match rows.is_empty() {
        true => Err(format!("`{name}` holds no example")),
        false => Ok(rows),
    }
}

fn json_lines(name: &str, text: &str) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let mut seen: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |what: &str| format!("line {number} of `{name}`: {what}");
        let line: Line = serde_json::from_str(line).map_err(|error| wrong(&error.to_string()))?;
        let text = line.text.ok_or_else(|| wrong("the field `text` is missing"))?;
        let label = line.label.ok_or_else(|| wrong("the field `label` is missing"))?;
        if text.trim().is_empty() {
            return Err(wrong("the text is empty"));
        }
        if label.trim().is_empty() {
            return Err(wrong("the label is empty"));
        }
        if let Some((earlier, other)) = seen.get(&text)
            && *other != label
        {
            return Err(wrong(&format!(
                "the text is labelled `{label}` here and `{other}` in line {earlier}"
            )));
        }
        seen.insert(text.clone(), (number, label.clone()));
        rows.push(Row { place: format!("line {number} of `{name}`"), text, label });
    }
    Ok(rows)
}

fn yaml(name: &str, text: &str) -> Result<Vec<Row>, String> {
    let map: BTreeMap<String, Vec<String>> = serde_saphyr::from_str(text)
        .map_err(|error| format!("`{name}` is not a map of labels to lists of texts: {error}"))?;
    let mut rows = Vec::new();
    for (label, texts) in map {
        if texts.is_empty() {
            return Err(format!("`{name}`: the label `{label}` has no example"));
        }
        let row = |text| Row { place: format!("`{name}`"), text, label: label.clone() };
        rows.extend(texts.into_iter().map(row));
    }
    Ok(rows)
}
