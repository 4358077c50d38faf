//! Questions to the request log.
//!
//! Owns the filter vocabulary shared by the command line, the admin API and both backends. Must not know SQL.

use crate::block::Entry;
use memchr::memmem::Finder;
use trunkline_model::id::RequestId;
use trunkline_model::record::{Outcome, RequestRecord};

/// Which records to show; empty fields do not filter. Newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Arrived at or after this time, Unix milliseconds.
    pub since: Option<u64>,
    /// Arrived before this time, Unix milliseconds.
    pub until: Option<u64>,
    /// The virtual key's name.
    pub key: Option<String>,
    /// The end user.
    pub user: Option<String>,
    /// The session.
    pub session: Option<String>,
    /// Tags, all of them: name and value.
    pub tags: Vec<(String, String)>,
    /// The route.
    pub route: Option<String>,
    /// The provider that answered.
    pub provider: Option<String>,
    /// Part of the deployment's or the requested model's name.
    pub model: Option<String>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The HTTP status the client saw.
    pub status: Option<u16>,
    /// The code of the error the client saw.
    pub error_code: Option<String>,
    /// Only copies for a candidate, which no client asked for.
    pub shadow: bool,
    /// Only requests with more than one attempt.
    pub failed_over: bool,
    /// This very request.
    pub id: Option<RequestId>,
    /// Older than this one: the cursor of the page before.
    pub before: Option<RequestId>,
    /// At most this many, 1 to 1,000.
    pub limit: usize,
}

impl Query {
    /// The number of rows asked for, within bounds.
    #[must_use]
    pub fn bounded_limit(&self) -> usize {
        if self.limit == 0 { 50 } else { self.limit.min(1_000) }
    }

    /// Whether a record is asked for, limit apart.
    #[must_use]
    pub fn matches(&self, record: &RequestRecord) -> bool {
        let time = record.id.unix_milliseconds();
        let equals = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time < until)
            && self.before.is_none_or(|before| record.id < before)
            && self.id.is_none_or(|id| record.id == id)
            && equals(&self.key, record.key.as_deref())
            && equals(&self.user, record.user.as_deref())
            && equals(&self.session, record.session.as_deref())
            && self.tags.iter().all(|(name, value)| {
                record.tags.iter().any(|(known, found)| **known == **name && **found == **value)
            })
            && equals(&self.route, record.route.as_deref())
            && equals(&self.error_code, record.error_code.as_deref())
            && equals(&self.provider, record.provider.as_deref())
            && self.outcome.is_none_or(|outcome| record.outcome == outcome)
            && self.status.is_none_or(|status| record.status == status)
            && (!self.shadow || record.shadow.is_some())
            && (!self.failed_over || record.attempts.len() > 1)
            && self.model.as_deref().is_none_or(|part| {
                record.requested_model.contains(part)
                    || record.deployment.as_deref().is_some_and(|deployment| deployment.contains(part))
            })
    }
}

/// Texts that the JSON of every matching record holds: a log of millions is searched without reading each record, because
/// most do not hold them. What holds them is read and matched.
pub(crate) struct Needles(Vec<Finder<'static>>);

impl Needles {
    pub(crate) fn new(query: &Query) -> Self {
        let mut needles = Vec::new();
        let mut add = |text: &str| needles.push(Finder::new(text.as_bytes()).into_owned());
        let texts = [
            ("key", &query.key),
            ("user", &query.user),
            ("session", &query.session),
            ("route", &query.route),
            ("provider", &query.provider),
            ("error_code", &query.error_code),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                add(&format!("\"{name}\":{}", quoted(value)));
            }
        }
        for (name, value) in &query.tags {
            add(&format!("[{},{}]", quoted(name), quoted(value)));
        }
        if let Some(outcome) = query.outcome {
            add(&format!("\"outcome\":\"{}\"", outcome.name()));
        }
        if let Some(status) = query.status {
            add(&format!("\"status\":{status}"));
        }
        if query.shadow {
            add("\"shadow\":{");
        }
        if let Some(part) = &query.model {
            let text = quoted(part);
            add(&text[1..text.len() - 1]);
        }
        Self(needles)
    }

    /// Whether a record may be asked for.
    pub(crate) fn all_in(&self, entry: &Entry<'_>) -> bool {
        self.0.iter().all(|needle| entry.holds(needle))
    }
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Some records, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The records.
    pub records: Vec<RequestRecord>,
    /// Give this as `before` for older ones; `None` when these were all.
    pub next: Option<RequestId>,
}
