//! The run itself: a queue of events, the gateway's machines, virtual providers.
//!
//! Owns simulated time. It does for virtual calls what the gateway's `perform` does for real ones, in the same order: decide,
//! ask the machine, begin the call in health, report its end to health and then to the machine.

mod case;
mod event;

use super::provider::CourseFault;
use super::scenario::{Scenario, TroubleKind, Variant};
use super::station::Station;
use super::tally::{Outcome, Tally};
use crate::draw::Draw;
use case::{Case, CaseKey, Cases, Running};
use event::{Agenda, Event};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use trunkline_model::catalogue::{ServiceTier, TokenCounts, price};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::id::RequestId;
use trunkline_model::moment::Moment;
use trunkline_model::money::Cost;
use trunkline_model::record::AttemptKind;
use trunkline_route::balance::Rotation;
use trunkline_route::decide::{DecideInput, decide};
use trunkline_route::drive::{Attempt, AttemptNumber, Commit, Drive, DrivePolicy, Next};
use trunkline_route::estimate::expected_cost;
use trunkline_route::features::WallClock;
use trunkline_route::fleet::DeploymentIndex;
use trunkline_route::health::{FleetHealth, HealthPolicy, Identity};
use trunkline_route::hedge::HedgeBudget;
use trunkline_route::retry_budget::{RetryBudget, RetryBudgetPolicy};

/// The run begins on a Monday at midnight, for rules that read the clock: 5 January 2026, Unix seconds.
const START: u64 = 1_767_571_200;
/// From a request to an error that needs no thought.
const ROUND_TRIP: Duration = Duration::from_millis(50);
/// From a request to a refused connection.
const REFUSED: Duration = Duration::from_millis(1);
/// The answer assumed for limits where the request states none, in tokens; the gateway assumes the same.
const ASSUMED_OUTPUT: u64 = 4_096;
/// Progress is told after so many arrivals.
const TELL: u64 = 2_048;

/// Runs one policy of a scenario over `requests` requests. Equal arguments give equal outcomes, and all policies of a scenario
/// meet the same traffic. `progress` is told how many requests have come.
#[must_use]
pub fn run(
    scenario: &Scenario,
    variant: &Variant,
    requests: u64,
    seed: u64,
    progress: &mut dyn FnMut(u64),
) -> Outcome {
    let mut engine = Engine::new(scenario, variant, requests, seed);
    engine.agenda.add(Moment::ORIGIN, Event::Arrival);
    while let Some((at, event)) = engine.agenda.next() {
        engine.now = at;
        if engine.arrivals.is_multiple_of(TELL) && matches!(event, Event::Arrival) {
            progress(engine.arrivals);
        }
        engine.happen(event);
    }
    progress(requests);
    engine.finish(&variant.name)
}

struct Engine<'a> {
    scenario: &'a Scenario,
    variant: &'a Variant,
    requests: u64,
    seed: u64,
    now: Moment,
    agenda: Agenda,
    arrivals: u64,
    arrival_draw: Draw,
    cases: Cases,
    health: FleetHealth,
    stations: Vec<Station<(CaseKey, AttemptNumber)>>,
    troubles: Vec<Happening>,
    retry_budget: Arc<RetryBudget>,
    hedge_budget: Option<Arc<HedgeBudget>>,
    rotation: Vec<AtomicU64>,
    tally: Tally,
}

/// A trouble with the moments of this run.
struct Happening {
    deployment: DeploymentIndex,
    from: Moment,
    to: Moment,
    kind: TroubleKind,
}

impl<'a> Engine<'a> {
    fn new(scenario: &'a Scenario, variant: &'a Variant, requests: u64, seed: u64) -> Self {
        let fleet = &scenario.fleet;
        let health = FleetHealth::new(fleet, |one| Identity::from(one), HealthPolicy::default(), None, seed);
        let stations = scenario
            .behaviours
            .iter()
            .map(|behaviour| Station::new(behaviour.slots, behaviour.requests_per_minute))
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "the length of a run needs no more than seven digits")]
        let length = Duration::from_secs_f64(requests as f64 / scenario.traffic.per_second);
        let troubles = scenario.troubles.iter().map(|trouble| Happening {
            deployment: trouble.deployment,
            from: trouble.from.of(length),
            to: trouble.to.of(length),
            kind: trouble.kind,
        });
        let places = usize::try_from(requests).unwrap_or(usize::MAX);
        Self {
            scenario,
            variant,
            requests,
            seed,
            now: Moment::ORIGIN,
            agenda: Agenda::default(),
            arrivals: 0,
            arrival_draw: Draw::of(seed, u64::MAX),
            cases: Cases::default(),
            health,
            stations,
            troubles: troubles.collect(),
            retry_budget: Arc::new(RetryBudget::new(RetryBudgetPolicy::default(), Moment::ORIGIN)),
            hedge_budget: variant.route.hedge.map(|hedge| Arc::new(HedgeBudget::new(hedge.spend_cap))),
            rotation: variant.route.tiers().iter().map(|_| AtomicU64::new(0)).collect(),
            tally: Tally::new(places, fleet.len()),
        }
    }

    fn finish(mut self, name: &str) -> Outcome {
        self.tally.breaker_trips = self.health.snapshot(self.now).iter().map(|each| each.trips).sum();
        self.tally.finish(name, self.scenario.fleet.iter().map(|(_, deployment)| &*deployment.id))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrival => self.arrive(),
            Event::Wake(key) => self.step(key),
            Event::HedgeDue(key, number) => self.hedge(key, number),
            Event::FirstToken(key, number) => self.first_token(key, number),
            Event::Ended(key, number) => self.ended(key, number),
            Event::GivenUp(key, number) => self.given_up(key, number),
        }
    }

    fn arrive(&mut self) {
        let number = self.arrivals;
        self.arrivals += 1;
        if self.arrivals < self.requests {
            let wait = self.arrival_draw.exponential(1.0 / self.scenario.traffic.per_second);
            self.agenda.add(self.now + Duration::from_secs_f64(wait), Event::Arrival);
        }
        self.tally.arrived(self.now.since(Moment::ORIGIN));
        let mut draw = Draw::of(self.seed, number);
        let chosen = draw.below(self.scenario.traffic.requests.len());
        let request = &self.scenario.traffic.requests[chosen];
        let seconds = START + self.now.as_micros() / 1_000_000;
        let id = RequestId::new(START * 1_000 + self.now.as_micros() / 1_000, draw.wide());
        let decision = decide(&DecideInput {
            id,
            fleet: &self.scenario.fleet,
            views: &self.health,
            route: &self.variant.route,
            shape: &request.shape,
            prompt: None,
            caller: &request.caller,
            clock: WallClock::from_unix(seconds, 0),
            now: self.now,
            seed: id.seed(),
            rotation: Rotation::Counters(&self.rotation),
            config_version: 0,
        });
        let Ok(plan) = decision.plan else {
            self.tally.failed("no_plan");
            return;
        };
        let budget = Some(Arc::clone(&self.retry_budget));
        let drive = Drive::new(plan, self.now, DrivePolicy::default(), budget);
        let key = self.cases.add(Case::new(drive, number, chosen, self.now));
        self.tally.most_open = self.tally.most_open.max(self.cases.open());
        self.step(key);
    }

    /// Asks the machine and does what it says, until it waits for something.
    fn step(&mut self, key: CaseKey) {
        loop {
            let (now, health) = (self.now, &self.health);
            let Some(case) = self.cases.find(key) else { return };
            let jitter = Draw::of(self.seed ^ 0x6a69_7474, case.number ^ now.as_micros()).bits();
            match case.drive.next(now, health, jitter) {
                Next::Try(attempt) => self.launch(key, &attempt, true),
                Next::Wait { until } => return self.agenda.add(until, Event::Wake(key)),
                Next::Await => return,
                Next::Served => return self.close(key, None),
                Next::Fail(verdict) => return self.close(key, Some(verdict.why.name())),
            }
        }
    }

    fn launch(&mut self, key: CaseKey, attempt: &Attempt, may_hedge: bool) {
        let (now, index) = (self.now, attempt.leg.deployment.index());
        let Some(case) = self.cases.find(key) else { return };
        let request = &self.scenario.traffic.requests[case.request];
        let worst = request.shape.max_output_tokens.unwrap_or(ASSUMED_OUTPUT)
            + request.shape.estimated_input_tokens();
        let health = self.health.deployment(index);
        let delivery = request.shape.delivery;
        let call = match health.begin(worst, delivery, now) {
            Ok(call) => call,
            Err(failure) => return case.drive.failed(attempt.number, failure, case.commit, now),
        };
        self.tally.called(index.position());
        match attempt.kind {
            AttemptKind::Failover => self.tally.failovers += 1,
            AttemptKind::Retry => self.tally.retries += 1,
            AttemptKind::Hedge => self.tally.hedges += 1,
            _ => {}
        }
        let limit = (now + attempt.first_token).min(attempt.deadline);
        case.running.push(Running::new(attempt, call, limit));
        if may_hedge && let Some(delay) = attempt.hedge.and_then(|delay| health.hedge_delay(delay, delivery))
        {
            self.agenda.add(now + delay.max(Duration::from_millis(1)), Event::HedgeDue(key, attempt.number));
        }
        self.send(key, attempt.number, index);
    }

    /// The request reaches the provider, or does not.
    fn send(&mut self, key: CaseKey, number: AttemptNumber, index: DeploymentIndex) {
        let now = self.now;
        match self.trouble(index) {
            Some(TroubleKind::Outage) => {
                return self.fail_after(key, number, REFUSED, Failure::new(FailureClass::Connect, "refused"));
            }
            Some(TroubleKind::RateLimited) => {
                let failure = Failure::new(FailureClass::RateLimited, "rate limited").with_status(429);
                return self.fail_after(key, number, ROUND_TRIP, failure);
            }
            Some(TroubleKind::Hang) => return self.give_up_in_time(key, number),
            Some(TroubleKind::Errors(_) | TroubleKind::Slow(_)) | None => {}
        }
        let station = &mut self.stations[index.position()];
        if let Err(wait) = station.admit(now) {
            let failure = Failure::new(FailureClass::RateLimited, "rate limited").with_status(429);
            return self.fail_after(key, number, ROUND_TRIP, failure.with_retry_after(Some(wait)));
        }
        if station.take_slot() {
            self.serve(key, number, index);
        } else {
            station.enqueue((key, number));
            self.give_up_in_time(key, number);
        }
    }

    /// The provider starts to work on a call; it has a slot.
    fn serve(&mut self, key: CaseKey, number: AttemptNumber, index: DeploymentIndex) {
        let trouble = self.trouble(index);
        let (now, seed) = (self.now, self.seed);
        let Some((case, place)) = self.cases.running(key, number) else { return };
        let request = &self.scenario.traffic.requests[case.request];
        let mut draw = Draw::of(seed ^ 0x6361_6c6c, case.number * 64 + u64::from(number.0));
        let mut course = self.scenario.behaviours[index.position()].course(request.output_tokens, &mut draw);
        match trouble {
            Some(TroubleKind::Slow(factor)) => {
                course.first = course.first.mul_f64(factor);
                course.rest = course.rest.mul_f64(factor);
            }
            Some(TroubleKind::Errors(share)) if draw.chance(share) => {
                course.first = course.first.min(ROUND_TRIP);
                course.fault = Some(CourseFault::Before(FailureClass::Overloaded));
            }
            _ => {}
        }
        if !request.shape.delivery.is_stream() {
            // A plain answer is sent when it is whole: nothing comes before its end.
            course.first += course.rest;
            course.rest = Duration::ZERO;
            if let Some(CourseFault::Cut(part)) = course.fault {
                course.first = course.first.mul_f64(part);
                course.fault = Some(CourseFault::Before(FailureClass::Cut));
            }
        }
        let running = &mut case.running[place];
        running.in_slot = true;
        running.course = Some(course);
        let limit = running.limit;
        match course.fault {
            Some(CourseFault::Before(FailureClass::FirstTokenTimeout | FailureClass::Stall)) => {
                self.give_up_in_time(key, number);
            }
            _ if now + course.first > limit => self.give_up_in_time(key, number),
            Some(CourseFault::Before(class)) => {
                self.fail_after(key, number, course.first, Failure::new(class, "simulated"));
            }
            _ => self.agenda.add(now + course.first, Event::FirstToken(key, number)),
        }
    }

    fn fail_after(&mut self, key: CaseKey, number: AttemptNumber, after: Duration, failure: Failure) {
        let now = self.now;
        let Some((case, place)) = self.cases.running(key, number) else { return };
        case.running[place].failure = Some(failure);
        self.agenda.add(now + after, Event::Ended(key, number));
    }

    fn give_up_in_time(&mut self, key: CaseKey, number: AttemptNumber) {
        let Some((case, place)) = self.cases.running(key, number) else { return };
        let running = &mut case.running[place];
        if !running.watched {
            running.watched = true;
            let limit = running.limit;
            self.agenda.add(limit, Event::GivenUp(key, number));
        }
    }

    fn first_token(&mut self, key: CaseKey, number: AttemptNumber) {
        let now = self.now;
        let Some((case, place)) = self.cases.running(key, number) else { return };
        let deadline = case.drive.deadline();
        let running = &mut case.running[place];
        running.answered = true;
        let (index, hedged) = (running.deployment, running.kind == AttemptKind::Hedge);
        if let Some(headroom) = self.stations[index.position()].headroom(now) {
            running.call.observe(&headroom, now);
        }
        running.call.first_token(now);
        let course = running.course.expect("a token comes from a call that is served");
        let mut end = now + course.rest;
        if let Some(CourseFault::Cut(part)) = course.fault {
            end = now + course.rest.mul_f64(part);
            running.failure = Some(Failure::new(FailureClass::Cut, "cut"));
        }
        if end > deadline {
            end = deadline.max(now);
            running.failure = Some(Failure::new(FailureClass::TotalTimeout, "the deadline ran out"));
        }
        if case.first_token.is_none() {
            case.first_token = Some(now);
            case.commit = Commit::After;
        }
        let losers = case.drive.leads(number);
        if hedged {
            self.tally.hedges_won += 1;
        }
        self.agenda.add(end, Event::Ended(key, number));
        self.lose(key, &losers);
    }

    /// Calls that another was quicker than.
    fn lose(&mut self, key: CaseKey, losers: &[AttemptNumber]) {
        for number in losers {
            let Some((case, place)) = self.cases.running(key, *number) else { continue };
            let running = case.running.swap_remove(place);
            let request = &self.scenario.traffic.requests[case.request];
            // The prompt was read; of the answer nothing had come.
            let cost = self.price(running.deployment, request.input_tokens, 0);
            self.pay(key, cost, true);
            if let Some(reservation) = self.cases.find(key).and_then(|case| case.hedge.take()) {
                reservation.settle(cost);
            }
            self.leave(&running);
            running.call.cancelled(None, self.now);
        }
    }

    fn ended(&mut self, key: CaseKey, number: AttemptNumber) {
        let now = self.now;
        let Some((case, place)) = self.cases.running(key, number) else { return };
        let mut running = case.running.swap_remove(place);
        let (commit, request) = (case.commit, &self.scenario.traffic.requests[case.request]);
        let failure = running.failure.take();
        let output = match (&failure, running.answered) {
            (None, _) => Some(request.output_tokens),
            (Some(_), true) => Some(request.output_tokens / 2),
            // Providers do not bill refusals.
            (Some(_), false) => None,
        };
        if let Some(output) = output {
            let cost = self.price(running.deployment, request.input_tokens, output);
            self.pay(key, cost, false);
        }
        self.leave(&running);
        let Some(case) = self.cases.find(key) else { return };
        match failure {
            None => {
                running.call.succeeded(Some(request.input_tokens + request.output_tokens), now);
                let losers = case.drive.succeeded(number);
                self.lose(key, &losers);
            }
            Some(failure) => {
                running.call.failed(&failure, None, now);
                case.drive.failed(number, failure, commit, now);
            }
        }
        self.step(key);
    }

    /// Nobody waits for this call's first token any longer.
    fn given_up(&mut self, key: CaseKey, number: AttemptNumber) {
        let now = self.now;
        let Some((case, place)) = self.cases.running(key, number) else { return };
        if case.running[place].answered {
            return;
        }
        let class = if now >= case.drive.deadline() {
            FailureClass::TotalTimeout
        } else {
            FailureClass::FirstTokenTimeout
        };
        case.running[place].failure = Some(Failure::new(class, "no first token in time"));
        self.ended(key, number);
    }

    fn hedge(&mut self, key: CaseKey, number: AttemptNumber) {
        let now = self.now;
        let (Some(budget), Some((case, place))) = (&self.hedge_budget, self.cases.running(key, number))
        else {
            return;
        };
        if case.running[place].answered {
            return;
        }
        let request = &self.scenario.traffic.requests[case.request];
        let Some(first) = case.drive.plan().legs.first().map(|leg| leg.deployment.index()) else { return };
        let estimate = expected_cost(self.scenario.fleet.deployment(first), &request.shape).amount;
        let Some(reservation) = budget.reserve(estimate, now) else { return };
        match case.drive.hedge_due(now, &self.health) {
            Some(attempt) => {
                case.hedge = Some(reservation);
                self.launch(key, &attempt, false);
            }
            None => reservation.release(),
        }
    }

    /// Gives back what a call held at its provider, and lets the next one in.
    fn leave(&mut self, running: &Running) {
        if !running.in_slot {
            return;
        }
        let index = running.deployment;
        self.stations[index.position()].give_slot();
        while let Some((key, number)) = self.stations[index.position()].next_waiting() {
            // Those that gave up or lost are still in the queue by name.
            if self.cases.running(key, number).is_some() && self.stations[index.position()].take_slot() {
                return self.serve(key, number, index);
            }
        }
    }

    fn close(&mut self, key: CaseKey, failed: Option<&'static str>) {
        let Some(case) = self.cases.remove(key) else { return };
        let number = usize::try_from(case.number).unwrap_or(usize::MAX);
        match (failed, case.first_token) {
            (None, Some(first)) => {
                self.tally.served(number, first.since(case.arrived), self.now.since(case.arrived));
            }
            (None, None) => self.tally.failed("no_answer"),
            (Some(why), _) => self.tally.failed(why),
        }
        if let Some(budget) = &self.hedge_budget {
            for cost in &case.costs {
                budget.spent(*cost, self.now);
            }
        }
    }

    fn pay(&mut self, key: CaseKey, cost: Cost, lost: bool) {
        self.tally.paid(cost.amount, lost);
        if let Some(case) = self.cases.find(key) {
            case.costs.push(cost);
        }
    }

    fn price(&self, index: DeploymentIndex, input: u64, output: u64) -> Cost {
        match &self.scenario.fleet.deployment(index).entry {
            Some(entry) => {
                price(entry, ServiceTier::Standard, &TokenCounts { input, output, ..TokenCounts::default() })
            }
            None => Cost::UNKNOWN,
        }
    }

    fn trouble(&self, index: DeploymentIndex) -> Option<TroubleKind> {
        self.troubles
            .iter()
            .find(|trouble| trouble.deployment == index && trouble.from <= self.now && self.now < trouble.to)
            .map(|trouble| trouble.kind)
    }
}
