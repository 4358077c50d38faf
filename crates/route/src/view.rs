//! How one deployment fares at this moment, as choosing sees it.
//!
//! Owns the value that health hands to the filter and the balancers, and the trait it comes through. Must not know how it was
//! measured. It is a copy, not a reference into live state: a decision sees one state of each deployment from its first line to
//! its last, which is what makes it repeatable.

use crate::fleet::DeploymentIndex;
use crate::steps::ArmView;
use std::cmp::Ordering;
use std::time::Duration;
use trunkline_model::dialect::Delivery;
use trunkline_model::id::Name;
use trunkline_model::moment::Moment;
use trunkline_model::money::NanoDollars;

/// The state of one deployment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Whether it takes requests.
    pub availability: Availability,
    /// Requests it is working on for us.
    pub outstanding: u32,
    /// Peak-weighted moving average of the time to the first token of streams, penalties for refusals included; `None` before the
    /// first observation. In a request's candidates: of answers that come as this one is to come.
    pub latency: Option<Duration>,
    /// The same of the time to answers that come whole.
    pub whole_latency: Option<Duration>,
    /// Share of the provider's rate limits that is left, 0 to 1; 1 when nothing is known.
    pub headroom: f32,
    /// Failures in a row.
    pub failures: u32,
}

impl View {
    /// A deployment nobody has used yet.
    pub const FRESH: Self = Self {
        availability: Availability::Open,
        outstanding: 0,
        latency: None,
        whole_latency: None,
        headroom: 1.0,
        failures: 0,
    };

    /// As a request sees it whose answer is to come like this.
    #[must_use]
    pub const fn seen_for(self, delivery: Delivery) -> Self {
        match delivery {
            Delivery::Stream => self,
            Delivery::Plain => Self { latency: self.whole_latency, ..self },
        }
    }
}

/// Whether a deployment takes requests, and when again if not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It does.
    Open,
    /// The provider's rate limit holds it back.
    RateLimited {
        /// When it lets requests through again.
        until: Moment,
    },
    /// Its circuit breaker is open.
    Broken {
        /// When the next probe is due.
        until: Moment,
        /// The wait is over and no probe is under way: one request may try it, and it ranks like an open one.
        probe: bool,
    },
    /// The provider rejected our credentials; no request can succeed.
    CredentialsOut {
        /// When they are tried again.
        until: Moment,
    },
    /// The quota of our account is used up; no request can succeed.
    QuotaExhausted {
        /// When it is tried again.
        until: Moment,
    },
    /// A configured limit of ours is reached.
    Full,
}

impl Availability {
    /// Whether a request sent now has a fair chance.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Open | Self::Broken { probe: true, .. })
    }

    /// The name used in explanations and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::RateLimited { .. } => "rate_limited",
            Self::Broken { probe: false, .. } => "broken",
            Self::Broken { probe: true, .. } => "probing",
            Self::CredentialsOut { .. } => "credentials_out",
            Self::QuotaExhausted { .. } => "quota_exhausted",
            Self::Full => "full",
        }
    }

    /// Orders by how bad it would be to have to use it: usable ones are equal, then comes what is back soonest. A full
    /// deployment may have room with the next answer; one without credentials is the last resort of all.
    #[must_use]
    pub fn compare(self, other: Self) -> Ordering {
        self.badness().cmp(&other.badness())
    }

    const fn badness(self) -> (u8, u64) {
        match self {
            Self::Open | Self::Broken { probe: true, .. } => (0, 0),
            Self::Full => (1, 0),
            Self::RateLimited { until } | Self::Broken { until, probe: false } => (2, until.as_micros()),
            Self::CredentialsOut { until } | Self::QuotaExhausted { until } => (3, until.as_micros()),
        }
    }
}

/// Where views come from: live health in the server, a recording in `replay`, an invention in `simulate`.
pub trait Views {
    /// The state of a deployment of the fleet at `now`.
    fn view(&self, index: DeploymentIndex, now: Moment) -> View;

    /// What a bandit had learned of its tiers when the decision that is made again was made; `None` for what it knows now.
    fn arms(&self, step: &str) -> Option<&[(Name, ArmView)]> {
        let _ = step;
        None
    }

    /// What requests of a route have cost on this day (days since the Unix epoch, UTC); `None` where nobody counts.
    fn spent(&self, route: &str, day: u64) -> Option<NanoDollars> {
        let _ = (route, day);
        None
    }
}

/// Every deployment fresh and open: for offline explanations without a running server.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllFresh;

impl Views for AllFresh {
    fn view(&self, _index: DeploymentIndex, _now: Moment) -> View {
        View::FRESH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_back_soonest_is_the_least_bad() {
        let at = Moment::from_micros;
        let mut states = [
            Availability::CredentialsOut { until: at(2) },
            Availability::QuotaExhausted { until: at(1) },
            Availability::Broken { until: at(30), probe: false },
            Availability::RateLimited { until: at(20) },
            Availability::Full,
            Availability::Open,
        ];
        states.sort_by(|one, other| one.compare(*other));
        let names = states.map(Availability::name);
        assert_eq!(names, ["open", "full", "rate_limited", "broken", "quota_exhausted", "credentials_out"]);
        let probing = Availability::Broken { until: at(30), probe: true };
        assert!(probing.is_usable());
        assert_eq!(probing.compare(Availability::Open), Ordering::Equal);
    }
}
