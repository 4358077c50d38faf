//! Decisions that have to ask a model first.
//!
//! Owns asking what a decision would like to know (labels of models; vectors come from `encode`), keeping the answers, and deciding
//! again with them. Must not choose nor read a
//! label itself: both are pure and in `route`. What goes wrong here is a reason for the next step and never fails a request. A dry
//! run asks nobody: it shows what a kept answer decides, or says that nobody was asked.

use crate::admit::Admitted;
use crate::allowance::Taken;
use crate::ask;
use crate::case::Case;
use crate::clock;
use crate::encode::{self, GivenVectors, later};
use crate::learn;
use crate::planning;
use crate::state::Gateway;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use trunkline_model::catalogue::{ServiceTier, TokenCounts, price};
use trunkline_model::moment::Moment;
use trunkline_model::money::NanoDollars;
use trunkline_model::record::AttemptKind;
use trunkline_model::usage::Usage;
use trunkline_route::decision::Decision;
use trunkline_route::steps::{ANSWER_TOKENS, GivenAnswer, Question, QuestionKey};

/// Number of the first such call in the record, apart from those of the attempt machine.
const FIRST_CLASSIFIER: u32 = 3_000;
/// Tokens that a protocol puts around messages and a schema, at the most.
const FRAME_TOKENS: u64 = 300;
/// The most questions of one request; a route with more steps that ask goes on without.
const MOST_QUESTIONS: usize = 4;
/// The most answers kept.
const MOST_KEPT: usize = 10_000;

/// Decides, and asks on the way what the decision needs.
pub(crate) async fn plan(gateway: &Arc<Gateway>, admitted: &Admitted, case: &mut Case) -> Decision {
    let mut decision = planning::decide(gateway, admitted, case, &[], &Vec::new());
    if decision.question.is_some() || decision.to_encode.is_some() {
        decision = Box::pin(asked(gateway, admitted, case, decision)).await;
    }
    planning::note(admitted, &decision, case);
    if decision.plan.is_ok() && !admitted.options.dry_run {
        learn::keep_prompt(gateway, admitted, case.id());
    }
    decision
}

async fn asked(
    gateway: &Arc<Gateway>,
    admitted: &Admitted,
    case: &mut Case,
    mut decision: Decision,
) -> Decision {
    let mut answers: Vec<GivenAnswer> = Vec::new();
    let mut vectors = GivenVectors::new();
    while decision.plan.is_ok() && answers.len() + vectors.len() < MOST_QUESTIONS {
        if let Some(wanted) = decision.to_encode.take() {
            let Some(given) = encode::vector(gateway, admitted, case, &wanted).await else { break };
            vectors.push((wanted.encoder.name.clone(), given));
            decision = planning::decide(gateway, admitted, case, &answers, &vectors);
            continue;
        }
        let Some(question) = decision.question.take() else { break };
        let answer = match gateway.answers.find(&question.key, gateway.clock.now()) {
            Some(label) => Ok(label),
            None if admitted.options.dry_run => break,
            None => ask_one(gateway, admitted, case, &question, answers.len()).await,
        };
        answers.push(GivenAnswer { step: question.step, answer });
        decision = planning::decide(gateway, admitted, case, &answers, &vectors);
    }
    decision
}

async fn ask_one(
    gateway: &Arc<Gateway>,
    admitted: &Admitted,
    case: &mut Case,
    question: &Question,
    asked_before: usize,
) -> Result<usize, String> {
    let now = gateway.clock.now();
    let taken = take(gateway, admitted, question)?;
    let before = case.record.attempts.len();
    let to_send = ask::Question {
        instruction: question.instruction(),
        material: question.material(),
        schema: Some(("classification", question.schema())),
        longest_answer: ANSWER_TOKENS,
        kind: AttemptKind::Classifier,
        first_number: FIRST_CLASSIFIER + 10 * u32::try_from(asked_before).unwrap_or(0),
        deadline: later(now, question.model.timeout),
    };
    let said = ask::ask(gateway, admitted, case, &[question.whom], &to_send).await;
    if let Some(taken) = &taken {
        let attempts = case.record.attempts.iter().skip(before);
        let cost = attempts.map(|attempt| attempt.cost.amount).sum::<Option<NanoDollars>>();
        gateway.allowances.settle(taken, cost);
    }
    let text = said.map_err(|failure| format!("the classifier gave no answer: {}", failure.message))?;
    let label = question.read(&text)?;
    gateway.answers.keep(question.key, label, later(gateway.clock.now(), question.model.keep));
    Ok(label)
}

/// Takes the money for a question, where the classifier has a cap. A token has at least one byte, so bytes bound the prompt.
fn take(gateway: &Gateway, admitted: &Admitted, question: &Question) -> Result<Option<Taken>, String> {
    let Some(cap) = question.model.spend_cap else { return Ok(None) };
    let bytes = question.instruction().len() + question.material().len() + question.schema().len();
    let usage =
        Usage { input: bytes as u64 + FRAME_TOKENS, output: u64::from(ANSWER_TOKENS), ..Usage::default() };
    let deployment = admitted.generation.snapshot.fleet.deployment(question.model.deployment);
    let most = deployment
        .entry
        .as_ref()
        .and_then(|entry| price(entry, ServiceTier::Standard, &TokenCounts::from(&usage)).amount)
        .ok_or_else(|| "what the classifier costs is not known, so its spend cap cannot hold".to_owned())?;
    let day = clock::unix_seconds() / 86_400;
    let taken = gateway.allowances.take(&question.model.name, day, most, cap);
    taken
        .map(Some)
        .ok_or_else(|| format!("the classifier's spend cap of ${} for the day is used up", cap.decimal()))
}

/// Answers that were given, by content. Only what was understood is kept: a failure is tried again. Survives a reload, because
/// the key holds all of the question.
#[derive(Default)]
pub(crate) struct Answers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    answers: HashMap<QuestionKey, (usize, Moment)>,
    /// In the order they came; the oldest goes first.
    order: VecDeque<QuestionKey>,
}

impl Answers {
    fn find(&self, key: &QuestionKey, now: Moment) -> Option<usize> {
        let kept = self.0.lock();
        let (label, until) = kept.answers.get(key)?;
        (*until > now).then_some(*label)
    }

    fn keep(&self, key: QuestionKey, label: usize, until: Moment) {
        let mut kept = self.0.lock();
        if kept.answers.insert(key, (label, until)).is_none() {
            kept.order.push_back(key);
        }
        while kept.order.len() > MOST_KEPT {
            if let Some(oldest) = kept.order.pop_front() {
                kept.answers.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kept_for_their_time_and_the_oldest_goes_first() {
        let answers = Answers::default();
        let at = Moment::from_micros;
        let key = |number: usize| {
            let mut key = QuestionKey::default();
            key[..8].copy_from_slice(&(number as u64).to_le_bytes());
            key
        };
        answers.keep(key(0), 3, at(100));
        assert_eq!(answers.find(&key(0), at(99)), Some(3));
        assert_eq!(answers.find(&key(0), at(100)), None);
        answers.keep(key(0), 4, at(300));
        assert_eq!(answers.find(&key(0), at(200)), Some(4));
        for number in 1..=MOST_KEPT {
            answers.keep(key(number), 1, at(1_000));
        }
        assert_eq!(answers.find(&key(0), at(0)), None);
        assert_eq!(answers.find(&key(MOST_KEPT), at(0)), Some(1));
        assert_eq!(answers.0.lock().answers.len(), MOST_KEPT);
    }
}
