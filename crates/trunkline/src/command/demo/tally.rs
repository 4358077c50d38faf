//! The figures of the demo, counted from the gateway's record and from what the clients saw.
//!
//! Owns the counting and the comparison of both sides: every request sent must be in the record once, and both must agree on
//! how it ended. Must not show anything, nor know what the scenario had in store.

use super::client::{Answer, TAG};
use super::prompts::ASSIST;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use trunkline_config::Snapshot;
use trunkline_model::catalogue::{ModelEntry, ServiceTier, TokenCounts, price};
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::failure::FailureClass;
use trunkline_model::id::{Name, RequestId};
use trunkline_model::money::NanoDollars;
use trunkline_model::record::{AttemptKind, AttemptRecord, Outcome, RequestRecord};
use trunkline_route::explain::Explanation;

/// Requests kept for the screen.
const RECENT: usize = 60;
/// First-token times kept per deployment.
const SAMPLES: usize = 200;
/// Combinations of route, tier and step that are counted; users may ask for models directly.
const CHOICES: usize = 64;
/// Error texts kept for the summary.
const ERRORS: usize = 5;

/// Everything counted so far.
#[derive(Debug)]
pub(super) struct Tally {
    /// Per deployment, in the order of the routes.
    pub(super) deployments: Vec<DeploymentTally>,
    /// The last requests, newest first.
    pub(super) recent: VecDeque<RequestLine>,
    /// All requests.
    pub(super) totals: Totals,
    /// What the clients saw.
    pub(super) clients: ClientTally,
    /// How requests were decided, by route, tier and step.
    pub(super) choices: Vec<Choice>,
    /// The last decisions worth a look.
    pub(super) stories: Stories,
    strong: Option<(Name, Arc<ModelEntry>)>,
    seen: BTreeSet<RequestId>,
    /// Ended in the record, not yet answered by the client's account, and whether it was served.
    recorded: HashMap<RequestId, bool>,
    /// The other way round.
    answered: HashMap<RequestId, bool>,
}

/// Requests that one step of a route sent to one tier.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Choice {
    /// The route.
    pub(super) route: Name,
    /// The tier that was chosen, whoever answered in the end.
    pub(super) tier: String,
    /// The step that chose it.
    pub(super) by: String,
    /// How many.
    pub(super) requests: u64,
    /// Of these, those whose answer was found wanting and answered by another tier.
    pub(super) escalated: u64,
}

/// A decision that can be read again.
#[derive(Clone, Debug)]
pub(super) struct Story {
    /// The request.
    pub(super) id: RequestId,
    /// Its decision.
    pub(super) decision: Explanation,
    /// What was wrong with the first answer.
    pub(super) found: Option<String>,
}

/// The last of each kind on the route that tells prompts apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Stories {
    /// Sent to the cheap tier, and answered there.
    pub(super) simple: Option<Story>,
    /// Sent to the strong tier.
    pub(super) hard: Option<Story>,
    /// Sent to the cheap tier, and answered by the strong one.
    pub(super) escalated: Option<Story>,
}

impl Stories {
    /// The one to look at first.
    pub(super) fn best(&self) -> Option<&Story> {
        self.escalated.as_ref().or(self.hard.as_ref()).or(self.simple.as_ref())
    }
}

/// One deployment.
#[derive(Clone, Debug)]
pub(super) struct DeploymentTally {
    /// Its id.
    pub(super) id: Name,
    /// Calls sent to it.
    pub(super) calls: u64,
    /// Calls that failed; cancelled ones have not.
    pub(super) failures: u64,
    /// Tokens of all calls.
    pub(super) tokens: u64,
    /// Their cost.
    pub(super) cost: NanoDollars,
    first_tokens: VecDeque<u64>,
}

/// All requests in the record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    /// In the record.
    pub(super) requests: u64,
    /// Answered in full.
    pub(super) served: u64,
    /// Of these, streamed.
    pub(super) streamed: u64,
    /// Of these, answered after another attempt had failed.
    pub(super) failed_over: u64,
    /// Of these, answered by a better tier because the first answer was found wanting.
    pub(super) escalated: u64,
    /// Requests with a second attempt beside a slow first.
    pub(super) hedged: u64,
    /// Of these, answered by it.
    pub(super) hedges_won: u64,
    /// Upstream calls.
    pub(super) attempts: u64,
    /// Requests whose cost is not known in full.
    pub(super) unpriced: u64,
    /// What it all cost.
    pub(super) cost: NanoDollars,
    /// What the chat requests served cost.
    pub(super) chat_cost: NanoDollars,
    /// What they would have cost at the strong model's prices.
    pub(super) all_strong: NanoDollars,
}

/// What the demo's clients saw.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientTally {
    /// Whole answers.
    pub(super) answered: u64,
    /// Anything else.
    pub(super) errors: u64,
    /// Anything else while the user held a provider down.
    pub(super) excused: u64,
    /// The first of these errors.
    pub(super) messages: Vec<String>,
    /// Requests on which the client and the record agree.
    pub(super) accounted: u64,
    /// Requests on which they do not.
    pub(super) contradictions: u64,
}

/// One request of the list.
#[derive(Clone, Debug)]
pub(super) struct RequestLine {
    /// When it arrived, Unix milliseconds.
    pub(super) arrived: u64,
    /// Whether it came from somebody else than the demo.
    pub(super) foreign: bool,
    /// The client's protocol.
    pub(super) client: Dialect,
    /// What it asked for: `chat`, `stream`, `embed`.
    pub(super) form: &'static str,
    /// The route, or the model named.
    pub(super) route: Name,
    /// The tier.
    pub(super) tier: Option<Name>,
    /// Who answered.
    pub(super) deployment: Option<Name>,
    /// Upstream calls.
    pub(super) attempts: usize,
    /// Those that failed: where and why.
    pub(super) failed: Vec<(Name, String)>,
    /// A second attempt was made beside a slow first, and whether it won.
    pub(super) hedge: Option<bool>,
    /// The check that found the first answer wanting.
    pub(super) wanting: Option<String>,
    /// How it ended.
    pub(super) outcome: Outcome,
    /// Its cost, where known.
    pub(super) cost: Option<NanoDollars>,
    /// From arrival to the end, in microseconds.
    pub(super) total_us: u64,
}

impl Tally {
    /// Nothing counted yet. `strong` is the deployment whose prices savings are measured by.
    pub(super) fn new(snapshot: &Snapshot, strong: &str) -> Self {
        let mut ids: Vec<Name> = Vec::new();
        for (_, route) in
            ["support", "search"].iter().filter_map(|name| Some((name, snapshot.routes.find(name)?)))
        {
            for index in route.tiers().iter().flat_map(|tier| &tier.deployments) {
                ids.push(Arc::clone(&snapshot.fleet.deployment(*index).id));
            }
        }
        let strong = snapshot.fleet.find(strong).and_then(|index| {
            let deployment = snapshot.fleet.deployment(index);
            Some((Arc::clone(&deployment.id), Arc::clone(deployment.entry.as_ref()?)))
        });
        Self::of(ids, strong)
    }

    fn of(ids: Vec<Name>, strong: Option<(Name, Arc<ModelEntry>)>) -> Self {
        Self {
            deployments: ids.into_iter().map(DeploymentTally::new).collect(),
            recent: VecDeque::new(),
            totals: Totals::default(),
            clients: ClientTally::default(),
            choices: Vec::new(),
            stories: Stories::default(),
            strong,
            seen: BTreeSet::new(),
            recorded: HashMap::new(),
            answered: HashMap::new(),
        }
    }

    /// The deployment whose prices savings are measured by.
    pub(super) fn strong(&self) -> Option<&str> {
        self.strong.as_ref().map(|(name, _)| &**name)
    }

    /// Counts what a client saw. `excused` says that the user held a provider down.
    pub(super) fn answer(&mut self, answer: Answer, excused: bool) {
        let whole = answer.result.is_ok();
        match answer.result {
            Ok(()) => self.clients.answered += 1,
            Err(message) => {
                *(if excused { &mut self.clients.excused } else { &mut self.clients.errors }) += 1;
                if self.clients.messages.len() < ERRORS {
                    self.clients.messages.push(message);
                }
            }
        }
        let Some(id) = answer.id else { return };
        match self.recorded.remove(&id) {
            Some(served) => self.compare(served, whole),
            None => {
                self.answered.insert(id, whole);
            }
        }
    }

    /// Counts a record, unless it was counted before. Records may come in any order.
    pub(super) fn record(&mut self, record: &RequestRecord) {
        if !self.seen.insert(record.id) {
            return;
        }
        self.totals.requests += 1;
        self.totals.attempts += record.attempts.len() as u64;
        match record.cost.amount {
            Some(cost) => self.totals.cost += cost,
            None => self.totals.unpriced += 1,
        }
        for attempt in &record.attempts {
            if let Some(deployment) = self.deployments.iter_mut().find(|known| known.id == attempt.deployment)
            {
                deployment.count(attempt, record.delivery);
            }
        }
        self.choice(record);
        let line = RequestLine::new(record);
        self.totals.hedged += u64::from(line.hedge.is_some());
        if record.outcome == Outcome::Served {
            self.served(record, &line);
        }
        if !line.foreign {
            let served = record.outcome == Outcome::Served;
            match self.answered.remove(&record.id) {
                Some(whole) => self.compare(served, whole),
                None => {
                    self.recorded.insert(record.id, served);
                }
            }
        }
        self.recent.push_front(line);
        self.recent.truncate(RECENT);
    }

    /// Forgets the ids of requests that arrived before this time: the record is not asked for them again.
    pub(super) fn forget_before(&mut self, unix_milliseconds: u64) {
        self.seen = self.seen.split_off(&RequestId::new(unix_milliseconds, 0));
    }

    fn served(&mut self, record: &RequestRecord, line: &RequestLine) {
        let totals = &mut self.totals;
        totals.served += 1;
        totals.streamed += u64::from(record.delivery.is_stream());
        totals.failed_over += u64::from(!line.failed.is_empty());
        totals.hedges_won += u64::from(line.hedge == Some(true));
        totals.escalated += u64::from(line.wanting.is_some());
        let (Some(cost), Operation::Chat, Some((_, strong))) =
            (record.cost.amount, record.operation, &self.strong)
        else {
            return;
        };
        // The tokens of the answer that was used: a strong-only gateway would not have paid for the failed attempts either.
        let winner = record.attempts.iter().rfind(|attempt| attempt.failure.is_none());
        let usage = winner.map_or(&record.usage, |attempt| &attempt.usage);
        if let Some(strong) = price(strong, ServiceTier::Standard, &TokenCounts::from(usage)).amount {
            totals.chat_cost += cost;
            totals.all_strong += strong;
        }
    }

    fn choice(&mut self, record: &RequestRecord) {
        let decision =
            record.decision.as_deref().and_then(|text| serde_json::from_str::<Explanation>(text).ok());
        let (Some(route), Some(decision)) = (&record.route, decision) else { return };
        let Some(tier) = decision.tier.clone() else { return };
        let found = wanting(record).map(str::to_owned);
        let has_room = self.choices.len() < CHOICES;
        let choice = self
            .choices
            .iter_mut()
            .find(|choice| choice.route == *route && choice.tier == tier && choice.by == decision.decided_by);
        match choice {
            Some(choice) => {
                choice.requests += 1;
                choice.escalated += u64::from(found.is_some());
            }
            None if has_room => {
                let by = decision.decided_by.clone();
                let escalated = u64::from(found.is_some());
                let choice =
                    Choice { route: Arc::clone(route), tier: tier.clone(), by, requests: 1, escalated };
                self.choices.push(choice);
                self.choices.sort();
            }
            None => {}
        }
        if **route == *ASSIST && record.outcome == Outcome::Served {
            let story = match (&found, &*tier) {
                (Some(_), _) => &mut self.stories.escalated,
                (None, "strong") => &mut self.stories.hard,
                _ => &mut self.stories.simple,
            };
            *story = Some(Story { id: record.id, decision, found });
        }
    }

    fn compare(&mut self, served: bool, whole: bool) {
        *(if served == whole { &mut self.clients.accounted } else { &mut self.clients.contradictions }) += 1;
    }
}

impl DeploymentTally {
    fn new(id: Name) -> Self {
        Self { id, calls: 0, failures: 0, tokens: 0, cost: NanoDollars::ZERO, first_tokens: VecDeque::new() }
    }

    fn count(&mut self, attempt: &AttemptRecord, delivery: Delivery) {
        self.calls += 1;
        self.failures += u64::from(attempt.failure.is_some_and(is_trouble));
        self.tokens += attempt.usage.total();
        self.cost += attempt.cost.amount.unwrap_or(NanoDollars::ZERO);
        // That of a whole answer is the time of the answer.
        let first = attempt.phases.first_token_us.filter(|_| delivery == Delivery::Stream);
        if let Some(first) = first {
            self.first_tokens.push_front(first);
            self.first_tokens.truncate(SAMPLES);
        }
    }

    /// Median and 95th percentile of the recent times to the first token, in microseconds.
    pub(super) fn first_token(&self) -> Option<(u64, u64)> {
        let mut sorted: Vec<u64> = self.first_tokens.iter().copied().collect();
        sorted.sort_unstable();
        let rank =
            |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        rank(50).zip(rank(95))
    }
}

impl Totals {
    /// What was saved against the strong model alone, in money and percent; `None` before anything was compared.
    #[expect(clippy::cast_possible_truncation, reason = "a percentage for the eye")]
    pub(super) fn saved(&self) -> Option<(NanoDollars, i64)> {
        let saved = self.all_strong.saturating_sub(self.chat_cost);
        (self.all_strong > NanoDollars::ZERO)
            .then(|| (saved, (saved.to_f64() / self.all_strong.to_f64() * 100.0).round() as i64))
    }
}

impl RequestLine {
    fn new(record: &RequestRecord) -> Self {
        let real_failure = |attempt: &&AttemptRecord| attempt.failure.is_some_and(is_trouble);
        let hedges = record.attempts.iter().filter(|attempt| attempt.kind == AttemptKind::Hedge);
        let hedge = hedges.map(|attempt| attempt.failure.is_none()).reduce(|one, other| one || other);
        Self {
            arrived: record.id.unix_milliseconds(),
            foreign: !record.tags.iter().any(|(name, value)| (&**name, &**value) == TAG),
            client: record.client,
            form: match record.operation {
                Operation::Embeddings => "embed",
                Operation::CountTokens => "count",
                Operation::Rerank => "rerank",
                Operation::Completions => "text",
                Operation::Moderations => "judge",
                Operation::Images | Operation::ImageEdits | Operation::ImageVariations => "image",
                Operation::Transcriptions | Operation::Translations => "hear",
                Operation::Speech => "speak",
                Operation::Passthrough => "pass",
                Operation::Chat if record.delivery.is_stream() => "stream",
                Operation::Chat => "chat",
            },
            route: record.route.clone().unwrap_or_else(|| Arc::clone(&record.requested_model)),
            tier: record.tier.clone(),
            deployment: record.deployment.clone(),
            attempts: record.attempts.len(),
            failed: record
                .attempts
                .iter()
                .filter(real_failure)
                .map(|attempt| (Arc::clone(&attempt.deployment), reason(attempt)))
                .collect(),
            hedge,
            wanting: wanting(record).map(|found| found.split(':').next().unwrap_or("").to_owned()),
            outcome: record.outcome,
            cost: record.cost.amount,
            total_us: record.total_us,
        }
    }
}

/// Whether a failure is the provider's: not when another attempt was quicker, nor when the answer came and would not do.
const fn is_trouble(class: FailureClass) -> bool {
    !matches!(class, FailureClass::Overtaken | FailureClass::ClientGone | FailureClass::BadAnswer)
}

/// What was wrong with an answer that a better tier's took the place of.
fn wanting(record: &RequestRecord) -> Option<&str> {
    let bad = record.attempts.iter().find(|attempt| attempt.failure == Some(FailureClass::BadAnswer))?;
    let better = record
        .attempts
        .iter()
        .any(|attempt| attempt.kind == AttemptKind::Cascade && attempt.failure.is_none());
    let message = bad.message.as_deref().unwrap_or_default();
    better.then(|| message.split_once("wanting: ").map_or(message, |(_, found)| found))
}

/// Why an attempt failed, in a word: the provider's status where it refused.
fn reason(attempt: &AttemptRecord) -> String {
    if let Some(status) = attempt.status.filter(|status| *status >= 400) {
        return status.to_string();
    }
    match attempt.failure {
        Some(FailureClass::Connect) => "refused".to_owned(),
        Some(FailureClass::ConnectTimeout | FailureClass::FirstTokenTimeout | FailureClass::TotalTimeout) => {
            "timeout".to_owned()
        }
        Some(class) => class.name().replace('_', " "),
        None => String::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use trunkline_model::money::Cost;
    use trunkline_model::record::PhaseTimes;
    use trunkline_model::usage::{Usage, UsageSource};

    pub(crate) fn tally(deployments: &[&str]) -> Tally {
        Tally::of(deployments.iter().map(|id| Name::from(*id)).collect(), None)
    }

    pub(crate) fn record(number: u128, outcome: Outcome) -> RequestRecord {
        let id = RequestId::new(1_000, number);
        let mut record = RequestRecord::new(id, Dialect::OpenAi, Operation::Chat, 0);
        record.tags.push((TAG.0.into(), TAG.1.into()));
        record.outcome = outcome;
        record
    }

    fn answer(number: u128, result: Result<(), String>) -> Answer {
        Answer { id: Some(RequestId::new(1_000, number)), result }
    }

    #[test]
    fn both_sides_must_tell_the_same_in_any_order_and_once() {
        let mut tally = tally(&[]);
        tally.record(&record(1, Outcome::Served));
        tally.answer(answer(1, Ok(())), false);
        tally.answer(answer(2, Ok(())), false);
        tally.record(&record(2, Outcome::Served));
        tally.record(&record(2, Outcome::Served));
        assert_eq!((tally.totals.requests, tally.clients.accounted, tally.clients.contradictions), (2, 2, 0));
        tally.answer(answer(3, Err("cut".to_owned())), false);
        tally.record(&record(3, Outcome::Served));
        assert_eq!((tally.clients.accounted, tally.clients.contradictions, tally.clients.errors), (2, 1, 1));
    }

    #[test]
    fn errors_are_excused_only_while_the_user_holds_a_provider_down() {
        let mut tally = tally(&[]);
        tally.answer(answer(1, Err("no".to_owned())), true);
        assert_eq!((tally.clients.errors, tally.clients.excused), (0, 1));
    }

    fn called(kind: AttemptKind, failure: Option<FailureClass>, message: Option<&str>) -> AttemptRecord {
        AttemptRecord {
            deployment: "sim-openai/gpt-5-mini".into(),
            kind,
            failure,
            message: message.map(str::to_owned),
            status: Some(200),
            upstream_request_id: None,
            started_us: 0,
            phases: PhaseTimes::default(),
            usage: Usage::default(),
            usage_source: UsageSource::Reported,
            cost: Cost::NOTHING,
        }
    }

    fn assisted(number: u128, tier: &str, by: &str, attempts: Vec<AttemptRecord>) -> RequestRecord {
        let mut record = record(number, Outcome::Served);
        record.route = Some(ASSIST.into());
        record.decision = Some(
            format!(
                r#"{{"id":"dec_1","route":"assist","tier":"{tier}","decided_by":"{by}","candidates":[],"rejected":[],
                "steps":[],"features":{{}},"propensity":1.0,"seed":"0","config_version":"0"}}"#
            )
            .into(),
        );
        record.attempts = attempts;
        record
    }

    #[test]
    fn choices_are_counted_by_step_and_an_escalation_is_no_failover() {
        let mut tally = tally(&["sim-openai/gpt-5-mini"]);
        let first = |failure, message| called(AttemptKind::First, failure, message);
        let found = "the answer was found wanting: not_refusal: it declines";
        let bad = first(Some(FailureClass::BadAnswer), Some(found));
        let better = called(AttemptKind::Cascade, None, None);
        tally.record(&assisted(1, "cheap", "use-1", vec![first(None, None)]));
        tally.record(&assisted(2, "strong", "complexity-0", vec![first(None, None)]));
        tally.record(&assisted(3, "cheap", "use-1", vec![bad, better]));
        let told = super::super::words::choices(&tally.choices, ASSIST);
        assert_eq!(told, "cheap 2 by use-1, strong 1 by complexity-0, 1 escalated");
        assert_eq!(
            (tally.totals.escalated, tally.totals.failed_over, tally.deployments[0].failures),
            (1, 0, 0)
        );
        assert_eq!(tally.recent[0].wanting.as_deref(), Some("not_refusal"));
        let story = tally.stories.best().unwrap();
        assert_eq!(
            (story.id, story.found.as_deref()),
            (RequestId::new(1_000, 3), Some("not_refusal: it declines"))
        );
        assert!(tally.stories.simple.is_some() && tally.stories.hard.is_some());
    }

    #[test]
    fn ids_are_forgotten_by_age() {
        let mut tally = tally(&[]);
        tally.record(&record(1, Outcome::Served));
        tally.forget_before(1_000);
        assert_eq!(tally.seen.len(), 1);
        tally.forget_before(1_001);
        assert!(tally.seen.is_empty());
    }

    #[test]
    fn quantiles_are_ranks_of_the_sorted_samples() {
        let mut deployment = DeploymentTally::new("a/one".into());
        assert_eq!(deployment.first_token(), None);
        deployment.first_tokens.extend((1..=100).rev());
        assert_eq!(deployment.first_token(), Some((50, 95)));
    }
}
