//! The record of a request while it is being served.
//!
//! Owns one `RequestRecord` being filled in, the reservation to settle and the attempts under way. Must not steer anything:
//! stages write down what they did. It ends exactly once: by `finish`, or, when everything that served the request is
//! dropped because the client went away, by its own drop.

use crate::clock;
use crate::learn::Choice;
use crate::respond;
use crate::shadow::Mirror;
use crate::state::{Gateway, Place};
use crate::stop::Stopped;
use crate::tokens::{self, Prompt};
use std::sync::Arc;
use trunkline_model::catalogue::{self, ModelEntry, ServiceTier};
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::error::ClientError;
use trunkline_model::excerpt::Excerpt;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::id::{Name, RequestId};
use trunkline_model::moment::Moment;
use trunkline_model::money::{Cost, CostConfidence};
use trunkline_model::record::{AttemptKind, AttemptRecord, Outcome, PhaseTimes, RequestRecord};
use trunkline_model::usage::{Usage, UsageSource};
use trunkline_route::cascade::Answer;
use trunkline_route::drive::AttemptNumber;
use trunkline_route::limit::{Reservation, Settlement};

/// The record of one request, being written.
pub(crate) struct Case {
    gateway: Arc<Gateway>,
    /// Given back when the request is over.
    place: Place,
    started: Moment,
    /// The record so far.
    pub record: Box<RequestRecord>,
    reservation: Option<Reservation>,
    /// A bandit's choice, to be told how it ended.
    choice: Option<Choice>,
    /// Whom a copy is sent to once the request is answered.
    mirror: Option<Box<Mirror>>,
    /// No client asked for it: it counts on no key, route or session.
    is_beside: bool,
    /// Whether the session must be remembered.
    remembers_session: bool,
    running: Vec<Running>,
    /// Microseconds that went by before this process knew of it.
    waited_us: u64,
    prompt: Prompt,
    finished: bool,
}

struct Running {
    number: AttemptNumber,
    deployment: Name,
    kind: AttemptKind,
    started: Moment,
    entry: Option<Arc<ModelEntry>>,
    /// What it takes in, should the provider not say.
    estimated: Usage,
    operation: Operation,
    service: ServiceTier,
}

/// What came of one attempt.
#[derive(Debug)]
pub(crate) struct AttemptEnd {
    /// `None` when it succeeded.
    pub failure: Option<Failure>,
    /// The upstream's status.
    pub status: Option<u16>,
    /// The upstream's request id.
    pub upstream_request_id: Option<String>,
    /// How long its phases took; the total is filled in here.
    pub phases: PhaseTimes,
    /// Tokens, where the provider gave them.
    pub usage: Option<Usage>,
    /// Bytes of answer seen, for an estimate where it did not.
    pub output_bytes: u64,
    /// How it begins.
    pub beginning: Excerpt,
    /// The provider may have worked on it (a request was sent and not refused).
    pub worked: bool,
}

impl Case {
    /// Opens the record of a request that has just arrived.
    #[must_use]
    pub(crate) fn open(
        gateway: Arc<Gateway>,
        place: Place,
        id: RequestId,
        dialect: Dialect,
        operation: Operation,
        version: u64,
    ) -> Self {
        let started = gateway.clock.now();
        gateway.metrics.opened();
        let record = Box::new(RequestRecord::new(id, dialect, operation, version));
        Self {
            gateway,
            place,
            started,
            record,
            reservation: None,
            choice: None,
            mirror: None,
            is_beside: false,
            remembers_session: false,
            running: Vec::new(),
            waited_us: 0,
            prompt: Prompt::default(),
            finished: false,
        }
    }

    /// Opens the record of a request that no client asked for.
    #[must_use]
    pub(crate) fn open_beside(
        gateway: Arc<Gateway>,
        place: Place,
        id: RequestId,
        dialect: Dialect,
        operation: Operation,
        version: u64,
    ) -> Self {
        let mut case = Self::open(gateway, place, id, dialect, operation, version);
        case.is_beside = true;
        case
    }

    /// The request's id.
    #[must_use]
    pub(crate) fn id(&self) -> RequestId {
        self.record.id
    }

    /// Why it ends when nobody waits for it any more.
    #[must_use]
    pub(crate) fn gone(&self) -> Failure {
        self.place.gone()
    }

    /// When it arrived.
    #[must_use]
    pub(crate) const fn started(&self) -> Moment {
        self.started
    }

    /// Microseconds since it arrived.
    #[must_use]
    pub(crate) fn elapsed_us(&self) -> u64 {
        micros(self.gateway.clock.now(), self.started)
    }

    /// Now.
    #[must_use]
    pub(crate) fn now(&self) -> Moment {
        self.gateway.clock.now()
    }

    /// Notes that the client is about to get its first semantic byte, and how much of the time so far was spent here.
    pub(crate) fn note_first_token(&mut self) {
        let now = self.now();
        let elapsed = micros(now, self.started);
        let ended: u64 = self.record.attempts.iter().map(|attempt| attempt.phases.total_us).sum();
        let running = self.running.iter().map(|running| micros(now, running.started)).max().unwrap_or(0);
        self.record.first_token_us = Some(elapsed);
        self.record.overhead_us = elapsed.saturating_sub(ended).saturating_sub(running);
    }

    /// Ends without a record: nothing was asked of anybody.
    pub(crate) fn forget(&mut self) {
        self.finished = true;
        self.gateway.metrics.forgotten();
        if let Some(reservation) = self.reservation.take() {
            reservation.settle(&Settlement::NotSent);
        }
    }

    /// Keeps the choice that is told how the request ended.
    pub(crate) fn learn_from(&mut self, choice: Choice) {
        self.choice = Some(choice);
    }

    /// A copy is sent once the request is answered.
    pub(crate) fn mirror(&mut self, mirror: Box<Mirror>) {
        self.mirror = Some(mirror);
    }

    /// Whether a copy will be sent, for which the answer must be read.
    #[must_use]
    pub(crate) const fn is_mirrored(&self) -> bool {
        self.mirror.is_some()
    }

    /// Notes the whole answer, for the copy's comparison.
    pub(crate) fn note_answer(&mut self, answer: Option<&Answer>) {
        if let Some(mirror) = &mut self.mirror {
            mirror.served(answer);
        }
    }

    /// Remembers the session when the request is over.
    pub(crate) const fn remember_session(&mut self) {
        self.remembers_session = true;
    }

    /// Keeps what must be settled at the end.
    pub(crate) fn reserve(&mut self, reservation: Reservation) {
        self.reservation = Some(reservation);
    }

    /// Notes that an attempt begins.
    pub(crate) fn begin(
        &mut self,
        number: AttemptNumber,
        deployment: &Name,
        kind: AttemptKind,
        entry: Option<&Arc<ModelEntry>>,
        estimated: Usage,
    ) {
        self.running.push(Running {
            number,
            deployment: Arc::clone(deployment),
            kind,
            started: self.gateway.clock.now(),
            entry: entry.cloned(),
            estimated,
            operation: self.record.operation,
            service: ServiceTier::Standard,
        });
    }

    /// Keeps what an estimate of the prompt's tokens needs, should a provider not tell them.
    pub(crate) fn note_prompt(&mut self, prompt: Prompt) {
        self.prompt = prompt;
    }

    /// What a call takes in, estimated from the text of the prompt.
    pub(crate) fn estimated(&self, before: Usage) -> Usage {
        self.prompt.usage(before)
    }

    /// Notes that it arrived this many microseconds before it was opened here.
    pub(crate) const fn has_waited(&mut self, microseconds: u64) {
        self.waited_us = microseconds;
    }

    /// Notes at which of a model's prices an attempt is billed, where that is not the usual one.
    pub(crate) fn serve_as(&mut self, number: AttemptNumber, service: ServiceTier) {
        if let Some(running) = self.running.iter_mut().find(|running| running.number == number) {
            running.service = service;
        }
    }

    /// Notes by whose prices an attempt is billed, where that shows only in its answer.
    pub(crate) fn price_as(&mut self, number: AttemptNumber, entry: Option<&Arc<ModelEntry>>) {
        if let Some(running) = self.running.iter_mut().find(|running| running.number == number) {
            running.entry = entry.cloned();
        }
    }

    /// Attempts that have not ended.
    #[must_use]
    pub(crate) fn open_attempts(&self) -> usize {
        self.running.len()
    }

    /// Notes how an attempt ended and adds its tokens and cost to the request's.
    pub(crate) fn end(&mut self, number: AttemptNumber, end: AttemptEnd) {
        let Some(position) = self.running.iter().position(|running| running.number == number) else { return };
        let running = self.running.swap_remove(position);
        let (usage, usage_source, cost) = bill(&running, &end, &self.prompt);
        let mut phases = end.phases;
        phases.total_us = micros(self.gateway.clock.now(), running.started).saturating_add(self.waited_us);
        let record = &mut self.record;
        record.usage = record.usage.plus(&usage);
        record.cost = record.cost.plus(cost);
        if end.worked {
            record.usage_source =
                least_certain(record.usage_source, usage_source, record.attempts.is_empty());
        }
        record.attempts.push(AttemptRecord {
            deployment: running.deployment,
            kind: running.kind,
            failure: end.failure.as_ref().map(|failure| failure.class),
            message: end.failure.map(|failure| failure.message),
            status: end.status,
            upstream_request_id: end.upstream_request_id,
            started_us: micros(running.started, self.started),
            phases,
            usage,
            usage_source,
            cost,
        });
    }

    /// Notes attempts that were cancelled because another one won.
    pub(crate) fn cancel(&mut self, numbers: &[AttemptNumber]) {
        for number in numbers {
            let failure = Failure::new(FailureClass::Overtaken, "cancelled: another attempt was faster");
            self.end(*number, abandoned(failure));
        }
    }

    /// Whatever was under way ended with the gateway.
    pub(crate) fn stopped(&mut self, stopped: Stopped) {
        while let Some(running) = self.running.last() {
            let number = running.number;
            self.end(number, abandoned(stopped.failure()));
        }
    }

    /// What the client was refused with.
    pub(crate) fn refused(mut self, error: &ClientError) {
        self.note_error(error);
        self.finish(if self.record.attempts.is_empty() { Outcome::Refused } else { Outcome::Failed });
    }

    /// Writes an error into the record.
    pub(crate) fn note_error(&mut self, error: &ClientError) {
        self.record.status = respond::status(self.record.client, error);
        self.record.error_code = Some(Name::from(error.code.name()));
        self.record.error_message = Some(error.message.clone());
    }

    /// Ends the record: settles what was reserved, counts, writes.
    pub(crate) fn finish(&mut self, outcome: Outcome) {
        if self.finished {
            return;
        }
        self.finished = true;
        while let Some(running) = self.running.last() {
            let number = running.number;
            self.end(number, abandoned(self.gone()));
        }
        self.record.outcome = outcome;
        self.record.total_us = self.elapsed_us().saturating_add(self.waited_us);
        if let Some(reservation) = self.reservation.take() {
            reservation.settle(&self.settlement());
        }
        if self.is_beside {
            self.gateway.metrics.closed_beside(&self.record);
        } else {
            self.count();
        }
        if let Some(mirror) = self.mirror.take().filter(|_| outcome == Outcome::Served) {
            mirror.send(&self.gateway, &self.record);
        }
        self.gateway.recorder.record(&mut *self.record);
    }

    /// Tells everyone who counts requests.
    fn count(&mut self) {
        self.count_spending();
        if let Some(choice) = self.choice.take() {
            choice.ended(&self.record);
        }
        if self.remembers_session {
            self.gateway.sessions.add(&self.record);
        }
        self.gateway.metrics.closed(&self.record);
    }

    /// Adds to the route's day, and tells its hedge budget what was spent: a share of it is what hedges may cost.
    fn count_spending(&self) {
        let generation = self.gateway.generation();
        if let (Some(route), Some(amount)) = (&self.record.route, self.record.cost.amount) {
            let day = clock::unix_seconds() / 86_400;
            self.gateway.spend.add(route, day, amount);
            if let Some(budget) = generation.shadow_budget(route) {
                budget.served(amount, day);
            }
        }
        let Some(budget) = self.record.route.as_deref().and_then(|route| generation.hedge_budget(route))
        else {
            return;
        };
        let now = self.gateway.clock.now();
        for attempt in &self.record.attempts {
            budget.spent(attempt.cost, now);
        }
    }

    fn settlement(&self) -> Settlement {
        if self
            .record
            .attempts
            .iter()
            .all(|attempt| attempt.usage_source == UsageSource::Unknown && attempt.cost == Cost::NOTHING)
        {
            return Settlement::NotSent;
        }
        match self.record.usage_source {
            UsageSource::Unknown => Settlement::Unknown,
            UsageSource::Reported | UsageSource::Estimated => {
                Settlement::Used { tokens: self.record.usage.total(), cost: self.record.cost }
            }
        }
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if !self.finished {
            let gone = self.gone();
            self.record.error_message.get_or_insert(gone.message);
            self.finish(Outcome::ClientGone);
        }
    }
}

/// Tokens and cost of one attempt.
fn bill(running: &Running, end: &AttemptEnd, prompt: &Prompt) -> (Usage, UsageSource, Cost) {
    if !end.worked {
        // Nothing was sent, or the provider refused it: providers do not bill refusals.
        return (Usage::default(), UsageSource::Unknown, Cost::NOTHING);
    }
    if running.operation == Operation::CountTokens {
        // A count uses no tokens, and every provider that has one gives it for nothing
        // (https://docs.claude.com/en/docs/build-with-claude/token-counting, https://ai.google.dev/gemini-api/docs/tokens,
        // https://docs.aws.amazon.com/bedrock/latest/userguide/count-tokens.html).
        return (Usage::default(), UsageSource::Reported, Cost::NOTHING);
    }
    let (usage, source) = match end.usage {
        Some(usage)
            if end.failure.as_ref().is_none_or(is_whole) && can_be(running.operation, &usage, end) =>
        {
            (usage, UsageSource::Reported)
        }
        // A picture or a sound does not tell its tokens by its size.
        _ if !running.operation.is_text() => return (Usage::default(), UsageSource::Unknown, Cost::UNKNOWN),
        reported => {
            // Cut or cancelled: the prompt was read, and what arrived was generated. A figure the provider gave on the way (the
            // `message_start` of Anthropic says one token) is only a lower bound.
            let known = match reported {
                Some(usage) if usage.total() > MOST_TOKENS => prompt.usage(running.estimated),
                Some(usage) if usage.prompt() > 0 => usage,
                Some(Usage { output, reasoning, .. }) => {
                    Usage { output, reasoning, ..prompt.usage(running.estimated) }
                }
                None => prompt.usage(running.estimated),
            };
            // What a judgement says was not generated.
            let is_generated = running.operation != Operation::Moderations;
            let output = if is_generated { tokens::of(end.output_bytes, &end.beginning) } else { 0 };
            (Usage { output: known.output.max(output), ..known }, UsageSource::Estimated)
        }
    };
    let cost = match &running.entry {
        Some(entry) => catalogue::bill(entry, running.service, &usage),
        None => Cost::UNKNOWN,
    };
    // Of a passed answer both the model and the tier are only read off its bytes.
    let is_guess = source == UsageSource::Estimated || running.operation == Operation::Passthrough;
    let cost = if is_guess { cost.no_surer_than(CostConfidence::Estimated) } else { cost };
    (usage, source, cost)
}

/// More tokens than any model reads and writes for one answer, by two orders of magnitude.
const MOST_TOKENS: u64 = 1_000_000_000;

/// Whether what a provider says of a whole answer can be so. Some servers fill `usage` with zeros, in streams above all, and
/// what is written in another form than the protocol's is read as nothing: neither makes an answer free. Nor does a number that
/// overflowed there make one cost more than there is.
fn can_be(operation: Operation, usage: &Usage, end: &AttemptEnd) -> bool {
    let generates = matches!(operation, Operation::Chat | Operation::Completions);
    let reads = generates || operation == Operation::Embeddings;
    let forgets_the_prompt = reads && usage.prompt() == 0;
    let forgets_the_answer = generates && usage.completion() == 0 && end.output_bytes > 0;
    !forgets_the_prompt && !forgets_the_answer && usage.total() <= MOST_TOKENS
}

/// An answer that was found wanting came whole all the same.
fn is_whole(failure: &Failure) -> bool {
    failure.class == FailureClass::BadAnswer
}

fn abandoned(failure: Failure) -> AttemptEnd {
    AttemptEnd {
        failure: Some(failure),
        status: None,
        upstream_request_id: None,
        phases: PhaseTimes {
            resolve_us: None,
            connect_us: None,
            tls_us: None,
            first_byte_us: None,
            first_token_us: None,
            total_us: 0,
        },
        usage: None,
        output_bytes: 0,
        beginning: Excerpt::default(),
        worked: true,
    }
}

const fn least_certain(one: UsageSource, two: UsageSource, first: bool) -> UsageSource {
    match (one, two) {
        (_, two) if first => two,
        (UsageSource::Estimated, _) | (_, UsageSource::Estimated) => UsageSource::Estimated,
        (UsageSource::Reported, _) | (_, UsageSource::Reported) => UsageSource::Reported,
        _ => UsageSource::Unknown,
    }
}

fn micros(later: Moment, earlier: Moment) -> u64 {
    later.as_micros().saturating_sub(earlier.as_micros())
}

/// A fresh request id.
#[must_use]
pub(crate) fn new_id() -> RequestId {
    RequestId::new(clock::unix_milliseconds(), rand::random())
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_route::drive::AttemptNumber;

    fn billed(
        failure: Option<FailureClass>,
        usage: Option<Usage>,
        output_bytes: u64,
    ) -> (u64, u64, UsageSource) {
        let running = Running {
            number: AttemptNumber(1),
            deployment: Name::from("one"),
            kind: AttemptKind::First,
            started: Moment::ORIGIN,
            entry: None,
            estimated: Usage { input: 50, ..Usage::default() },
            operation: Operation::Chat,
            service: ServiceTier::Standard,
        };
        let failure = failure.map(|class| Failure::new(class, "it broke off"));
        let end = AttemptEnd {
            failure,
            status: None,
            upstream_request_id: None,
            phases: PhaseTimes::default(),
            usage,
            output_bytes,
            beginning: Excerpt::default(),
            worked: true,
        };
        let (usage, source, _) = bill(&running, &end, &Prompt::default());
        (usage.input, usage.output, source)
    }

    #[test]
    fn what_a_broken_answer_reported_is_a_lower_bound() {
        let started = Some(Usage { input: 28, output: 1, ..Usage::default() });
        assert_eq!(billed(None, started, 400), (28, 1, UsageSource::Reported));
        assert_eq!(billed(Some(FailureClass::Cut), started, 400), (28, 100, UsageSource::Estimated));
        assert_eq!(billed(Some(FailureClass::Cut), started, 0), (28, 1, UsageSource::Estimated));
        assert_eq!(billed(Some(FailureClass::Cut), None, 40), (50, 10, UsageSource::Estimated));
    }

    #[test]
    fn zeros_do_not_make_an_answer_free() {
        let told = |input, output| Some(Usage { input, output, ..Usage::default() });
        assert_eq!(billed(None, told(0, 0), 400), (50, 100, UsageSource::Estimated));
        assert_eq!(billed(None, told(0, 7), 20), (50, 7, UsageSource::Estimated));
        assert_eq!(billed(None, told(28, 0), 400), (28, 100, UsageSource::Estimated));
        assert_eq!(billed(None, told(28, 0), 0), (28, 0, UsageSource::Reported), "it may have said nothing");
        assert_eq!(billed(None, told(u64::MAX, u64::MAX), 400), (50, 100, UsageSource::Estimated));
        assert_eq!(billed(None, told(28, MOST_TOKENS), 400), (50, 100, UsageSource::Estimated));
        let cached = Some(Usage { cache_read: 28, output: 1, ..Usage::default() });
        assert_eq!(billed(None, cached, 400), (0, 1, UsageSource::Reported));
    }
}
