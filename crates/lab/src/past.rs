//! Past requests, as a decision sees them.
//!
//! Owns the way from a record back to shape and caller. Must not guess silently: what a record does not hold is named.

use std::borrow::Cow;
use trunkline_model::asked::Asked;
use trunkline_model::record::{AttemptKind, AttemptRecord, RequestRecord};
use trunkline_model::shape::Shape;
use trunkline_route::caller::Caller;

/// The shape of a recorded request. A record without its facts (of an older release) gives its tokens only.
#[must_use]
pub fn shape(record: &RequestRecord) -> Shape {
    let asked = match &record.asked {
        Some(asked) => Cow::Borrowed(&**asked),
        None => {
            let tokens = record.attempts.iter().map(|attempt| attempt.usage.prompt()).max().unwrap_or(0);
            Cow::Owned(Asked { text_bytes: tokens.saturating_mul(4), messages: 1, ..Asked::default() })
        }
    };
    Shape {
        model: record.requested_model.to_string(),
        body_bytes: record.request_bytes,
        user: record.user.as_ref().map(ToString::to_string),
        ..asked.shape(record.client, record.operation, record.delivery)
    }
}

/// The caller of a recorded request, without what its key may use or is pinned to.
#[must_use]
pub fn caller(record: &RequestRecord) -> Caller {
    let asked = record.asked.as_deref();
    Caller {
        key: record.key.clone(),
        user: record.user.clone(),
        session: record.session.clone(),
        tags: record.tags.clone(),
        requirements: asked.map(|asked| asked.requirements.clone()).unwrap_or_default(),
        // A key's pin was a setting of then.
        pin: asked.filter(|asked| !asked.pinned_by_key).and_then(|asked| asked.pin.clone()),
        strict: asked.is_some_and(|asked| asked.strict),
        ..Caller::default()
    }
}

/// The call whose answer the client got: the last that went well at the deployment that is said to have answered. Samples and
/// judgements of an answer are no answers.
#[must_use]
pub fn answer(record: &RequestRecord) -> Option<&AttemptRecord> {
    let answers = |attempt: &&AttemptRecord| {
        attempt.failure.is_none()
            && !matches!(attempt.kind, AttemptKind::Sample | AttemptKind::Judge | AttemptKind::Encoder)
    };
    let by_name = |attempt: &&AttemptRecord| Some(&attempt.deployment) == record.deployment.as_ref();
    let mut last_first = record.attempts.iter().rev().filter(answers);
    last_first.clone().find(by_name).or_else(|| last_first.next())
}
