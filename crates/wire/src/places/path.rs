//! Paths in a body.
//!
//! Owns walking them. Must not know any protocol, but for two liberties that Google's servers take and no other body has a use for:
//! names in either case, and an object alone where a list is declared.

use serde_json::Value;

/// Reads the index that a text begins with: `[3].name`.
pub(super) fn index(text: &str) -> Option<(usize, &str)> {
    let (index, rest) = text.strip_prefix('[')?.split_once(']')?;
    Some((index.parse().ok()?, rest))
}

/// The path as the body spells it; `None` when nothing stands there.
pub(super) fn resolve(body: &Value, path: &str) -> Option<String> {
    let (mut at, mut rest) = (body, path);
    let mut found = String::with_capacity(path.len());
    while !rest.is_empty() {
        if let Some((position, further)) = index(rest) {
            rest = further;
            match at {
                Value::Array(elements) => {
                    at = elements.get(position)?;
                    found.push_str(&format!("[{position}]"));
                }
                Value::Object(_) if position == 0 => {}
                _ => return None,
            }
            continue;
        }
        let name = rest.strip_prefix('.').unwrap_or(rest);
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (name, further) = name.split_at(end);
        rest = further;
        let (spelled, value) = field(at, name)?;
        at = value;
        if !found.is_empty() {
            found.push('.');
        }
        found.push_str(spelled);
    }
    Some(found)
}

/// A field under its name in either case.
pub(super) fn field<'v>(value: &'v Value, name: &str) -> Option<(&'v str, &'v Value)> {
    let fields = value.as_object()?;
    let same = |known: &str| known == name || camel(known) == camel(name);
    let exact = fields.iter().find(|(known, _)| *known == name);
    let (known, value) = exact.or_else(|| fields.iter().find(|(known, _)| same(known)))?;
    Some((known, value))
}

fn camel(name: &str) -> String {
    let mut pieces = name.split('_');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |mut whole, piece| {
        let mut letters = piece.chars();
        whole.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        whole.push_str(letters.as_str());
        whole
    })
}

/// The first place of a field of that name, however deep; not within values that are anybody's own.
pub(super) fn find(body: &Value, name: &str) -> Option<String> {
    const FREE: [&str; 5] = ["parameters", "input_schema", "schema", "arguments", "metadata"];
    match body {
        Value::Object(fields) => {
            if fields.get(name).is_some_and(|value| !value.is_null()) {
                return Some(name.to_owned());
            }
            let mut inside = fields.iter().filter(|(known, _)| !FREE.contains(&known.as_str()));
            inside.find_map(|(known, value)| {
                let place = find(value, name)?;
                let dot = if place.starts_with('[') { "" } else { "." };
                Some(format!("{known}{dot}{place}"))
            })
        }
        Value::Array(elements) => elements.iter().enumerate().find_map(|(index, element)| {
            let place = find(element, name)?;
            let dot = if place.starts_with('[') { "" } else { "." };
            Some(format!("[{index}]{dot}{place}"))
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_path_is_spelled_as_the_body_spells_it() {
        let body = json!({"generation_config": {"topK": 3, "stop_sequences": ["a"]}, "contents": {"parts": {"text": "a"}}});
        let spelled = |path| resolve(&body, path);
        assert_eq!(spelled("generationConfig.top_k").as_deref(), Some("generation_config.topK"));
        assert_eq!(
            spelled("generationConfig.stopSequences[0]").as_deref(),
            Some("generation_config.stop_sequences[0]")
        );
        assert_eq!(spelled("contents[0].parts[0].text").as_deref(), Some("contents.parts.text"));
        assert_eq!(spelled("contents[1]"), None);
        assert_eq!(spelled("generationConfig.stopSequences[1]"), None);
        assert_eq!(spelled("generationConfig.topP"), None);
    }

    #[test]
    fn a_field_is_found_wherever_it_stands() {
        let body = json!({"tools": [{"parameters": {"mark": 1}}, {"a": [[{"mark": 2}]]}]});
        assert_eq!(find(&body, "mark").as_deref(), Some("tools[1].a[0][0].mark"));
        assert_eq!(find(&body, "other"), None);
    }
}
