//! Whether an answer is good enough.
//!
//! Owns what happens between a whole answer and the client when the route asks something of answers: checks, repair, samples, a
//! judge, and what is kept for the case that nothing better comes. Must not decide where a better answer comes from: a failed
//! check is reported to the attempt machine like any other failure. A check that cannot be made (the judge is down, the money
//! is spent) passes, because a request must not fail for it; the client is told.

use crate::ask::{self, Question};
use crate::attempt::{self, Opened};
use crate::audit;
use crate::perform::Performance;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::sync::Arc;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::record::{AttemptKind, JudgedAnswer};
use trunkline_model::warning::Warning;
use trunkline_route::cascade::{
    Agreement, Answer, Cascade, Demand, Inspection, Judge, Shortcoming, TOP_SCORE, affords, agreement,
    examine, repaired,
};
use trunkline_route::drive::{Attempt, AttemptNumber, Commit, Verdict};

/// Numbers of samples begin here: the attempt machine counts from 1 and does not know them.
const FIRST_SAMPLE: u32 = 1_000;
/// And those of judges here.
const FIRST_JUDGE: u32 = 2_000;
/// The longest judgement, in tokens; a judge that reasons needs some for that.
const LONGEST_JUDGEMENT: u32 = 2_000;

impl Performance<'_> {
    /// Looks at an answer. `None` when it was found wanting: the machine has been told and says what follows.
    pub(crate) async fn assess(&mut self, mut opened: Box<Opened>) -> Option<Box<Opened>> {
        let subject = self.subject;
        let Some(inspection) = subject.inspection() else { return Some(opened) };
        let tier = Arc::clone(&opened.attempt.leg.tier);
        if !inspection.concerns(&tier) {
            return Some(opened);
        }
        if let Some(demand) = &inspection.demand
            && let Err(shortcoming) = self.demand(demand, &mut opened)
        {
            self.reject(opened, &shortcoming);
            return None;
        }
        let Some(cascade) = inspection.cascade_for(&tier) else { return Some(opened) };
        match self.check(cascade, inspection, &mut opened).await {
            Ok(()) => {
                self.gateway.metrics.checked(subject.route_name(), None);
                if let Some(answer) = opened.relay.answer() {
                    audit::consider(self.gateway, subject, self.drive.plan(), cascade, self.case, answer);
                }
                Some(opened)
            }
            Err(shortcoming) => {
                self.gateway.metrics.checked(subject.route_name(), Some(shortcoming.check));
                self.escalate(cascade, opened, &shortcoming)
            }
        }
    }

    /// No better answer came: the one that failed its check is served after all, and says so.
    pub(crate) fn fall_back_on_kept(&mut self, verdict: &Verdict) -> Option<Box<Opened>> {
        let mut kept = self.kept.take()?;
        let reason = format!("no better answer came: {}", verdict.failure.message);
        kept.warnings.push(Warning::dropped("cascade", reason));
        Some(kept)
    }

    fn demand(&self, demand: &Demand, opened: &mut Opened) -> Result<(), Shortcoming> {
        let Some(answer) = opened.relay.answer() else { return Ok(()) };
        let expected = self.subject.expected();
        let Err(shortcoming) = examine(&demand.checks, answer, expected) else { return Ok(()) };
        let Some(text) = repaired(&answer.text).filter(|_| demand.repair) else { return Err(shortcoming) };
        let mut fixed = answer.clone();
        text.clone_into(&mut fixed.text);
        examine(&demand.checks, &fixed, expected)?;
        let leg = &opened.attempt.leg;
        let context = self.subject.relay_context(leg.deployment.index(), &leg.tier);
        if let Some(body) = opened.relay.rewrite(&context, &fixed.text) {
            opened.held = body;
            opened.body = None;
            let reason = "what stood around the JSON of the answer was taken away";
            opened.warnings.push(Warning::emulated("answer", reason));
        }
        Ok(())
    }

    /// The cascade's checks, the cheap ones first.
    async fn check(
        &mut self,
        cascade: &Cascade,
        inspection: &Inspection,
        opened: &mut Opened,
    ) -> Result<(), Shortcoming> {
        let Some(answer) = opened.relay.answer().cloned() else { return Ok(()) };
        examine(&cascade.checks, &answer, self.subject.expected())?;
        if let Some(wanted) = cascade.agreement {
            self.compare(cascade, wanted, &answer, opened).await?;
        }
        if let Some(judge) = &cascade.judge {
            self.judge(cascade, judge, inspection, &answer, opened).await?;
        }
        Ok(())
    }

    async fn compare(
        &mut self,
        cascade: &Cascade,
        wanted: Agreement,
        answer: &Answer,
        opened: &mut Opened,
    ) -> Result<(), Shortcoming> {
        let index = opened.attempt.leg.deployment.index();
        let more = wanted.samples.saturating_sub(1);
        let one = self.subject.estimated_cost(index);
        let expected = one.map(|one| (1..more).fold(one, |sum, _| sum.saturating_add(one)));
        if !self.affords(cascade, opened, expected) {
            skipped(opened, "no further sample was taken: the spend cap of the request");
            return Ok(());
        }
        let mut running = FuturesUnordered::new();
        for number in 0..more {
            let number = AttemptNumber(FIRST_SAMPLE + number);
            let attempt =
                Attempt { number, kind: AttemptKind::Sample, hedge: None, ..opened.attempt.clone() };
            self.note(&attempt);
            running.push(attempt::open(self.gateway, self.subject, attempt));
        }
        let mut others = Vec::new();
        while let Some(sample) = running.next().await {
            match sample {
                Ok(sample) => {
                    others.extend(sample.relay.answer().cloned());
                    ask::conclude(self.gateway, self.case, *sample);
                }
                Err(lost) => ask::note_lost(self.gateway, self.case, *lost),
            }
        }
        match agreement(answer, &others) {
            None => {
                skipped(opened, "no further sample came");
                Ok(())
            }
            Some(found) if found >= wanted.least => Ok(()),
            Some(found) => Err(Shortcoming {
                check: "agreement",
                why: format!("further samples agree by {found:.2}, below {}", wanted.least),
            }),
        }
    }

    async fn judge(
        &mut self,
        cascade: &Cascade,
        judge: &Judge,
        inspection: &Inspection,
        answer: &Answer,
        opened: &mut Opened,
    ) -> Result<(), Shortcoming> {
        let expected = inspection.judges.first().and_then(|judge| self.subject.estimated_cost(judge.index()));
        if !self.affords(cascade, opened, expected) {
            skipped(opened, "no judge was asked: the spend cap of the request");
            return Ok(());
        }
        let admitted = self.subject.admitted();
        let request = ask::visible_text(admitted);
        let question = Question {
            instruction: judge.instruction(),
            material: Judge::material(&request, &ask::shown_answer(answer)),
            schema: Some(("judgement", Judge::schema())),
            longest_answer: LONGEST_JUDGEMENT,
            kind: AttemptKind::Judge,
            first_number: FIRST_JUDGE,
            deadline: self.drive.deadline(),
        };
        let said = ask::ask(self.gateway, admitted, self.case, &inspection.judges, &question).await;
        let score = said.and_then(|text| {
            Judge::score(&text)
                .map_err(|error| Failure::new(FailureClass::BadAnswer, format!("failed to {error}")))
        });
        if let Ok(score) = score {
            let leg = &opened.attempt.leg;
            let deployment = &self.subject.generation().snapshot.fleet.deployment(leg.deployment.index()).id;
            self.case.record.judged.push(JudgedAnswer {
                deployment: Arc::clone(deployment),
                tier: Arc::clone(&leg.tier),
                score: f64::from(score) / f64::from(TOP_SCORE),
            });
        }
        match score {
            Err(failure) => {
                skipped(opened, &format!("the judge could not tell: {}", failure.message));
                Ok(())
            }
            Ok(score) if score >= judge.least => Ok(()),
            Ok(score) => Err(Shortcoming {
                check: "judge",
                why: format!("the judge gives {score}, below {}", judge.least),
            }),
        }
    }

    /// Asks the machine for a better answer, unless the money for it is spent.
    fn escalate(
        &mut self,
        cascade: &Cascade,
        mut opened: Box<Opened>,
        shortcoming: &Shortcoming,
    ) -> Option<Box<Opened>> {
        let better = self.drive.plan().on_bad_answer.first().map(|leg| leg.deployment.index());
        let expected = better.and_then(|index| self.subject.estimated_cost(index));
        if !self.affords(cascade, &opened, expected) {
            let reason = format!("served although `{shortcoming}`: the spend cap of the request");
            opened.warnings.push(Warning::dropped("cascade", reason));
            return Some(opened);
        }
        opened.warnings.push(Warning::dropped("cascade", format!("served although `{shortcoming}`")));
        let kept = self.reject(opened, shortcoming);
        self.kept = Some(kept);
        None
    }

    /// Tells everyone that an answer will not do.
    fn reject(&mut self, mut opened: Box<Opened>, shortcoming: &Shortcoming) -> Box<Opened> {
        let failure =
            Failure::new(FailureClass::BadAnswer, format!("the answer was found wanting: {shortcoming}"));
        let now = self.gateway.clock.now();
        let summary = opened.relay.summary();
        opened.facts.usage = summary.usage;
        opened.facts.output_bytes = summary.output_bytes;
        opened.facts.beginning = summary.excerpt();
        if let Some(call) = opened.call.take() {
            call.failed(&failure, opened.facts.usage.map(|usage| usage.total()), now);
        }
        let number = opened.attempt.number;
        self.gateway.metrics.attempt_failed(failure.class);
        self.case.end(number, opened.facts.clone().end(Some(failure.clone())));
        self.drive.failed(number, failure, Commit::Before, now);
        opened
    }

    fn note(&mut self, attempt: &Attempt) {
        ask::note_begun(self.subject, self.case, attempt);
    }

    /// Whether the cap of the request allows one more call. The answer in hand is not billed yet: what it is expected to cost
    /// counts as spent.
    fn affords(
        &self,
        cascade: &Cascade,
        opened: &Opened,
        expected: Option<trunkline_model::money::NanoDollars>,
    ) -> bool {
        let settled = self.case.record.cost.amount;
        let open = self.subject.estimated_cost(opened.attempt.leg.deployment.index());
        let spent = settled.and_then(|settled| Some(settled.saturating_add(open?)));
        affords(cascade.spend_cap, spent, expected)
    }
}

fn skipped(opened: &mut Opened, reason: &str) {
    opened.warnings.push(Warning::dropped("cascade", reason.to_owned()));
}
