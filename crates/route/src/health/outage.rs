//! Credentials that a provider rejected.
//!
//! Owns the cool-down and the reason. Must not know the credential itself, only that several deployments share it. After the
//! cool-down one call at a time tests it: a herd of requests with a bad key would get it blocked.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::moment::Moment;

/// How long a test after the cool-down keeps the others away.
const TEST: Duration = Duration::from_secs(10);

/// The state of one credential, shared by every deployment that uses it.
#[derive(Debug, Default)]
pub struct CredentialHealth {
    /// Microseconds of the moment until which it is out; 0 when it is good.
    until: AtomicU64,
    reason: Mutex<Option<OutageReason>>,
}

/// Why a credential is out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutageReason {
    /// Rejected, or its quota used up.
    pub class: FailureClass,
    /// The upstream's HTTP status.
    pub status: Option<u16>,
    /// The provider's own words, free of secrets.
    pub message: String,
}

impl CredentialHealth {
    /// Takes it out from now on for a while.
    pub(super) fn reject(&self, failure: &Failure, cooldown: Duration, now: Moment) {
        *self.reason.lock() = Some(OutageReason {
            class: failure.class,
            status: failure.status,
            message: failure.message.clone(),
        });
        self.until.store((now + cooldown).as_micros().max(1), Ordering::Relaxed);
    }

    /// Takes it back: a call with it succeeded.
    pub(super) fn accept(&self) {
        if self.until.load(Ordering::Relaxed) != 0 {
            self.until.store(0, Ordering::Relaxed);
            *self.reason.lock() = None;
        }
    }

    /// A call starts: when the cool-down is over it becomes the test, and others keep away meanwhile.
    pub(super) fn begin(&self, now: Moment) {
        let until = self.until.load(Ordering::Relaxed);
        if until != 0 && now.as_micros() >= until {
            // Losing this race is harmless: another call is the test then.
            let _ = self.until.compare_exchange(
                until,
                (now + TEST).as_micros(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    /// Until when it is out, if it is.
    #[must_use]
    pub fn out_until(&self, now: Moment) -> Option<Moment> {
        let until = Moment::from_micros(self.until.load(Ordering::Relaxed));
        (until > now).then_some(until)
    }

    /// The kind of that reason.
    pub(super) fn class(&self) -> Option<FailureClass> {
        self.reason.lock().as_ref().map(|reason| reason.class)
    }

    /// Why it is out (or was, until a test succeeds).
    #[must_use]
    pub fn reason(&self) -> Option<OutageReason> {
        self.reason.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_cool_down_one_call_tests_and_the_others_keep_away() {
        let credential = CredentialHealth::default();
        let at = |seconds: u64| Moment::from_micros(seconds * 1_000_000);
        let failure = Failure::new(FailureClass::Credentials, "invalid x-api-key").with_status(401);
        credential.reject(&failure, Duration::from_secs(60), at(5));
        assert_eq!(credential.out_until(at(64)), Some(at(65)));
        assert_eq!(credential.out_until(at(65)), None);
        credential.begin(at(65));
        assert_eq!(credential.out_until(at(65)), Some(at(75)));
        assert_eq!(credential.reason().expect("it was rejected").message, "invalid x-api-key");
        credential.accept();
        assert_eq!((credential.out_until(at(65)), credential.reason()), (None, None));
    }
}
