//! Lines that go to a provider's own batch API, because it is cheaper there.
//!
//! Owns the choice of such lines, their way there and back, and what is remembered of it between two looks. Must not know a provider's
//! form: calls and answers are made and read in `providers`. Lines of one batch for one deployment become one handover. It is written
//! down before anything is sent and carries a mark, so that it is found again after a crash; whatever cannot be done this way goes
//! back into the queue, where each line is a request of its own.

mod carrier;
mod decision;
mod exchange;
mod gathering;
mod results;
mod schedule;

pub(super) use carrier::{Carried, carry};
pub(super) use gathering::gather;
pub(crate) use schedule::DeskFigures;
pub(super) use schedule::{Calendar, Desk};

use super::line::Order;
use crate::clock;
use crate::state::Gateway;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use trunkline_store::{BatchStatus, BatchStoreError, Batches, StoredBatch};

/// The least time a batch must have left for its lines to be handed over: providers promise their answers within a day or more.
const LEAST_TIME: u64 = 24 * 3_600 - MARGIN;
/// How much less than a provider's own time a batch may have left, in seconds.
const MARGIN: u64 = 3_600;
/// How long after a batch's time, or after it was cancelled, a provider that cannot be asked is waited for, in seconds.
const GRACE: u64 = 900;

/// What is kept of a handover beside its name.
#[derive(Clone, Debug, Serialize)]
struct Particulars {
    /// The name under which its lines ask.
    endpoint: String,
}

impl Particulars {
    fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Whether lines of a batch may be handed over, as far as the batch goes.
fn has_time(batch: &StoredBatch, now: u64) -> bool {
    batch.status == BatchStatus::InProgress && now.saturating_add(LEAST_TIME) <= batch.times.expires
}

/// Whether nothing more is to be waited for: the batch was cancelled, or its time is over.
fn is_stopped(batch: &StoredBatch, now: u64) -> bool {
    batch.status == BatchStatus::Cancelling || now >= batch.times.expires
}

/// Whether a provider was waited for long enough after that.
fn is_overdue(batch: &StoredBatch, now: u64) -> bool {
    let cancelled = batch.times.cancelling.is_some_and(|at| now >= at.saturating_add(GRACE));
    cancelled || now >= batch.times.expires.saturating_add(GRACE)
}

/// The name a line has at the provider.
fn line_name(handover: &str, number: u64) -> String {
    format!("{handover}-{number}")
}

/// The number of a line by its name at the provider; `None` when it is not one of this handover.
fn line_number(handover: &str, name: &str) -> Option<u64> {
    name.strip_prefix(handover)?.strip_prefix('-')?.parse().ok()
}

/// The name of a new handover. Providers take letters, digits, `_` and `-`, 64 of them.
fn new_name() -> String {
    crate::case::new_id().to_string().to_ascii_lowercase()
}

/// How long until a provider is asked again about a batch of some age: a tenth of it, from one second to five minutes.
fn interval(age: Duration) -> Duration {
    (age / 10).clamp(Duration::from_secs(1), Duration::from_secs(300))
}

/// How long until something is tried again that failed so many times, unless the provider says when.
fn backoff(troubles: u32, asked: Option<Duration>) -> Duration {
    let usual = Duration::from_secs(2).saturating_mul(2_u32.saturating_pow(troubles.min(20)));
    asked.unwrap_or(usual).clamp(Duration::from_secs(1), Duration::from_secs(600))
}

fn age(since: u64) -> Duration {
    Duration::from_secs(clock::unix_seconds().saturating_sub(since))
}

/// Uses the store on a thread that may wait for a disk, until it works.
async fn write<T: Send + 'static>(
    gateway: &Gateway,
    act: impl Fn(&Batches) -> Result<T, BatchStoreError> + Send + Sync + 'static,
) -> T {
    let act = Arc::new(act);
    loop {
        let (store, act) = (gateway.batches.clone(), Arc::clone(&act));
        if let Some(value) = super::worker::act(move || act(&store)).await {
            return value;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A batch as its lines need it.
fn order(batch: &StoredBatch) -> Order {
    Order {
        id: batch.id.clone(),
        owner: batch.owner.clone(),
        kind: batch.kind.clone(),
        details: super::details::Details::read(&batch.details),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_store::{BatchCounts, BatchTimes, BatchUsage};

    #[test]
    fn lines_are_known_by_names_that_every_provider_takes() {
        let handover = new_name();
        let name = line_name(&handover, 100_000);
        assert!(name.len() <= 64, "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{name}");
        assert_eq!(line_number(&handover, &name), Some(100_000));
        for other in ["", "1", &handover, &format!("{handover}-x"), &format!("{handover}1-1"), "other-1"] {
            assert_eq!(line_number(&handover, other), None, "{other}");
        }
    }

    #[test]
    fn providers_are_asked_more_and_more_rarely() {
        let at = |seconds| interval(Duration::from_secs(seconds)).as_secs();
        assert_eq!((at(0), at(60), at(3_000), at(86_400)), (1, 6, 300, 300));
        let after = |troubles| backoff(troubles, None).as_secs();
        assert_eq!((after(0), after(3), after(60)), (2, 16, 600));
        assert_eq!(
            backoff(0, Some(Duration::from_secs(90))),
            Duration::from_secs(90),
            "the provider's own time"
        );
    }

    #[test]
    fn there_must_be_a_day_and_not_much_less() {
        let batch = |status, expires, cancelling| StoredBatch {
            id: String::new(),
            owner: String::new(),
            kind: String::new(),
            status,
            times: BatchTimes { expires, cancelling, ..BatchTimes::default() },
            counts: BatchCounts::default(),
            usage: BatchUsage::default(),
            input_file: None,
            output_file: None,
            error_file: None,
            details: String::new(),
            errors: None,
        };
        let running = |expires| batch(BatchStatus::InProgress, expires, None);
        assert!(has_time(&running(86_400), 100) && !has_time(&running(3_600), 100));
        assert!(!has_time(&batch(BatchStatus::Cancelling, 86_400, Some(1)), 100));
        assert!(!is_stopped(&running(86_400), 100) && is_stopped(&running(86_400), 86_400));
        assert!(!is_overdue(&running(100), 999) && is_overdue(&running(100), 1_000));
        let cancelled = batch(BatchStatus::Cancelling, 86_400, Some(100));
        assert!(is_stopped(&cancelled, 100) && !is_overdue(&cancelled, 999) && is_overdue(&cancelled, 1_000));
    }
}
