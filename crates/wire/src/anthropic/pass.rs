//! Anthropic bodies that pass to an Anthropic provider almost as they came.
//!
//! Owns which top-level fields change on the way. Must not touch anything inside them: what needs more is translated.

use super::citation;
use crate::carried::MARK;
use crate::codec::{Envelope, Profile};
use crate::splice::{Edits, json_string};
use memchr::memmem;
use trunkline_model::capability::Support;
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_model::warning::Warning;

/// Whether a request body may pass to a provider as it is: reasoning made elsewhere (unsigned, or carrying another
/// provider's state) must be taken out by translation first, because Anthropic refuses it.
#[must_use]
pub fn may_pass(_operation: Operation, envelope: &Envelope, body: &[u8]) -> bool {
    // The encoder explains why that cannot be, before anything is sent.
    if envelope.shape.forces_tool && envelope.shape.wants_reasoning {
        return false;
    }
    // Pages that we cited have no index: translation leaves them out and says so.
    if memmem::find(body, citation::NO_INDEX.as_bytes()).is_some() {
        return false;
    }
    // One search settles nearly every body: both kinds of reasoning blocks have this in their type.
    memmem::find(body, b"thinking\"").is_none()
        || (memmem::find(body, MARK.as_bytes()).is_none() && !has_unsigned_thinking(body))
}

/// Whether an empty signature is in the body; blanks after the colon are the client's choice.
fn has_unsigned_thinking(body: &[u8]) -> bool {
    let name = b"\"signature\"";
    memmem::find_iter(body, name).any(|place| {
        let rest = body[place + name.len()..].trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"\"\""))
    })
}

/// What changes of a body: the model's name, the output limit beyond the model's own, what the target refuses.
#[must_use]
pub fn pass_edits(envelope: &Envelope, body: &[u8], profile: &Profile, _delivery: Delivery) -> Edits {
    let mut edits = Edits::default();
    if profile.model_in_body || envelope.shape.operation == Operation::CountTokens {
        edits.set(envelope, body, "model", json_string(&profile.model));
    } else {
        edits.remove(envelope, body, "model");
    }
    for (name, value) in &profile.fixed {
        edits.set(envelope, body, name, json_string(value));
    }
    if let (Some(limit), Some(most)) = (envelope.shape.max_output_tokens, profile.max_output_tokens)
        && limit > most
        && most > 0
    {
        edits.set(envelope, body, "max_tokens", most.to_string());
        let reason = format!("limited to {most}, the most the model generates");
        edits.warnings.push(Warning::emulated("max_tokens", reason));
    }
    for name in &profile.refused {
        if edits.remove(envelope, body, name) {
            edits.warnings.push(Warning::dropped(name.clone(), "the target refuses it"));
        }
    }
    if profile.sampling == Support::No {
        for name in ["temperature", "top_p", "top_k"] {
            let value = envelope.field(body, name).and_then(|field| body.get(field.value.clone()));
            // A temperature of 1 is the default, and accepted.
            let harmless = matches!(value, None | Some(b"null"))
                || (name == "temperature" && matches!(value, Some(b"1" | b"1.0")));
            if !harmless && !profile.refuses(name) && edits.remove(envelope, body, name) {
                let reason = "the model does not take sampling parameters";
                edits.warnings.push(Warning::dropped(name, reason));
            }
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::envelope;
    use trunkline_model::dialect::Dialect;

    fn passed(body: &'static str, profile: &Profile) -> (String, Vec<String>) {
        let body = bytes::Bytes::from_static(body.as_bytes());
        let envelope = envelope(Dialect::Anthropic, Operation::Chat, &body, &Default::default()).unwrap();
        let edits = pass_edits(&envelope, &body, profile, Delivery::Plain);
        let text: Vec<u8> = edits.apply(&body, &envelope).iter().flat_map(|piece| piece.to_vec()).collect();
        (String::from_utf8(text).unwrap(), edits.warnings.iter().map(ToString::to_string).collect())
    }

    const BODY: &str = r#"{"model":"auto","max_tokens":9000,"temperature":0.2,"top_k":3,"odd":1,"messages":[{"role":"user","content":"x"}]}"#;

    #[test]
    fn only_the_model_changes_where_nothing_is_refused() {
        let (text, warnings) = passed(BODY, &Profile::new("claude-x"));
        assert_eq!(text, BODY.replace("auto", "claude-x"));
        assert!(warnings.is_empty());
    }

    #[test]
    fn where_the_path_names_the_model_the_body_does_not() {
        let fixed = vec![("anthropic_version".to_owned(), "vertex-2023-10-16".to_owned())];
        let profile = Profile { model_in_body: false, fixed, ..Profile::new("claude-x") };
        let (text, _) = passed(r#"{"model":"auto","max_tokens":9,"messages":[]}"#, &profile);
        insta::assert_snapshot!(text, @r#"{"max_tokens":9,"messages":[],"anthropic_version":"vertex-2023-10-16"}"#);
    }

    #[test]
    fn what_the_target_refuses_is_taken_out_and_said() {
        let mut profile = Profile::new("claude-x");
        profile.sampling = Support::No;
        profile.max_output_tokens = Some(4096);
        profile.refused = vec!["odd".to_owned()];
        let (text, warnings) = passed(BODY, &profile);
        insta::assert_snapshot!(text, @r#"{"model":"claude-x","max_tokens":4096,"messages":[{"role":"user","content":"x"}]}"#);
        insta::assert_snapshot!(warnings.join("\n"), @r"
        max_tokens emulated: limited to 4096, the most the model generates
        odd dropped: the target refuses it
        temperature dropped: the model does not take sampling parameters
        top_k dropped: the model does not take sampling parameters
        ");
    }

    #[test]
    fn reasoning_made_elsewhere_does_not_pass() {
        let may = |part: &str| {
            let body = format!(
                r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"assistant","content":[{part}]}}]}}"#
            );
            let envelope =
                envelope(Dialect::Anthropic, Operation::Chat, body.as_bytes(), &Default::default());
            may_pass(Operation::Chat, &envelope.unwrap(), body.as_bytes())
        };
        assert!(may(r#"{"type":"text","text":"trunkline:gemini:own:x"}"#));
        assert!(may(r#"{"type":"thinking","thinking":"","signature":"EqQB"}"#));
        assert!(may(r#"{"type":"redacted_thinking","data":"Emw="}"#));
        let cited = |index: &str| {
            format!(
                r#"{{"type":"text","text":"a","citations":[{{"type":"web_search_result_location","cited_text":"","encrypted_index":"{index}","title":null,"url":"https://a"}}]}}"#
            )
        };
        assert!(may(&cited("EpMBCi")));
        assert!(!may(&cited("trunkline:none")));
        assert!(may(r#"{"type":"text","text":"\"trunkline:none\""}"#));
        assert!(!may(r#"{"type":"thinking","thinking":"hm","signature": ""}"#));
        assert!(!may(r#"{"type":"thinking","thinking":"hm","signature":"trunkline:gemini:own:x"}"#));
        assert!(!may(r#"{"type":"redacted_thinking","data":"trunkline:gemini:before:x"}"#));
    }
}
