//! Our own headers.
//!
//! Owns what the head of an answer, or of a refusal, says of its request: what was chosen, who answered, what it cost. Must not
//! decide any of it: it is read off the record.

use crate::admit::Admitted;
use crate::case::Case;
use crate::limit_headers::{self, Told};
use crate::respond;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::HeaderValue;
use std::fmt::{Display, Write as _};
use trunkline_model::money::CostConfidence;
use trunkline_model::warning::Warning;

/// The head of an answer to an admitted request.
#[must_use]
pub(crate) fn of_answer(admitted: &Admitted, case: &Case) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(24);
    let record = &case.record;
    let attempts = attempts(case);
    let named = [
        (&name::ROUTE, &record.route),
        (&name::TIER, &record.tier),
        (&name::PROVIDER, &record.provider),
        (&name::MODEL, &record.model),
    ];
    let mut values = Values::new();
    let id = values.text(&record.id.encode());
    let named =
        named.map(|(name, value)| (name, value.as_deref().map(|value| values.text(value.as_bytes()))));
    let numbers =
        [(&name::ATTEMPTS, values.number(attempts)), (&name::OVERHEAD, values.number(record.overhead_us))];
    let limits = limit_headers::read(&admitted.generation, case).map(|told| {
        told.map(|Told { names, limit, remaining, reset }| {
            (names, [values.number(limit), values.number(remaining), values.shown(reset)])
        })
    });
    let values = values.finish();
    if let Some(id) = values.get(id) {
        respond::identify_as(&mut headers, admitted.dialect, id.clone());
        headers.insert(&name::DECISION, id);
    }
    for (name, place) in named.into_iter().filter_map(|(name, place)| Some((name, place?))).chain(numbers) {
        if let Some(value) = values.get(place) {
            headers.insert(name, value);
        }
    }
    headers.insert(&name::CACHE, HeaderValue::from_static("miss"));
    if !record.warnings.is_empty()
        && let Some(warnings) = warnings_header(&record.warnings)
    {
        headers.insert(&name::WARNINGS, warnings);
    }
    for (names, places) in limits.into_iter().flatten() {
        for (name, place) in names.iter().zip(places) {
            if let Some(value) = values.get(place) {
                headers.insert(name, value);
            }
        }
    }
    headers
}

/// Says of a request that got no answer what became of it: the decision to look up, what was chosen, how often providers were
/// asked, and what that cost.
pub(crate) fn put_course(headers: &mut HeaderMap, case: &Case) {
    let record = &case.record;
    if record.decision.is_none() {
        return;
    }
    let mut values = Values::new();
    let id = values.text(&record.id.encode());
    let attempts = attempts(case);
    let count = values.number(attempts);
    let named = [(&name::ROUTE, &record.route), (&name::TIER, &record.tier)];
    let named =
        named.map(|(name, value)| value.as_deref().map(|value| (name, values.text(value.as_bytes()))));
    let values = values.finish();
    let all = [(&name::DECISION, id), (&name::ATTEMPTS, count)];
    for (name, place) in all.into_iter().chain(named.into_iter().flatten()) {
        if let Some(value) = values.get(place) {
            headers.insert(name, value);
        }
    }
    if attempts > 0 {
        put_cost(headers, case);
    }
}

/// Upstream calls so far. The attempt that answers may still be open.
fn attempts(case: &Case) -> u64 {
    let sent = case.record.attempts.iter().filter(|attempt| attempt.was_sent()).count();
    (sent + case.open_attempts()) as u64
}

/// What the request cost.
pub(crate) fn put_cost(headers: &mut HeaderMap, case: &Case) {
    let cost = case.record.cost;
    if let Some(amount) = cost.amount.filter(|_| cost.confidence != CostConfidence::Unknown)
        && let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(amount.decimal().to_string()))
    {
        headers.insert(&name::COST, value);
    }
    headers.insert(&name::COST_CONFIDENCE, HeaderValue::from_static(cost.confidence.as_str()));
}

/// Our own headers.
pub(crate) mod name {
    use http::header::HeaderName;

    pub(crate) static DECISION: HeaderName = HeaderName::from_static("x-trunkline-decision");
    pub(crate) static ROUTE: HeaderName = HeaderName::from_static("x-trunkline-route");
    pub(crate) static TIER: HeaderName = HeaderName::from_static("x-trunkline-tier");
    pub(crate) static PROVIDER: HeaderName = HeaderName::from_static("x-trunkline-provider");
    pub(crate) static MODEL: HeaderName = HeaderName::from_static("x-trunkline-model");
    pub(crate) static ATTEMPTS: HeaderName = HeaderName::from_static("x-trunkline-attempts");
    pub(crate) static CACHE: HeaderName = HeaderName::from_static("x-trunkline-cache");
    pub(crate) static OVERHEAD: HeaderName = HeaderName::from_static("x-trunkline-overhead-us");
    pub(crate) static WARNINGS: HeaderName = HeaderName::from_static("x-trunkline-warnings");
    pub(crate) static COST: HeaderName = HeaderName::from_static("x-trunkline-cost-usd");
    pub(crate) static COST_CONFIDENCE: HeaderName = HeaderName::from_static("x-trunkline-cost-confidence");
    pub(crate) static ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
}

/// The values of one head, written into one piece of memory that they share.
struct Values(BytesMut);

/// Where a value lies.
type Place = std::ops::Range<usize>;

impl Values {
    fn new() -> Self {
        Self(BytesMut::with_capacity(256))
    }

    fn text(&mut self, text: &[u8]) -> Place {
        let start = self.0.len();
        self.0.extend_from_slice(text);
        start..self.0.len()
    }

    fn number(&mut self, number: u64) -> Place {
        self.text(itoa::Buffer::new().format(number).as_bytes())
    }

    fn shown(&mut self, value: impl Display) -> Place {
        let start = self.0.len();
        // Memory cannot fail to be written.
        let _ = write!(self.0, "{value}");
        start..self.0.len()
    }

    fn finish(self) -> Written {
        Written(self.0.freeze())
    }
}

struct Written(Bytes);

impl Written {
    /// The value at a place; `None` when it holds what no header may.
    fn get(&self, place: Place) -> Option<HeaderValue> {
        HeaderValue::from_maybe_shared(self.0.slice(place)).ok()
    }
}

/// The warnings in one header, cut to a length that every proxy lets through.
fn warnings_header(warnings: &[Warning]) -> Option<HeaderValue> {
    let mut text = String::new();
    for warning in warnings {
        let one = warning.to_string();
        if text.len() + one.len() > 2_000 {
            text.push_str("; ...");
            break;
        }
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&one);
    }
    let plain: String =
        text.chars().map(|letter| if (' '..='~').contains(&letter) { letter } else { '?' }).collect();
    HeaderValue::from_str(&plain).ok()
}
