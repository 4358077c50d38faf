//! What was said of answers, told to the bandits that chose for them.
//!
//! Owns hearing each word once: what clients give is heard at once, and what another process brings into the store
//! (`trunkline feedback import`) when it is looked for. Must not judge. Non-obvious: a restart begins where what bandits had learned
//! was kept last, so that words heard after that, which they have forgotten, are heard again.

use crate::clock;
use crate::learn;
use crate::state::Gateway;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use trunkline_model::feedback::Feedback;
use trunkline_model::id::RequestId;
use trunkline_model::record::RequestRecord;
use trunkline_store::{Query, StoredArms};

/// Words remembered as heard at the most.
const MOST_HEARD: usize = 20_000;
/// Words looked at in one go.
const MOST_AT_ONCE: u32 = 1_000;

/// What was heard so far.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    /// Words given earlier than this, in Unix milliseconds, have been heard.
    since: u64,
    words: HashMap<RequestId, Feedback>,
    /// In the order they were heard; the oldest goes first.
    order: VecDeque<RequestId>,
}

impl Heard {
    /// Nothing heard since what bandits had learned was kept.
    pub(crate) fn after(stored: &[StoredArms]) -> Self {
        let since = stored.iter().map(|arms| arms.saved).max().unwrap_or_else(clock::unix_milliseconds);
        Self(Mutex::new(Book { since, ..Book::default() }))
    }

    /// Notes a word; `None` when it was heard before, otherwise what was heard of the same answer earlier.
    #[expect(clippy::option_option, reason = "heard before and nothing heard are two things")]
    fn note(&self, feedback: &Feedback) -> Option<Option<Feedback>> {
        let mut book = self.0.lock();
        match book.words.insert(feedback.id, feedback.clone()) {
            Some(before) if before == *feedback => None,
            Some(before) => Some(Some(before)),
            None => {
                book.order.push_back(feedback.id);
                while book.order.len() > MOST_HEARD {
                    if let Some(oldest) = book.order.pop_front() {
                        book.words.remove(&oldest);
                    }
                }
                Some(None)
            }
        }
    }
}

/// Hears what a client gave. `before` is what was kept of the same answer earlier.
pub(crate) fn given(
    gateway: &Gateway,
    record: &RequestRecord,
    before: Option<&Feedback>,
    feedback: &Feedback,
) {
    if gateway.heard.note(feedback).is_some() {
        // Most requests were not chosen by a bandit: then there is nobody to tell.
        let _ = learn::heard(&gateway.generation().snapshot, record, before, feedback);
    }
}

/// Looks for what another process brought in, and tells it. Reads databases: not to be called on a thread that serves others.
pub(crate) fn look(gateway: &Arc<Gateway>) {
    let since = gateway.heard.0.lock().since;
    let found = match gateway.learning.given_since(since, MOST_AT_ONCE) {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "new feedback cannot be looked for");
            return;
        }
    };
    let Some(newest) = found.last().map(|feedback| feedback.given) else { return };
    let mut told = 0;
    for feedback in &found {
        let Some(before) = gateway.heard.note(feedback) else { continue };
        let query = Query { id: Some(feedback.id), limit: 1, ..Query::default() };
        let record = gateway.recorder.search(&query).ok().and_then(|page| page.records.into_iter().next());
        let Some(record) = record else { continue };
        if learn::heard(&gateway.generation().snapshot, &record, before.as_ref(), feedback).is_some() {
            told += 1;
        }
    }
    if told > 0 {
        tracing::info!(told, "bandits were told what was said elsewhere");
    }
    // Others of the same millisecond may come yet; what was heard of it is known. A go that was full of one moment goes past it.
    let full = found.len() == MOST_AT_ONCE as usize && newest == since;
    gateway.heard.0.lock().since = if full { newest + 1 } else { newest };
}
