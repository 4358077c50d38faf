//! What goes wrong in the demo, and when.
//!
//! Owns the timetable and who was taken down by hand. Must not do anything: time is an argument, and what follows is a value.
//! A short run plays the whole timetable once, compressed; a long one repeats it.

use super::providers::{Provider, Trouble, retry_after};
use std::time::Duration;

/// The length of the timetable when there is time for all of it.
const FULL: Duration = Duration::from_secs(60);

/// One entry of the timetable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Who is in trouble.
    pub(super) provider: Provider,
    /// What kind.
    pub(super) trouble: Trouble,
    from: Duration,
    until: Duration,
}

/// What is going on at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// Nothing; this comes next.
    Calm {
        /// The next entry of the timetable.
        next: Event,
        /// When.
        after: Duration,
    },
    /// An entry of the timetable.
    Scripted {
        /// Which one.
        event: Event,
        /// For how long so far.
        since: Duration,
        /// For how much longer.
        left: Duration,
    },
    /// The user took a provider down.
    ByHand {
        /// Which one.
        provider: Provider,
        /// For how long so far.
        since: Duration,
    },
}

/// The timetable and the user's own outages.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    period: Duration,
    events: [Event; 3],
    by_hand: Vec<(Provider, Duration)>,
}

impl Scenario {
    /// The timetable of a run of this length; `None` runs until stopped.
    pub(super) fn new(run: Option<Duration>) -> Self {
        let period = run.unwrap_or(FULL).min(FULL);
        let event = |provider, from: f64, until: f64, trouble: fn(Duration) -> Trouble| {
            let (from, until) = (period.mul_f64(from), period.mul_f64(until));
            Event { provider, trouble: trouble(until - from), from, until }
        };
        let events = [
            event(Provider::OpenAi, 0.15, 0.35, |_| Trouble::Down),
            event(Provider::Anthropic, 0.48, 0.62, retry_after),
            event(Provider::Gemini, 0.74, 0.86, |_| Trouble::Silent),
        ];
        Self { period, events, by_hand: Vec::new() }
    }

    /// What is wrong with a provider at a moment of the run.
    pub(super) fn trouble(&self, provider: Provider, elapsed: Duration) -> Option<Trouble> {
        if self.by_hand.iter().any(|(down, _)| *down == provider) {
            return Some(Trouble::Down);
        }
        let at = self.phase(elapsed);
        let now = self.events.iter().find(|event| event.provider == provider && event.holds(at));
        now.map(|event| event.trouble)
    }

    /// What the banner tells: the user's own doing first.
    pub(super) fn happening(&self, elapsed: Duration) -> Happening {
        if let Some((provider, at)) = self.by_hand.last() {
            return Happening::ByHand { provider: *provider, since: elapsed.saturating_sub(*at) };
        }
        let at = self.phase(elapsed);
        if let Some(event) = self.events.iter().find(|event| event.holds(at)) {
            return Happening::Scripted { event: *event, since: at - event.from, left: event.until - at };
        }
        let [first, ..] = self.events;
        let next = self.events.iter().find(|event| event.from > at);
        match next {
            Some(next) => Happening::Calm { next: *next, after: next.from - at },
            None => Happening::Calm { next: first, after: self.period + first.from - at },
        }
    }

    /// Takes a provider down, or brings it back.
    pub(super) fn toggle(&mut self, provider: Provider, elapsed: Duration) {
        let before = self.by_hand.len();
        self.by_hand.retain(|(down, _)| *down != provider);
        if self.by_hand.len() == before {
            self.by_hand.push((provider, elapsed));
        }
    }

    /// Whether the user has taken a provider down: then errors are their own doing.
    pub(super) fn is_by_hand(&self) -> bool {
        !self.by_hand.is_empty()
    }

    fn phase(&self, elapsed: Duration) -> Duration {
        let period = self.period.as_micros().max(1);
        Duration::from_micros(u64::try_from(elapsed.as_micros() % period).unwrap_or(0))
    }
}

impl Event {
    fn holds(&self, at: Duration) -> bool {
        (self.from..self.until).contains(&at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(scenario: &Scenario, milliseconds: u64) -> [Option<Trouble>; 3] {
        let elapsed = Duration::from_millis(milliseconds);
        [Provider::OpenAi, Provider::Anthropic, Provider::Gemini]
            .map(|provider| scenario.trouble(provider, elapsed))
    }

    #[test]
    fn a_short_run_plays_every_event_and_never_two_at_once() {
        let scenario = Scenario::new(Some(Duration::from_secs(6)));
        let mut seen = [false; 3];
        for milliseconds in 0..6_000 {
            let now = at(&scenario, milliseconds).map(|trouble| trouble.is_some());
            assert!(now.iter().filter(|trouble| **trouble).count() <= 1);
            for (seen, now) in seen.iter_mut().zip(now) {
                *seen |= now;
            }
        }
        assert_eq!(seen, [true; 3]);
        assert_eq!(at(&scenario, 5_999), [None; 3], "it ends well");
    }

    #[test]
    fn a_long_run_repeats_the_timetable() {
        let scenario = Scenario::new(None);
        let later = Scenario::new(Some(Duration::from_secs(600)));
        for seconds in 0..60 {
            assert_eq!(at(&scenario, seconds * 1_000), at(&scenario, (seconds + 60) * 1_000));
            assert_eq!(at(&scenario, seconds * 1_000), at(&later, (seconds + 120) * 1_000));
        }
    }

    #[test]
    fn a_provider_taken_down_by_hand_stays_down_until_it_is_brought_back() {
        let mut scenario = Scenario::new(None);
        let start = Duration::from_secs(1);
        scenario.toggle(Provider::Edge, start);
        for seconds in 1..100 {
            assert_eq!(scenario.trouble(Provider::Edge, Duration::from_secs(seconds)), Some(Trouble::Down));
        }
        let since = Duration::from_secs(4);
        assert_eq!(scenario.happening(start + since), Happening::ByHand { provider: Provider::Edge, since });
        scenario.toggle(Provider::Edge, start + since);
        assert!(!scenario.is_by_hand());
        assert_eq!(scenario.trouble(Provider::Edge, start + since), None);
    }

    #[test]
    fn the_calm_knows_what_comes_next_even_in_the_next_round() {
        let scenario = Scenario::new(None);
        let Happening::Calm { next, after } = scenario.happening(Duration::from_secs(59)) else {
            panic!("calm")
        };
        assert_eq!(next.provider, Provider::OpenAi);
        assert_eq!(
            at(&scenario, 59_000 + u64::try_from(after.as_millis()).unwrap() + 1)[0],
            Some(Trouble::Down)
        );
    }
}
