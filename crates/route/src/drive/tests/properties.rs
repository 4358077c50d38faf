//! What the machine never does, whatever happens: arbitrary plans, arbitrary views that change at will, arbitrary reports in
//! arbitrary order, early and late.

use super::*;
use crate::plan::{Hedge, HedgeDelay};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// What is reported of one of the running attempts.
#[derive(Clone, Debug)]
enum Report {
    HedgeDue,
    Leads,
    Succeeded,
    Failed { class: FailureClass, retry_after: Option<Duration>, commit: Commit },
}

#[derive(Clone, Debug)]
struct Event {
    after: Duration,
    which: usize,
    report: Report,
}

/// Views that look different at every moment.
struct Weather(u64);

impl Views for Weather {
    fn view(&self, index: DeploymentIndex, now: Moment) -> View {
        let mut bits =
            self.0 ^ now.as_micros().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(index.0) << 32;
        bits = (bits ^ (bits >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let until = now + Duration::from_micros(((bits >> 40) % 30_000_000) >> ((bits >> 8) % 25));
        let availability = match (bits >> 3) % 8 {
            0 => Availability::RateLimited { until },
            1 => Availability::Broken { until, probe: false },
            2 => Availability::Broken { until, probe: true },
            3 => Availability::CredentialsOut { until },
            4 => Availability::Full,
            _ => Availability::Open,
        };
        View { availability, ..View::FRESH }
    }
}

fn class() -> impl Strategy<Value = FailureClass> {
    prop::sample::select(FailureClass::ALL.to_vec())
}

fn report() -> impl Strategy<Value = Report> {
    prop_oneof![
        1 => Just(Report::HedgeDue),
        1 => Just(Report::Leads),
        1 => Just(Report::Succeeded),
        9 => (class(), prop::option::of(0u64..30_000), prop::bool::weighted(0.2)).prop_map(
            |(class, retry_after, committed)| Report::Failed {
                class,
                retry_after: retry_after.map(Duration::from_millis),
                commit: if committed { Commit::After } else { Commit::Before },
            }
        ),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    (0u64..20_000_000, any::<usize>(), report()).prop_map(|(after, which, report)| Event {
        after: Duration::from_micros(after),
        which,
        report,
    })
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let list = || prop::collection::vec(0u32..8, 0..6).prop_map(|indexes| legs(&indexes));
    (list(), list(), list(), (list(), list()), 0u32..7, 1u64..240_000, any::<bool>(), any::<bool>()).prop_map(
        |(
            legs,
            on_rate_limit,
            on_context_length,
            (on_content_filter, on_bad_answer),
            attempts,
            total,
            hedge,
            continuation,
        )| Plan {
            legs,
            on_rate_limit,
            on_context_length,
            on_content_filter,
            on_bad_answer,
            inspection: None,
            conceded: Default::default(),
            timeouts: Timeouts { total: Duration::from_millis(total), ..Timeouts::default() },
            attempts,
            hedge: hedge.then_some(Hedge { after: HedgeDelay::Quantile(0.95), spend_cap: 0.05 }),
            continuation,
        },
    )
}

/// The gateway of a bad day: does what the machine says and reports what the script says.
struct Day {
    drive: Drive,
    weather: Weather,
    now: Moment,
    running: Vec<Attempt>,
    /// Attempts handed out and not taken back as unsent.
    upstream: u32,
    visited: BTreeSet<u32>,
}

impl Day {
    fn start(&mut self, attempt: Attempt, plan: &Plan) {
        let left = (Moment::ORIGIN + plan.timeouts.total).since(self.now);
        assert!(!left.is_zero(), "started after the deadline");
        assert_eq!(attempt.deadline, Moment::ORIGIN + plan.timeouts.total);
        assert!(attempt.connect <= left && attempt.first_token <= left && attempt.between_tokens <= left);
        assert!(
            self.running.iter().all(|running| running.leg.deployment != attempt.leg.deployment),
            "two attempts at once on the same deployment"
        );
        self.upstream += 1;
        assert!(self.upstream <= plan.attempts, "more upstream calls than the plan allows");
        assert_eq!(self.upstream, self.drive.attempts());
        self.visited.insert(index(&attempt));
        self.running.push(attempt);
    }

    fn report(&mut self, event: &Event, plan: &Plan) {
        self.now = self.now + event.after;
        let which = event.which % self.running.len();
        let number = self.running[which].number;
        match &event.report {
            Report::HedgeDue => {
                if let Some(hedge) = self.drive.hedge_due(self.now, &self.weather) {
                    self.start(hedge, plan);
                }
            }
            Report::Leads => {
                let losers = self.drive.leads(number);
                self.running.retain(|running| !losers.contains(&running.number));
                assert_eq!(self.running.len(), 1);
            }
            Report::Succeeded => {
                self.drive.succeeded(number);
                self.running.clear();
            }
            Report::Failed { class, retry_after, commit } => {
                self.running.remove(which);
                if *commit == Commit::After || *class == FailureClass::ClientGone {
                    self.running.clear();
                }
                let unsent = matches!(class, FailureClass::Unsupported | FailureClass::LocalLimit);
                self.upstream -= u32::from(unsent);
                self.drive.failed(number, failure(*class).with_retry_after(*retry_after), *commit, self.now);
            }
        }
    }
}

/// Plays a script to its end; returns where attempts went.
fn play(plan: &Plan, script: Vec<Event>, weather: u64) -> BTreeSet<u32> {
    let mut day = Day {
        drive: drive(plan.clone()),
        weather: Weather(weather),
        now: Moment::ORIGIN,
        running: Vec::new(),
        upstream: 0,
        visited: BTreeSet::new(),
    };
    let last = Event {
        after: Duration::ZERO,
        which: 0,
        report: Report::Failed { class: FailureClass::Server, retry_after: None, commit: Commit::Before },
    };
    let mut script = script.into_iter();
    // Attempts, twice the deployments (refused locally), the script's reports without effect and the bounded waits.
    for step in 0..200u64 {
        match day.drive.next(day.now, &day.weather, weather.rotate_left(step as u32)) {
            Next::Try(attempt) => day.start(attempt, plan),
            Next::Wait { until } => {
                assert!(until > day.now && until < day.drive.deadline());
                assert!(day.running.is_empty());
                day.now = until;
            }
            Next::Await => {
                assert!(!day.running.is_empty(), "waiting for nothing");
                day.report(&script.next().unwrap_or_else(|| last.clone()), plan);
            }
            Next::Served | Next::Fail(_) => {
                assert!(day.running.is_empty(), "ended while an attempt runs");
                return day.visited;
            }
        }
    }
    panic!("it does not end");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn attempts_and_deadline_hold_and_it_always_ends(
        plan in any_plan(),
        script in prop::collection::vec(event(), 0..40),
        weather in any::<u64>(),
    ) {
        play(&plan, script, weather);
    }

    #[test]
    fn only_deployments_of_the_plan_are_tried(
        plan in any_plan(),
        script in prop::collection::vec(event(), 0..40),
        weather in any::<u64>(),
    ) {
        let allowed: BTreeSet<u32> =
            [&plan.legs, &plan.on_rate_limit, &plan.on_context_length, &plan.on_content_filter, &plan.on_bad_answer]
                .into_iter()
                .flatten()
                .map(|leg| leg.deployment.index().0)
                .collect();
        prop_assert!(play(&plan, script, weather).is_subset(&allowed));
    }

    #[test]
    fn the_same_inputs_give_the_same_attempts(
        plan in any_plan(),
        script in prop::collection::vec(event(), 0..20),
        weather in any::<u64>(),
    ) {
        prop_assert_eq!(play(&plan, script.clone(), weather), play(&plan, script, weather));
    }
}
