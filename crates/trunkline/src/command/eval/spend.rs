//! What an evaluation may cost.
//!
//! Owns the worst case of a question and the account against the cap. Before a question is asked its worst case is reserved: the
//! dearest deployment it can reach, every attempt charged in full, the longest answer. So the cap holds whatever happens.

use super::Question;
use std::collections::HashMap;
use trunkline_config::Snapshot;
use trunkline_lab::evaluate::RowCheck;
use trunkline_model::catalogue::{ServiceTier, TokenCounts, price};
use trunkline_route::fleet::DeploymentIndex;

/// Tokens of a judgement at the most.
pub(super) const JUDGEMENT_TOKENS: u64 = 300;
/// Tokens that a rubric and its instruction add, generously.
const INSTRUCTION_TOKENS: u64 = 500;
/// The longest a judge is shown of question and answer, in tokens of the least size.
const MATERIAL_TOKENS: u64 = 48_000;

pub(super) struct Spend {
    cap: Option<f64>,
    spent: f64,
    reserved: f64,
    /// Dollars per prompt token and per answer token, attempts included; `None` where a price is missing.
    prices: HashMap<String, Option<(f64, f64)>>,
    judge: Option<(f64, f64)>,
    judges: bool,
    longest: u64,
}

impl Spend {
    pub(super) fn new(cap: Option<f64>, snapshot: &Snapshot, judge: Option<&str>, longest: u64) -> Self {
        let mut names: Vec<&str> = snapshot.routes.iter().map(|(name, _)| &**name).collect();
        names.extend(snapshot.fleet.names().map(|name| &**name));
        let prices = names.into_iter().map(|name| (name.to_owned(), dearest(snapshot, name)));
        Self {
            cap,
            spent: 0.0,
            reserved: 0.0,
            prices: prices.collect(),
            judge: judge.and_then(|judge| dearest(snapshot, judge)),
            judges: judge.is_some(),
            longest,
        }
    }

    /// The most dollars a question can cost; `None` when a price is missing.
    pub(super) fn worst(&self, question: &Question) -> Option<f64> {
        let (input, output) = (*self.prices.get(&question.asked.target)?)?;
        let body = serde_json::to_string(&question.row.body).map_or(0, |body| body.len());
        let limit = |name: &str| question.row.body.get(name).and_then(serde_json::Value::as_u64);
        let most = limit("max_tokens").or_else(|| limit("max_completion_tokens")).unwrap_or(self.longest);
        // No tokenizer makes more tokens than bytes; reasoning is within the limit.
        let own = to_f64(body as u64) * input + to_f64(most) * output;
        let judgements =
            question.row.checks.iter().filter(|check| matches!(check, RowCheck::Judge { .. })).count() as u64;
        if judgements == 0 || !self.judges {
            return Some(own);
        }
        let (input, output) = self.judge?;
        let material =
            (body as u64).min(MATERIAL_TOKENS) + (most * 4).min(MATERIAL_TOKENS) + INSTRUCTION_TOKENS;
        Some(own + to_f64(judgements) * (to_f64(material) * input + to_f64(JUDGEMENT_TOKENS) * output))
    }

    /// Reserves the worst case; `None` when there is no room for it.
    pub(super) fn reserve(&mut self, question: &Question) -> Option<f64> {
        let worst = self.worst(question).unwrap_or(0.0);
        if self.cap.is_some_and(|cap| self.spent + self.reserved + worst > cap) {
            return None;
        }
        self.reserved += worst;
        Some(worst)
    }

    /// Replaces a reservation by what it cost; what is not known counts as the worst case.
    pub(super) fn settle(&mut self, reserved: f64, cost: Option<f64>) {
        self.reserved -= reserved;
        self.spent += cost.unwrap_or(reserved);
    }
}

/// The dearest prices per token that a route or model can reach, times its attempts.
fn dearest(snapshot: &Snapshot, name: &str) -> Option<(f64, f64)> {
    let route = snapshot.routes.find(name);
    let (candidates, attempts): (&[DeploymentIndex], u32) = match route {
        Some(route) => (route.candidates(), route.attempts),
        None => (snapshot.fleet.named(name), trunkline_route::policy::DEFAULT_ATTEMPTS),
    };
    let mut most = (0.0_f64, 0.0_f64);
    for index in candidates {
        let entry = snapshot.fleet.deployment(*index).entry.as_ref()?;
        let each = |tokens: TokenCounts| {
            let price = price(entry, ServiceTier::Standard, &tokens).amount?;
            Some(price.to_f64() / 1e6)
        };
        let input = each(TokenCounts { input: 1_000_000, ..TokenCounts::default() })?;
        let output = each(TokenCounts { output: 1_000_000, ..TokenCounts::default() })?;
        most = (most.0.max(input), most.1.max(output));
    }
    let attempts = f64::from(attempts.max(1));
    (!candidates.is_empty()).then_some((most.0 * attempts, most.1 * attempts))
}

#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^53")]
const fn to_f64(count: u64) -> f64 {
    count as f64
}
