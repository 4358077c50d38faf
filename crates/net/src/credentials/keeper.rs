//! One credential for each source, and the task that keeps it fresh.
//!
//! Owns the states a source goes through and the times between them. A credential is renewed when three quarters of its life
//! are over or five minutes before its end, whichever is later, so that short ones are not renewed all the time; one that
//! could not be renewed serves until it expires.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use trunkline_model::credential::{CredentialSource, Issued};

use super::step;
use crate::Transport;

/// The most sources kept.
const MOST_SOURCES: usize = 1_024;
/// The pause after the first failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long before its end a credential that lives long is renewed.
const AHEAD: Duration = Duration::from_secs(300);
/// A credential is not renewed more often than this, however often it is rejected.
const SHORTEST_LIFE: Duration = Duration::from_secs(10);

/// Why a request has no credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// It cannot be obtained: a sentence for the operator, without secrets.
    #[error("obtain a credential: {0}")]
    Failed(Arc<str>),
    /// The first one has not come yet.
    #[error("obtain a credential within {0:?}")]
    Late(Duration),
    /// There are too many sources.
    #[error("obtain a credential: {MOST_SOURCES} sources are in use already")]
    Full,
}

/// Keeps credentials fresh. Cheap to clone; the tasks end when the last clone is gone or a source is no longer wanted.
#[derive(Clone, Debug)]
pub struct Keeper {
    transport: Transport,
    slots: Arc<Mutex<HashMap<String, Slot>>>,
    now: WallClock,
}

/// Seconds since the Unix epoch; tests have their own.
type WallClock = fn() -> u64;

#[derive(Clone, Debug)]
struct Slot {
    state: watch::Receiver<State>,
    rejected: Arc<Notify>,
}

#[derive(Clone, Debug)]
enum State {
    Unknown,
    Held(Arc<Issued>),
    Failed(Arc<str>),
}

impl Keeper {
    /// A keeper that fetches over this transport.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
        Self { transport, slots: Arc::default(), now: unix_seconds }
    }

    /// The source's credential. Waits only while there is none yet, at most `patience`.
    ///
    /// # Errors
    /// When it cannot be obtained, or not in time.
    pub async fn credential(
        &self,
        source: &Arc<dyn CredentialSource>,
        patience: Duration,
    ) -> Result<Arc<Issued>, CredentialError> {
        let mut slot = self.slot(source)?;
        if let Some(known) = known(&slot.state.borrow(), self.now) {
            return known;
        }
        let waited =
            tokio::time::timeout(patience, slot.state.wait_for(|state| known(state, self.now).is_some()))
                .await;
        match waited {
            Ok(Ok(state)) => known(&state, self.now).unwrap_or(Err(CredentialError::Late(patience))),
            // The task ends only when nobody wants the source any more.
            Ok(Err(_)) | Err(_) => Err(CredentialError::Late(patience)),
        }
    }

    /// Begins to obtain a credential without waiting for it. Needs a runtime.
    pub fn warm(&self, source: &Arc<dyn CredentialSource>) {
        if let Err(error) = self.slot(source) {
            tracing::warn!("failed to {error}");
        }
    }

    /// The provider rejected the source's credential: a new one is obtained at once, unless it is a few seconds old.
    pub fn rejected(&self, source: &Arc<dyn CredentialSource>) {
        if let Some(slot) = self.slots.lock().get(source.identity()) {
            slot.rejected.notify_one();
        }
    }

    /// Forgets the sources that are not wanted any more.
    pub fn retain(&self, wanted: impl Fn(&str) -> bool) {
        self.slots.lock().retain(|identity, _| wanted(identity));
    }

    fn slot(&self, source: &Arc<dyn CredentialSource>) -> Result<Slot, CredentialError> {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(source.identity()) {
            return Ok(slot.clone());
        }
        if slots.len() >= MOST_SOURCES {
            return Err(CredentialError::Full);
        }
        let (sender, state) = watch::channel(State::Unknown);
        let rejected = Arc::new(Notify::new());
        let slot = Slot { state, rejected: Arc::clone(&rejected) };
        slots.insert(source.identity().to_owned(), slot.clone());
        let task = Task {
            transport: self.transport.clone(),
            source: Arc::clone(source),
            sender,
            rejected,
            now: self.now,
            pause: FIRST_PAUSE,
        };
        tokio::spawn(task.run());
        Ok(slot)
    }
}

/// What a request gets; `None` while it has to wait.
fn known(state: &State, now: WallClock) -> Option<Result<Arc<Issued>, CredentialError>> {
    match state {
        State::Held(issued) if is_valid(issued, now()) => Some(Ok(Arc::clone(issued))),
        // The task is on its way to a new one: it woke up late, after the machine slept.
        State::Unknown | State::Held(_) => None,
        State::Failed(reason) => Some(Err(CredentialError::Failed(Arc::clone(reason)))),
    }
}

fn is_valid(issued: &Issued, now: u64) -> bool {
    issued.expires.is_none_or(|expires| now < expires)
}

/// What keeps one source's credential.
struct Task {
    transport: Transport,
    source: Arc<dyn CredentialSource>,
    sender: watch::Sender<State>,
    rejected: Arc<Notify>,
    now: WallClock,
    pause: Duration,
}

impl Task {
    /// Obtains and renews until nobody holds a receiver.
    async fn run(mut self) {
        loop {
            let obtained = tokio::select! {
                () = self.sender.closed() => return,
                obtained = step::obtain(&self.transport, self.source.as_ref(), self.now) => obtained,
            };
            let next = match obtained {
                Ok(issued) => self.succeeded(issued),
                Err(reason) => Some(self.failed(&reason)),
            };
            tokio::select! {
                () = self.sender.closed() => return,
                () = sleep_until(next, self.now) => {}
                () = rejection(&self.rejected) => {}
            }
        }
    }

    /// Puts a new credential in use. Gives the time of its renewal.
    fn succeeded(&mut self, issued: Issued) -> Option<u64> {
        let now = (self.now)();
        if !is_valid(&issued, now) {
            return Some(self.failed("the source gave a credential that has expired"));
        }
        self.pause = FIRST_PAUSE;
        let next = renewal(&issued, now);
        self.sender.send_replace(State::Held(Arc::new(issued)));
        next
    }

    /// Notes a failure; what is still valid stays in use. Gives the time of the next try.
    fn failed(&mut self, reason: &str) -> u64 {
        tracing::warn!(reason, "a credential could not be obtained");
        let now = (self.now)();
        self.sender.send_if_modified(|state| match state {
            State::Held(issued) if is_valid(issued, now) => false,
            _ => {
                *state = State::Failed(reason.into());
                true
            }
        });
        let next = now + self.pause.as_secs();
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        next
    }
}

/// A rejection counts once the credential in use has been there for a moment.
async fn rejection(rejected: &Notify) {
    tokio::time::sleep(SHORTEST_LIFE).await;
    rejected.notified().await;
}

/// Waits for a wall time. The monotonic clock stands still while a machine sleeps, hence the looks in between.
async fn sleep_until(unix: Option<u64>, now: WallClock) {
    let Some(unix) = unix else { return std::future::pending().await };
    loop {
        let left = Duration::from_secs(unix.saturating_sub(now()));
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LONGEST_PAUSE)).await;
    }
}

/// When a credential is to be renewed, in Unix seconds; `None` for never.
fn renewal(issued: &Issued, now: u64) -> Option<u64> {
    let life = issued.expires?.saturating_sub(now);
    let rest = (life / 4 * 3).max(life.saturating_sub(AHEAD.as_secs()));
    Some(now + rest.max(1))
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests;
