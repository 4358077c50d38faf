//! Which of a client's headers go on to a provider.
//!
//! Owns the list, and what is told of a header that is lost. Must not know bodies.

use super::Subject;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use trunkline_model::dialect::Dialect;
use trunkline_model::warning::Warning;
use trunkline_providers::upstream::Upstream;
use trunkline_wire::relayed::BodyForm;

/// How much of a client's request a provider gets as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// The body passes.
    Body,
    /// The protocol is the client's, the body is written anew.
    Protocol,
    /// Nothing.
    None,
}

/// Whether a client header goes on to the provider: trace headers (W3C Trace Context) to any, those of a dialect to whoever speaks
/// it, and the name of one very body with that body.
fn is_passed(name: &str, likeness: Likeness) -> bool {
    match name {
        "traceparent" | "tracestate" => true,
        BETA | "anthropic-version" | "openai-beta" | "x-goog-user-project" => likeness != Likeness::None,
        "idempotency-key" => likeness == Likeness::Body,
        _ => false,
    }
}

/// The header by which clients of Anthropic's protocol ask for what is not in it yet.
const BETA: &str = "anthropic-beta";

/// What a provider of another protocol does not get of a client's headers, though the answer may depend on it.
pub(crate) fn lost_header(headers: &HeaderMap, client: Dialect, provider: Dialect) -> Option<Warning> {
    let asks = client == Dialect::Anthropic && provider != client && headers.contains_key(BETA);
    asks.then(|| Warning::dropped(BETA, "the target's protocol has no such betas"))
}

impl Subject<'_> {
    /// The headers for a provider.
    pub(super) fn headers(&self, upstream: &Upstream, likeness: Likeness) -> HeaderMap {
        let mut headers = HeaderMap::clone(&upstream.headers);
        if self.admitted.operation.is_relayed()
            && let (BodyForm::Multipart(_), Some(form)) =
                (self.body_form(), self.admitted.headers.get(CONTENT_TYPE))
        {
            headers.insert(CONTENT_TYPE, form.clone());
        }
        let mut last: Option<&HeaderName> = None;
        for (name, value) in &self.admitted.headers {
            if !is_passed(name.as_str(), likeness) {
                continue;
            }
            // The values of a name follow each other. The client's own word replaces ours: its body was written for the
            // version it names.
            if last == Some(name) {
                headers.append(name, HeaderValue::clone(value));
            } else {
                headers.insert(name, HeaderValue::clone(value));
            }
            last = Some(name);
        }
        headers
    }
}
