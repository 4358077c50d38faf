//! Copies of requests for a candidate, whose answers are compared and never sent.
//!
//! Owns the copy from the moment a decision names a candidate to its record. Must not delay or change the answer that is served:
//! the copy is only sent when that answer is whole, so it competes with it for nothing, and it is dropped when no place, no money
//! or no healthy candidate is there. It travels through the same codecs, health and limits as any request, counts on nobody's
//! key, and has one call: that a candidate fails is what a shadow is there to show.

use crate::admit::Admitted;
use crate::ask;
use crate::attempt;
use crate::case::{self, Case};
use crate::clock;
use crate::series::word;
use crate::state::Gateway;
use crate::subject::Subject;
use std::sync::Arc;
use tokio::runtime::Handle;
use trunkline_embed::Embedder;
use trunkline_model::comparison::{Comparison, KeptAnswers, ServedAnswer};
use trunkline_model::id::Name;
use trunkline_model::record::{AttemptKind, AttemptRecord, Outcome, RequestRecord};
use trunkline_route::cascade::{Answer, Check, Expected, examine, similarity};
use trunkline_route::decision::{Decision, ShadowLeg};
use trunkline_route::drive::{Attempt, AttemptNumber};
use trunkline_route::estimate::worst_cost;
use trunkline_route::plan::{Leg, Timeouts};
use trunkline_route::shadow::ShadowReservation;

/// Texts are kept up to this size, in bytes.
const LONGEST_KEPT: usize = 16 * 1024;
/// Texts are compared up to this size, in bytes.
const LONGEST_COMPARED: usize = 64 * 1024;

/// A request that will be copied once it is answered.
pub(crate) struct Mirror {
    admitted: Admitted,
    leg: ShadowLeg,
    timeouts: Timeouts,
    answer: Option<Answer>,
}

/// Why a request that was drawn is not copied.
#[derive(Clone, Copy, Debug)]
enum Skipped {
    /// The candidate takes no requests now.
    Unavailable,
    /// A spend cap has no room for it.
    Capped,
    /// Too many copies and audits are under way.
    Busy,
    /// The answer that was served could not be read.
    Unread,
}

impl Skipped {
    const fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Capped => "capped",
            Self::Busy => "busy",
            Self::Unread => "unread",
        }
    }
}

impl Mirror {
    /// The copy that a decision asks for.
    #[must_use]
    pub(crate) fn of(admitted: &Admitted, decision: &Decision) -> Option<Box<Self>> {
        let (leg, plan) = (decision.shadow?, decision.plan.as_ref().ok()?);
        Some(Box::new(Self { admitted: admitted.duplicate(), leg, timeouts: plan.timeouts, answer: None }))
    }

    /// Takes the answer the client gets.
    pub(crate) fn served(&mut self, answer: Option<&Answer>) {
        self.answer = answer.cloned();
    }

    /// The request was answered: sends the copy, if it may be sent.
    pub(crate) fn send(self: Box<Self>, gateway: &Arc<Gateway>, record: &RequestRecord) {
        let route = Arc::clone(&self.admitted.route.name);
        if let Err(skipped) = self.begin(gateway, record) {
            gateway.metrics.shadowed(&route, skipped.name());
        }
    }

    fn begin(self: Box<Self>, gateway: &Arc<Gateway>, record: &RequestRecord) -> Result<(), Skipped> {
        let Self { admitted, leg, timeouts, answer } = *self;
        let answer = answer.ok_or(Skipped::Unread)?;
        if gateway.is_draining() {
            return Err(Skipped::Busy);
        }
        let generation = &admitted.generation;
        let index = leg.deployment.index();
        if !generation.health.deployment(index).view(gateway.clock.now()).availability.is_usable() {
            return Err(Skipped::Unavailable);
        }
        let permit = Arc::clone(&gateway.background).try_acquire_owned().map_err(|_| Skipped::Busy)?;
        let place = gateway.enter(u32::MAX).ok_or(Skipped::Busy)?;
        // Out of a runtime the process is ending.
        let runtime = Handle::try_current().map_err(|_| Skipped::Busy)?;
        let deployment = generation.snapshot.fleet.deployment(index);
        let reservation = worst_cost(deployment, &admitted.envelope.shape)
            .and_then(|worst| {
                let budget = generation.shadow_budget(&admitted.route.name)?;
                budget.reserve(worst, clock::unix_seconds() / 86_400)
            })
            .ok_or(Skipped::Capped)?;
        let version = generation.snapshot.version;
        let (dialect, operation) = (admitted.dialect, admitted.operation);
        let mut second =
            Case::open_beside(Arc::clone(gateway), place, case::new_id(), dialect, operation, version);
        note(&mut second, record, &admitted);
        let copy = Mirrored {
            gateway: Arc::clone(gateway),
            admitted,
            leg,
            timeouts,
            decided_by: record.decided_by.clone(),
            answer,
        };
        runtime.spawn(async move {
            let _permit = permit;
            copy.run(second, reservation).await;
        });
        Ok(())
    }
}

/// What a copy's record says before it is answered.
fn note(second: &mut Case, of: &RequestRecord, admitted: &Admitted) {
    let record = &mut second.record;
    record.route = Some(Arc::clone(&admitted.route.name));
    record.requested_model = Arc::clone(&of.requested_model);
    record.delivery = of.delivery;
    record.request_bytes = of.request_bytes;
    record.decided_by = Some(word("shadow"));
    record.tags = vec![(word("shadow_of"), Name::from(of.id.to_string()))];
    record.error_message = Some("stopped before the candidate answered".to_owned());
    let answering = answering(of);
    record.shadow = Some(Box::new(Comparison {
        of: of.id,
        served: ServedAnswer {
            deployment: of.deployment.clone(),
            cost: answering.map_or(of.cost, |attempt| attempt.cost),
            first_token_us: answering.and_then(|attempt| attempt.phases.first_token_us),
            total_us: answering.map(|attempt| attempt.phases.total_us),
            finish: of.finish.clone(),
            in_form: None,
        },
        similarity: None,
        agreed: None,
        in_form: None,
        answers: None,
    }));
}

/// The call whose answer the client got.
fn answering(record: &RequestRecord) -> Option<&AttemptRecord> {
    record.attempts.iter().rev().find(|attempt| {
        attempt.failure.is_none()
            && Some(&attempt.deployment) == record.deployment.as_ref()
            && !matches!(
                attempt.kind,
                AttemptKind::Sample | AttemptKind::Judge | AttemptKind::Classifier | AttemptKind::Encoder
            )
    })
}

/// A copy under way.
struct Mirrored {
    gateway: Arc<Gateway>,
    admitted: Admitted,
    leg: ShadowLeg,
    timeouts: Timeouts,
    /// The step that decided.
    decided_by: Option<Name>,
    /// The answer the client got.
    answer: Answer,
}

impl Mirrored {
    async fn run(self, mut second: Case, reservation: ShadowReservation) {
        let route = Arc::clone(&self.admitted.route.name);
        let subject = Subject::beside(&self.admitted, second.id()).decided_by(self.decided_by.as_ref());
        let attempt = self.attempt();
        ask::note_begun(&subject, &mut second, &attempt);
        note_candidate(&subject, &mut second, &attempt.leg);
        let (result, outcome) = match attempt::open(&self.gateway, &subject, attempt).await {
            Ok(opened) => {
                second.record.warnings.clone_from(&opened.warnings);
                second.record.finish = opened.relay.summary().finish.map(|finish| word(finish.name()));
                let candidate = opened.relay.answer().cloned().unwrap_or_default();
                ask::conclude(&self.gateway, &mut second, *opened);
                second.record.first_token_us =
                    second.record.attempts.last().and_then(|attempt| attempt.phases.first_token_us);
                second.record.status = 200;
                second.record.error_message = None;
                let agreed = self.compare(&mut second, subject.expected(), Some(&candidate));
                (if agreed { "agreed" } else { "differed" }, Outcome::Served)
            }
            Err(lost) => {
                second.record.error_message =
                    Some(format!("the candidate gave no answer: {}", lost.failure.message));
                second.record.status = 502;
                ask::note_lost(&self.gateway, &mut second, *lost);
                self.compare(&mut second, subject.expected(), None);
                ("failed", Outcome::Failed)
            }
        };
        let cost = second.record.cost;
        reservation.settle(cost.amount);
        self.gateway.metrics.shadowed(&route, result);
        self.gateway.metrics.shadow_cost(&route, cost);
        second.finish(outcome);
    }

    fn attempt(&self) -> Attempt {
        Attempt {
            number: AttemptNumber(1),
            kind: AttemptKind::Shadow,
            leg: Leg { deployment: self.leg.deployment, tier: word("shadow") },
            connect: self.timeouts.connect,
            first_token: self.timeouts.first_token,
            between_tokens: self.timeouts.between_tokens,
            deadline: self.gateway.clock.now() + self.timeouts.total,
            hedge: None,
        }
    }

    /// Writes the comparison; whether the answers agree.
    fn compare(&self, second: &mut Case, expected: &Expected, candidate: Option<&Answer>) -> bool {
        let terms = self.leg.terms;
        let Some(comparison) = &mut second.record.shadow else { return false };
        comparison.served.in_form = in_form(&self.answer, expected);
        if terms.keeps_answers {
            let shown = |answer: &Answer| clipped(&ask::shown_answer(answer), LONGEST_KEPT).to_owned();
            comparison.answers = Some(Box::new(KeptAnswers {
                served: shown(&self.answer),
                candidate: candidate.map(shown).unwrap_or_default(),
            }));
        }
        let Some(candidate) = candidate else { return false };
        let short = |answer: &Answer| {
            let mut short = answer.clone();
            short.text.truncate(short.text.floor_char_boundary(LONGEST_COMPARED));
            short
        };
        let like = similarity(&short(&self.answer), &short(candidate), &mut Embedder::bundled());
        comparison.in_form = in_form(candidate, expected);
        comparison.similarity = Some(like);
        comparison.agreed = Some(like >= terms.agree);
        like >= terms.agree
    }
}

/// Whether an answer has the form that was asked for; `None` when none was.
fn in_form(answer: &Answer, expected: &Expected) -> Option<bool> {
    match expected {
        Expected::Anything => None,
        _ => Some(examine(&[Check::JsonSchema], answer, expected).is_ok()),
    }
}

fn note_candidate(subject: &Subject<'_>, second: &mut Case, leg: &Leg) {
    let deployment = subject.generation().snapshot.fleet.deployment(leg.deployment.index());
    let record = &mut second.record;
    record.deployment = Some(Arc::clone(&deployment.id));
    record.provider = Some(Arc::clone(&deployment.provider));
    record.model = Some(Arc::clone(&deployment.model));
    record.tier = Some(Arc::clone(&leg.tier));
}

fn clipped(text: &str, longest: usize) -> &str {
    &text[..text.floor_char_boundary(longest)]
}
