//! The step: predictions, thresholds and prices become a tier or a ranking.
//!
//! Owns the choice between a cheap and a strong tier, the ranking of all deployments by utility, and what happens to prompts the
//! router does not know. Must not reach anything unfiltered: it rates what is eligible. Constraints come first: a spent budget
//! sends everything to the cheap tier, whatever is predicted.

use super::predictor::{Familiarity, Predictor, Scratch};
use super::threshold::{Thresholds, paced_share};
use crate::estimate::expected_cost;
use crate::features::PromptVector;
use crate::filter::EligibleEntry;
use crate::fleet::{DeploymentIndex, Fleet};
use crate::policy::TierPosition;
use crate::steps::{DecideStep, Encoder, ScoredDeployment, StepAnswer, StepInput, encoder};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use trunkline_model::money::NanoDollars;

/// What the step chooses between.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// Two tiers: strong where the predicted gain is worth it.
    Tiers {
        /// The cheap one.
        cheap: TierPosition,
        /// The strong one.
        strong: TierPosition,
        /// Largest share of familiar prompts that goes to strong, 0 to 1; `None` leaves it to prices alone.
        share: Option<f64>,
        /// Quality of strong that may be given up, as a part of it: 0.02 for 2 %. Takes the place of `share`.
        quality_within: Option<f64>,
    },
    /// Every eligible deployment by utility.
    Ranking,
}

/// What happens to prompts unlike the training data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnknown {
    /// Their length stands for the predicted gain.
    Length,
    /// They go to this tier.
    Tier(TierPosition),
}

/// A daily budget of the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Per day, UTC.
    pub daily: NanoDollars,
}

/// Why a step cannot be made. Reads after "failed to".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// No deployment of a tier is known to the router.
    #[error(
        "use the router for the tier `{tier}`: it was trained for {known}, and none of them is in the tier"
    )]
    UnknownTier {
        /// The tier.
        tier: String,
        /// The models it knows.
        known: String,
    },
    /// No deployment of the route is known to the router.
    #[error("use the router: it was trained for {known}, and none of them is in the route")]
    UnknownRoute {
        /// The models it knows.
        known: String,
    },
    /// A prompt cannot be ranked by its length.
    #[error(
        "rank deployments by length: `on_unknown` must name a tier where no cheap and strong tier is given"
    )]
    LengthWithoutTiers,
}

/// The learned step of a route.
pub struct LearnedStep {
    predictor: Arc<Predictor>,
    mode: Mode,
    thresholds: Option<(Thresholds, f64)>,
    /// Quality per dollar.
    lambda: f64,
    /// Quality per second to the first token.
    mu: f64,
    budget: Option<Budget>,
    on_unknown: OnUnknown,
    /// What gives the vectors that the router needs beside its own.
    encoder: Option<Arc<Encoder>>,
    /// The router's model for each deployment of the fleet.
    known: Vec<Option<u16>>,
}

impl fmt::Debug for LearnedStep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LearnedStep")
            .field("mode", &self.mode)
            .field("lambda", &self.lambda)
            .field("mu", &self.mu)
            .field("budget", &self.budget)
            .field("on_unknown", &self.on_unknown)
            .finish_non_exhaustive()
    }
}

impl LearnedStep {
    /// A step over a route's tiers. `tier` gives the deployments and the name of a tier.
    ///
    /// # Errors
    /// When the router knows nothing of what it is to choose between.
    #[expect(clippy::too_many_arguments, reason = "each is one setting of the step")]
    pub fn new<'a>(
        predictor: Arc<Predictor>,
        mode: Mode,
        lambda: f64,
        mu: f64,
        budget: Option<Budget>,
        on_unknown: OnUnknown,
        fleet: &Fleet,
        tier: impl Fn(TierPosition) -> (&'a str, &'a [DeploymentIndex]),
    ) -> Result<Self, StepError> {
        let known: Vec<Option<u16>> = fleet
            .iter()
            .map(|(index, deployment)| {
                let entry = deployment.entry.as_deref();
                let names = [
                    &*deployment.id,
                    &**fleet.path(index),
                    &*deployment.model,
                    entry.map_or("", |entry| entry.id()),
                    entry.map_or("", |entry| entry.model()),
                ];
                predictor.position(&names).and_then(|position| u16::try_from(position).ok())
            })
            .collect();
        let list =
            || predictor.models().iter().map(|model| format!("`{model}`")).collect::<Vec<_>>().join(", ");
        let thresholds = match mode {
            Mode::Tiers { cheap, strong, share, quality_within } => {
                let models = |position| {
                    let (name, deployments) = tier(position);
                    let mut models: Vec<usize> = deployments
                        .iter()
                        .filter_map(|index| known.get(index.position()).copied().flatten())
                        .map(usize::from)
                        .collect();
                    models.sort_unstable();
                    models.dedup();
                    if models.is_empty() {
                        return Err(StepError::UnknownTier { tier: name.to_owned(), known: list() });
                    }
                    Ok(models)
                };
                let (cheap, strong) = (models(cheap)?, models(strong)?);
                let calibration = predictor.calibration();
                Thresholds::new(calibration, predictor.models().len(), &cheap, &strong).map(|thresholds| {
                    let share = match quality_within {
                        Some(loss) => thresholds.share_within(loss),
                        None => share.unwrap_or(1.0),
                    };
                    (thresholds, share)
                })
            }
            Mode::Ranking if on_unknown == OnUnknown::Length => return Err(StepError::LengthWithoutTiers),
            Mode::Ranking if known.iter().all(Option::is_none) => {
                return Err(StepError::UnknownRoute { known: list() });
            }
            Mode::Ranking => None,
        };
        Ok(Self { predictor, mode, thresholds, lambda, mu, budget, on_unknown, encoder: None, known })
    }

    /// The same with the encoder that its router was trained with.
    #[must_use]
    pub fn with_encoder(mut self, encoder: Option<Arc<Encoder>>) -> Self {
        self.encoder = encoder;
        self
    }

    /// The share of familiar prompts that goes to the strong tier, as set or as worked out from the quality to keep.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        self.thresholds.as_ref().map(|(_, share)| *share)
    }

    fn model(&self, index: DeploymentIndex) -> Option<usize> {
        self.known.get(index.position()).copied().flatten().map(usize::from)
    }

    fn answer(&self, input: &StepInput<'_>, scratch: &mut Scratch) -> StepAnswer {
        let (Some(text), Some(vector)) = (input.features.user_text(), input.features.vector()) else {
            return StepAnswer::NoAnswer { why: "no text of the user is at hand".into() };
        };
        let trust = match self.predicted(input, text, vector, scratch) {
            Ok(trust) => trust,
            Err(wish) => return wish,
        };
        if trust.is_none() {
            for entry in input.eligible.iter() {
                let index = entry.deployment().index();
                if let Some(quality) = self.model(index).and_then(|model| scratch.quality.get(model)) {
                    input.features.predict(index, quality.clamp(0.0, 1.0));
                }
            }
        }
        match (&self.mode, &self.thresholds) {
            (Mode::Tiers { cheap, strong, share, quality_within }, Some((thresholds, wanted))) => {
                let by_share = share.is_some() || quality_within.is_some() || self.lambda == 0.0;
                let question =
                    Question { input, thresholds, cheap: *cheap, strong: *strong, wanted: *wanted, by_share };
                self.tier(&question, trust.as_deref(), text.len(), scratch)
            }
            _ => self.ranking(input, trust.as_deref(), scratch),
        }
    }

    /// Predicts. What comes back is why the prediction is not to be trusted; the wish for a vector where one is needed first. A
    /// prompt that the router does not know is not encoded: its vector would change nothing.
    fn predicted(
        &self,
        input: &StepInput<'_>,
        text: &str,
        vector: &PromptVector,
        scratch: &mut Scratch,
    ) -> Result<Option<Cow<'static, str>>, StepAnswer> {
        let untrusted = |familiarity| match familiarity {
            Familiarity::Familiar => None,
            Familiarity::Unfamiliar(why) => Some(Cow::Borrowed(why.reason())),
        };
        let Some(encoder) = &self.encoder else {
            return Ok(untrusted(self.predictor.predict(text, vector, None, scratch)));
        };
        if let Some(why) = untrusted(self.predictor.predict(text, vector, None, scratch)) {
            return Ok(Some(why));
        }
        match encoder::vector(input, encoder, text) {
            Ok(encoded) if self.predictor.reads(&encoded) => {
                self.predictor.predict_read(vector, Some(&encoded), scratch);
                Ok(None)
            }
            Ok(_) => Ok(Some("the encoder's vector has another length than those of the training".into())),
            Err(StepAnswer::NoAnswer { why }) => Ok(Some(why)),
            Err(wish) => Err(wish),
        }
    }

    fn tier(
        &self,
        question: &Question<'_>,
        untrusted: Option<&str>,
        length: usize,
        scratch: &Scratch,
    ) -> StepAnswer {
        let Question { input, thresholds, cheap, strong, wanted, by_share } = *question;
        let to = |tier| StepAnswer::Tier { tier, propensity: 1.0 };
        let mut share = wanted;
        if let Some(budget) = self.budget {
            let unix = input.decide.clock.unix;
            let spent = input.decide.views.spent(&input.decide.route.name, unix / DAY);
            let spent = spent.unwrap_or(NanoDollars::ZERO).to_f64();
            let elapsed = (unix % DAY) as f64 / DAY as f64;
            share = paced_share(wanted, spent, budget.daily.to_f64(), elapsed);
            if share <= 0.0 {
                input.features.note("the day's budget is spent: cheap, whatever is predicted");
                return to(cheap);
            }
        }
        let gain = match (untrusted, self.on_unknown) {
            (Some(why), OnUnknown::Tier(tier)) => {
                input.features.note(format!("not predicted, {why}: the tier for unknown prompts"));
                return to(tier);
            }
            (Some(why), OnUnknown::Length) => {
                input.features.note(format!("not predicted, {why}: the prompt's length decides"));
                Some(thresholds.gain_of_length(length))
            }
            (None, _) => {
                let quality = |tier| self.mean(input, tier, |entry| self.quality(entry, scratch));
                quality(strong).zip(quality(cheap)).map(|(strong, cheap)| (strong - cheap) as f32)
            }
        };
        let Some(gain) = gain else {
            return StepAnswer::NoAnswer {
                why: "no eligible deployment of one of the tiers is known to the router".into(),
            };
        };
        let price = self.price(input, strong, cheap);
        let least = if by_share || self.budget.is_some() { thresholds.at_share(share) } else { 0.0 };
        // Without a share, prices alone set the bar; with one, they raise it.
        let least = f64::from(if by_share { least } else { least.max(0.0) }) + price;
        let is_strong = f64::from(gain) >= least;
        if untrusted.is_none() {
            let (word, side) = if is_strong { ("reaches", "strong") } else { ("is below", "cheap") };
            input.features.note(format!("the predicted gain {gain:.3} {word} {least:.3}: {side}"));
        }
        to(if is_strong { strong } else { cheap })
    }

    /// What strong costs more than cheap, in quality.
    fn price(&self, input: &StepInput<'_>, strong: TierPosition, cheap: TierPosition) -> f64 {
        if self.lambda == 0.0 && self.mu == 0.0 {
            return 0.0;
        }
        let burden = |tier| self.mean(input, tier, |entry| Some(self.burden(input, entry)));
        burden(strong).zip(burden(cheap)).map_or(0.0, |(strong, cheap)| strong - cheap)
    }

    fn quality(&self, entry: &EligibleEntry, scratch: &Scratch) -> Option<f64> {
        let model = self.model(entry.deployment().index())?;
        scratch.quality.get(model).map(|quality| f64::from(*quality))
    }

    /// Cost and latency of a deployment, in quality. What is unknown weighs nothing: prices are demanded when a configuration
    /// with `lambda` loads, and a deployment nobody has used yet has no latency. It is that of answers that come as this one is to.
    fn burden(&self, input: &StepInput<'_>, entry: &EligibleEntry) -> f64 {
        let deployment = input.decide.fleet.deployment(entry.deployment().index());
        let cost = if self.lambda == 0.0 {
            0.0
        } else {
            expected_cost(deployment, input.decide.shape).amount.map_or(0.0, NanoDollars::to_f64)
        };
        let latency = entry.view().latency.map_or(0.0, |latency| latency.as_secs_f64());
        self.lambda * cost + self.mu * latency
    }

    /// The mean over the eligible deployments of a tier for which there is a value.
    fn mean(
        &self,
        input: &StepInput<'_>,
        tier: TierPosition,
        value: impl Fn(&EligibleEntry) -> Option<f64>,
    ) -> Option<f64> {
        let deployments = &input.decide.route.tier(tier)?.deployments;
        let (mut sum, mut count) = (0.0, 0u32);
        for index in deployments {
            if let Some(value) = input.eligible.find(*index).and_then(&value) {
                sum += value;
                count += 1;
            }
        }
        (count > 0).then(|| sum / f64::from(count))
    }

    fn ranking(&self, input: &StepInput<'_>, untrusted: Option<&str>, scratch: &Scratch) -> StepAnswer {
        if let (Some(why), OnUnknown::Tier(tier)) = (untrusted, self.on_unknown) {
            input.features.note(format!("not predicted, {why}: the tier for unknown prompts"));
            return StepAnswer::Tier { tier, propensity: 1.0 };
        }
        let mut order: Vec<ScoredDeployment> = input
            .eligible
            .iter()
            .filter_map(|entry| {
                let utility = self.quality(entry, scratch)? - self.burden(input, entry);
                // Lower is better in every ranking.
                Some(ScoredDeployment { deployment: entry.deployment(), score: -utility })
            })
            .collect();
        if order.is_empty() {
            return StepAnswer::NoAnswer { why: "no eligible deployment is known to the router".into() };
        }
        order.sort_by(|one, other| one.score.total_cmp(&other.score));
        StepAnswer::Ranking { order, propensity: 1.0 }
    }
}

/// One choice between two tiers.
#[derive(Clone, Copy)]
struct Question<'a> {
    input: &'a StepInput<'a>,
    thresholds: &'a Thresholds,
    cheap: TierPosition,
    strong: TierPosition,
    wanted: f64,
    by_share: bool,
}

/// Seconds.
const DAY: u64 = 86_400;

impl DecideStep for LearnedStep {
    fn name(&self) -> &str {
        "learned"
    }

    fn decide(&self, input: &StepInput<'_>) -> StepAnswer {
        thread_local! {
            // The buffers grow once per thread.
            static SCRATCH: RefCell<Scratch> = RefCell::default();
        }
        SCRATCH.with_borrow_mut(|scratch| self.answer(input, scratch))
    }
}
