//! Gemini bodies that pass to a Gemini provider almost as they came.
//!
//! Owns the few places where a body repeats what the URL says (the model), what the target refuses, and the output limit
//! beyond the model's own. Must not change anything else: what needs more is translated.

use super::state;
use crate::codec::{Envelope, Profile};
use crate::cursor::{self, At};
use crate::splice::{Edit, Edits, json_string};
use bytes::Bytes;
use std::ops::Range;
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_model::warning::Warning;

/// Whether a body may pass to a provider as it is. State of another provider must be taken out by translation first, and a
/// single embedding must be asked for in batch.
#[must_use]
pub fn may_pass(operation: Operation, envelope: &Envelope, body: &[u8]) -> bool {
    match operation {
        Operation::Embeddings => envelope.field(body, "requests").is_some(),
        _ => !state::is_carried_in(body),
    }
}

/// What changes of a body: names of the model inside it, what the target refuses, an output limit beyond the model's own.
#[must_use]
pub fn pass_edits(envelope: &Envelope, body: &[u8], profile: &Profile, _delivery: Delivery) -> Edits {
    let mut edits = Edits::default();
    let model = json_string(&format!("models/{}", profile.model));
    if envelope.field(body, "model").is_some() {
        edits.set(envelope, body, "model", model.clone());
    }
    for field in &envelope.fields {
        let Some(value) = body.get(field.value.clone()) else { continue };
        match body.get(field.name.clone()) {
            Some(b"requests" | b"generateContentRequest" | b"generate_content_request") => {
                let Ok(node) = cursor::parse(value) else { continue };
                let root = At::root(&node);
                match root.items() {
                    Ok(items) => items.for_each(|item| name_model(&item, body, &model, &mut edits)),
                    Err(_) => name_model(&root, body, &model, &mut edits),
                }
            }
            Some(b"generationConfig" | b"generation_config") => {
                limit(value, body, envelope, profile, &mut edits)
            }
            _ => {}
        }
    }
    for name in &profile.refused {
        if edits.remove(envelope, body, name) {
            edits.warnings.push(Warning::dropped(name.clone(), "the target refuses it"));
        }
    }
    edits
}

/// Sets the model of a request inside the body, or adds it: it is required there.
fn name_model(request: &At<'_>, body: &[u8], model: &Bytes, edits: &mut Edits) {
    let Ok(fields) = request.fields() else { return };
    let is_empty = fields.len() == 0;
    let mut found = false;
    for (name, value) in fields {
        if name != "model" {
            continue;
        }
        found = true;
        if let Some(range) = place(value.raw(), body) {
            edits.edits.push(Edit::Replace { range, with: model.clone() });
        }
    }
    if let (false, Some(range)) = (found, place(request.raw(), body)) {
        let mut with = b"\"model\":".to_vec();
        with.extend_from_slice(model);
        if !is_empty {
            with.push(b',');
        }
        let inside = range.start + 1;
        edits.edits.push(Edit::Replace { range: inside..inside, with: Bytes::from(with) });
    }
}

fn limit(config: &[u8], body: &[u8], envelope: &Envelope, profile: &Profile, edits: &mut Edits) {
    let (Some(wanted), Some(most)) = (envelope.shape.max_output_tokens, profile.max_output_tokens) else {
        return;
    };
    if wanted <= most || most == 0 {
        return;
    }
    let Ok(node) = cursor::parse(config) else { return };
    let root = At::root(&node);
    let range = root
        .either("maxOutputTokens", "max_output_tokens")
        .filter(|value| value.unsigned().is_ok())
        .and_then(|value| place(value.raw(), body));
    if let Some(range) = range {
        edits.edits.push(Edit::Replace { range, with: Bytes::from(most.to_string()) });
        let reason = format!("limited to {most}, the most the model generates");
        edits.warnings.push(Warning::emulated("generationConfig.maxOutputTokens", reason));
    }
}

/// Where a piece borrowed from the body lies in it.
fn place(piece: &str, body: &[u8]) -> Option<Range<usize>> {
    let start = (piece.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    let range = start..start + piece.len();
    (body.get(range.clone()) == Some(piece.as_bytes())).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::PathParts;
    use crate::scan::envelope;
    use trunkline_model::dialect::Dialect;

    fn passed(operation: Operation, body: &'static str, profile: &Profile) -> (String, Vec<String>) {
        let path = PathParts { model: Some("auto".to_owned()), delivery: None };
        let body = bytes::Bytes::from_static(body.as_bytes());
        let envelope = envelope(Dialect::Gemini, operation, &body, &path).unwrap();
        let edits = pass_edits(&envelope, &body, profile, Delivery::Plain);
        let text: Vec<u8> = edits.apply(&body, &envelope).iter().flat_map(|piece| piece.to_vec()).collect();
        (String::from_utf8(text).unwrap(), edits.warnings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_chat_passes_untouched() {
        let body = r#"{ "contents":[{"parts":[{"text":"x"}]}], "generationConfig":{"maxOutputTokens":10}, "new":1 }"#;
        let mut profile = Profile::new("gemini-x");
        profile.max_output_tokens = Some(100);
        assert_eq!(passed(Operation::Chat, body, &profile), (body.to_owned(), Vec::new()));
    }

    #[test]
    fn models_inside_the_body_are_named() {
        let profile = Profile::new("gemini-x");
        let body = r#"{"requests":[{"model":"models/auto","content":{"parts":[{"text":"a"}]}},{"content":{"parts":[]}}]}"#;
        insta::assert_snapshot!(passed(Operation::Embeddings, body, &profile).0, @r#"{"requests":[{"model":"models/gemini-x","content":{"parts":[{"text":"a"}]}},{"model":"models/gemini-x","content":{"parts":[]}}]}"#);
        let body =
            r#"{"generateContentRequest":{"model":"models/auto","contents":[{"parts":[{"text":"x"}]}]}}"#;
        insta::assert_snapshot!(passed(Operation::CountTokens, body, &profile).0, @r#"{"generateContentRequest":{"model":"models/gemini-x","contents":[{"parts":[{"text":"x"}]}]}}"#);
    }

    #[test]
    fn what_the_target_refuses_is_taken_out_and_said() {
        let mut profile = Profile::new("gemini-x");
        profile.max_output_tokens = Some(64);
        profile.refused = vec!["labels".to_owned()];
        let body = r#"{"labels":{"a":"b"},"generationConfig":{"max_output_tokens":9000},"contents":[{"parts":[{"text":"x"}]}]}"#;
        let (text, warnings) = passed(Operation::Chat, body, &profile);
        insta::assert_snapshot!(text, @r#"{"generationConfig":{"max_output_tokens":64},"contents":[{"parts":[{"text":"x"}]}]}"#);
        insta::assert_snapshot!(warnings.join("\n"), @r#"
    generationConfig.maxOutputTokens emulated: limited to 64, the most the model generates
    labels dropped: the target refuses it
    "#);
    }

    #[test]
    fn foreign_state_and_single_embeddings_are_translated() {
        let path = PathParts { model: Some("auto".to_owned()), delivery: None };
        let passes = |operation, body: String| {
            let body = bytes::Bytes::from(body);
            may_pass(operation, &envelope(Dialect::Gemini, operation, &body, &path).unwrap(), &body)
        };
        let chat = |signature: &str| {
            format!(
                r#"{{"contents":[{{"role":"model","parts":[{{"text":"x","thoughtSignature":"{signature}"}}]}}]}}"#
            )
        };
        let state = trunkline_model::content::Opaque { origin: Dialect::Anthropic, value: "abc".to_owned() };
        let foreign = state::signature(&state, crate::carried::Place::Own).into_owned();
        assert!(passes(Operation::Chat, chat("AAAA")));
        assert!(!passes(Operation::Chat, chat(&foreign)));
        assert!(passes(
            Operation::Embeddings,
            r#"{"requests":[{"content":{"parts":[{"text":"a"}]}}]}"#.to_owned()
        ));
        assert!(!passes(Operation::Embeddings, r#"{"content":{"parts":[{"text":"a"}]}}"#.to_owned()));
    }
}
