//! How often a check lets a bad answer through.
//!
//! Owns the account of audited answers and the warning it gives. Must not obtain the second opinion: the gateway sends a sample
//! of answers that passed to the better tier and compares. Counts are halved now and then, so that a model that got worse is
//! noticed within thousands of answers and not after millions.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Counts are halved when so many answers were audited.
const HALVE_AT: f64 = 2_000.0;
/// No warning before so many.
const ENOUGH: f64 = 30.0;

/// How the checks of a cascade are checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Audit {
    /// Share of the passed answers that are sent to the better tier as well, 0 to 1.
    pub share: f64,
    /// Answers at least this similar count as agreeing, 0 to 1.
    pub agree: f64,
    /// The error rate beyond which the cascade loses against choosing beforehand, 0 to 1.
    pub break_even: f64,
}

impl Audit {
    /// Whether this answer is audited; `seed` is any uniformly random number of the request.
    #[must_use]
    pub fn chooses(&self, seed: u64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a share of all numbers needs no last bit")]
        let place = seed as f64 / u64::MAX as f64;
        place < self.share
    }
}

/// The account of one route.
#[derive(Debug, Default)]
pub struct AuditBook {
    counts: Mutex<Counts>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    audited: f64,
    wrong: f64,
    all: u64,
}

/// What an account says, to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedAudit {
    /// Audited answers, older ones counting less.
    pub audited: f64,
    /// Those of them that were wrong.
    pub wrong: f64,
    /// All that were ever audited.
    pub all: u64,
}

/// What the account says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AuditReport {
    /// Answers audited since the start.
    pub audited: u64,
    /// Share of them that the better tier disagreed with, lately.
    pub error_rate: f64,
    /// The lower end of its 95 % interval (Wilson).
    pub at_least: f64,
    /// The rate is beyond the break-even, and not by chance.
    pub loses: bool,
}

impl AuditBook {
    /// Counts one audited answer, and tells what the account says with it.
    pub fn count(&self, audit: &Audit, agreed: bool) -> AuditReport {
        let mut counts = self.counts.lock();
        counts.audited += 1.0;
        counts.all += 1;
        counts.wrong += f64::from(u8::from(!agreed));
        if counts.audited >= HALVE_AT {
            counts.audited /= 2.0;
            counts.wrong /= 2.0;
        }
        counts.report(audit)
    }

    /// What it says, to be kept.
    #[must_use]
    pub fn saved(&self) -> SavedAudit {
        let Counts { audited, wrong, all } = *self.counts.lock();
        SavedAudit { audited, wrong, all }
    }

    /// Takes up what an account said, where this one has counted nothing yet; false for what no account says.
    pub fn restore(&self, saved: &SavedAudit) -> bool {
        let SavedAudit { audited, wrong, all } = *saved;
        if !(0.0..=HALVE_AT).contains(&audited) || !(0.0..=audited).contains(&wrong) {
            return false;
        }
        let mut counts = self.counts.lock();
        if counts.all == 0 {
            *counts = Counts { audited, wrong, all };
        }
        true
    }

    /// What the account says.
    #[must_use]
    pub fn report(&self, audit: &Audit) -> AuditReport {
        self.counts.lock().report(audit)
    }
}

impl Counts {
    fn report(&self, audit: &Audit) -> AuditReport {
        if self.audited <= 0.0 {
            return AuditReport { audited: 0, error_rate: 0.0, at_least: 0.0, loses: false };
        }
        let (count, rate) = (self.audited, self.wrong / self.audited);
        let z = 1.96_f64;
        let spread = z * (rate * (1.0 - rate) / count + z * z / (4.0 * count * count)).sqrt();
        let at_least = ((rate + z * z / (2.0 * count) - spread) / (1.0 + z * z / count)).max(0.0);
        let loses = count >= ENOUGH && at_least > audit.break_even;
        AuditReport { audited: self.all, error_rate: rate, at_least, loses }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AUDIT: Audit = Audit { share: 0.1, agree: 0.8, break_even: 0.25 };

    #[test]
    fn a_check_that_errs_too_often_is_found_and_a_good_one_is_not() {
        let (bad, good) = (AuditBook::default(), AuditBook::default());
        for number in 0..200 {
            bad.count(&AUDIT, number % 2 == 0);
            good.count(&AUDIT, number % 10 != 0);
        }
        assert!(bad.report(&AUDIT).loses && !good.report(&AUDIT).loses);
        let few = AuditBook::default();
        assert!(!(0..10).map(|_| few.count(&AUDIT, false)).last().unwrap().loses);
    }

    #[test]
    fn an_account_is_taken_up_where_it_was_left() {
        let (before, after) = (AuditBook::default(), AuditBook::default());
        for number in 0..50 {
            before.count(&AUDIT, number % 2 == 0);
        }
        assert!(after.restore(&before.saved()));
        assert_eq!(after.report(&AUDIT), before.report(&AUDIT));
        assert!(after.restore(&SavedAudit::default()), "what was counted since stays");
        assert_eq!(after.report(&AUDIT), before.report(&AUDIT));
        for (audited, wrong) in [(1.0, 2.0), (-1.0, 0.0), (f64::NAN, 0.0), (1e9, 0.0)] {
            assert!(!AuditBook::default().restore(&SavedAudit { audited, wrong, all: 1 }));
        }
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_rate(outcomes in proptest::collection::vec(any::<bool>(), 1..5_000)) {
            let book = AuditBook::default();
            for agreed in &outcomes {
                let report = book.count(&AUDIT, *agreed);
                prop_assert!((0.0..=1.0).contains(&report.error_rate));
                prop_assert!(report.at_least <= report.error_rate + 1e-9);
            }
            prop_assert_eq!(book.report(&AUDIT).audited, outcomes.len() as u64);
        }

        #[test]
        fn the_share_is_kept(share in 0.0_f64..1.0) {
            let audit = Audit { share, ..AUDIT };
            let chosen = (0..10_000_u64).filter(|step| audit.chooses(step * (u64::MAX / 10_000))).count();
            prop_assert!((chosen as f64 / 10_000.0 - share).abs() < 0.001);
        }
    }
}
