//! Same dialect on both sides: which fields of the body change.
//!
//! Owns these edits. Must not rewrite what the target takes as it is.

use super::request_encode::{IGNORED, NEWER_LIMIT, NO_SAMPLING, REFUSED, limit_name};
use crate::codec::{Envelope, OutputLimitName, Profile};
use crate::splice::Edits;
use crate::veil;
use crate::write::HIDDEN_HERE;
use bytes::Bytes;
use trunkline_model::capability::Support;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::warning::Warning;

/// Parameters without which the answer would be another one, and the values that say nothing.
const NEEDED: [&str; 6] = ["tools", "functions", "n", "stop", "logprobs", "response_format"];
const SAYS_NOTHING: [&[u8]; 4] = [b"null", b"[]", b"1", b"false"];

/// Whether a request body may pass to a provider as it is. Where the target refuses what cannot be left out, the encoder says so.
#[must_use]
pub fn may_pass(operation: Operation, envelope: &Envelope, body: &[u8], profile: &Profile) -> bool {
    let is_said = |name: &str| {
        let value = envelope.field(body, name).and_then(|field| body.get(field.value.clone()));
        value.is_some_and(|value| !SAYS_NOTHING.contains(&value))
    };
    operation != Operation::Chat || !NEEDED.iter().any(|name| profile.refuses(name) && is_said(name))
}

/// What changes of a body on its way to a target of the same dialect.
#[must_use]
pub fn pass_edits(envelope: &Envelope, body: &[u8], profile: &Profile, delivery: Delivery) -> Edits {
    let mut edits = Edits::default();
    edits.set_string(envelope, body, "model", &profile.model);
    let is_chat = envelope.shape.operation == Operation::Chat;
    if is_chat || envelope.shape.operation == Operation::Completions {
        stream(&mut edits, envelope, body, profile, delivery);
    }
    if is_chat {
        limit(&mut edits, envelope, body, profile);
        if profile.sampling == Support::No {
            sampling(&mut edits, envelope, body);
        }
    }
    if veil::is_needed(Dialect::OpenAi, envelope, body, profile) {
        edits.warnings.push(Warning::emulated("reasoning.exclude", HIDDEN_HERE));
    }
    if envelope.shape.operation == Operation::Completions {
        // What targets refuse and rename is documented of conversations.
        return edits;
    }
    for name in &profile.refused {
        // The limit's names are taken care of above; the stream's options are ours to set.
        if matches!(name.as_str(), "max_tokens" | "max_completion_tokens" | "stream_options" | "model")
            && is_chat
        {
            continue;
        }
        // Left out above, and told.
        if name == "top_k" && is_chat && profile.sampling == Support::No {
            continue;
        }
        if edits.remove(envelope, body, name) {
            edits.warnings.push(Warning::dropped(name.clone(), REFUSED));
        }
    }
    for name in &profile.ignored {
        if envelope.field(body, name).is_some() {
            edits.warnings.push(Warning::dropped(name.clone(), IGNORED));
        }
    }
    for (ours, theirs) in &profile.renamed {
        edits.rename(envelope, body, ours, theirs);
    }
    edits
}

/// The output limit goes by the name the target knows.
fn limit(edits: &mut Edits, envelope: &Envelope, body: &[u8], profile: &Profile) {
    let ours = limit_name(profile);
    let other = match profile.output_limit {
        OutputLimitName::MaxTokens => "max_completion_tokens",
        OutputLimitName::MaxCompletionTokens => "max_tokens",
    };
    let value = |name| envelope.field(body, name).and_then(|field| body.get(field.value.clone()));
    let (one, another) = (value(ours), value(other));
    let both = one.is_some() && another.is_some();
    if both && one != another && one != Some(b"null") && another != Some(b"null") {
        edits.warnings.push(Warning::dropped("max_tokens", NEWER_LIMIT));
    }
    if both && other == "max_tokens" {
        // The newer name wins where a client gives both.
        edits.remove(envelope, body, other);
    } else {
        edits.rename(envelope, body, other, ours);
    }
}

/// Usage is asked for on every stream: what it cost is recorded whether the client wants to see it or not.
fn stream(edits: &mut Edits, envelope: &Envelope, body: &[u8], profile: &Profile, delivery: Delivery) {
    let options = envelope.field(body, "stream_options").map(|field| field.value.clone());
    if !delivery.is_stream() || !profile.stream_usage {
        // Without a stream the options are an error, and so they are for targets that do not know them.
        if options.is_some() {
            edits.remove(envelope, body, "stream_options");
        }
        if delivery.is_stream() && envelope.wants_stream_usage {
            edits.warnings.push(Warning::dropped("stream_options.include_usage", REFUSED));
        }
    } else if !envelope.wants_stream_usage {
        let given = options.and_then(|range| body.get(range)).unwrap_or_default();
        edits.set(envelope, body, "stream_options", with_usage(given));
    }
    let wants = envelope.shape.delivery;
    if wants != delivery {
        edits.set(
            envelope,
            body,
            "stream",
            Bytes::from_static(if delivery.is_stream() { b"true" } else { b"false" }),
        );
    }
}

/// The client's stream options with usage switched on.
fn with_usage(given: &[u8]) -> Bytes {
    const ALONE: &[u8] = br#"{"include_usage":true}"#;
    let Ok(serde_json::Value::Object(mut options)) = serde_json::from_slice(given) else {
        return Bytes::from_static(ALONE);
    };
    options.insert("include_usage".to_owned(), serde_json::Value::Bool(true));
    serde_json::to_vec(&options).map_or_else(|_| Bytes::from_static(ALONE), Bytes::from)
}

fn sampling(edits: &mut Edits, envelope: &Envelope, body: &[u8]) {
    // What such models do anyway, and accept said.
    const ONE: &[&[u8]] = &[b"1", b"1.0", b"null"];
    const ZERO: &[&[u8]] = &[b"0", b"0.0", b"null"];
    for (name, usual) in [
        ("temperature", ONE),
        ("top_p", ONE),
        ("top_k", &[]),
        ("frequency_penalty", ZERO),
        ("presence_penalty", ZERO),
    ] {
        let Some(field) = envelope.field(body, name) else { continue };
        let given = body.get(field.value.clone()).unwrap_or_default();
        if !usual.contains(&given) {
            edits.remove(envelope, body, name);
            edits.warnings.push(Warning::dropped(name, NO_SAMPLING));
        }
    }
}
