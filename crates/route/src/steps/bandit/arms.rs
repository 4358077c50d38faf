//! What became of each arm's requests, older ones counting less.
//!
//! Owns the discounted sums. Bounded by the number of arms. Discounting per outcome and not per hour: an arm that nobody uses
//! forgets slowly, one that changes is noticed after a few hundred outcomes.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use trunkline_model::id::Name;

/// What came of one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// How good the answer was, 0 to 1; without a judge 1 for one that was served and 0 for one that failed.
    pub quality: f64,
    /// What it cost, in dollars, where known.
    pub dollars: Option<f64>,
}

/// The statistics of one arm.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ArmView {
    /// How many outcomes it stands for, discounted.
    pub weight: f64,
    /// Mean quality, 0 to 1.
    pub quality: f64,
    /// Variance of the quality.
    pub variance: f64,
    /// Mean cost in dollars.
    pub dollars: f64,
}

/// The statistics of all arms of one bandit. Shared with the configuration that follows, so that a reload forgets nothing.
#[derive(Debug)]
pub struct ArmStatistics {
    /// What of its weight an outcome keeps when the next one comes, 0 to 1.
    discount: f64,
    state: Mutex<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    /// Outcomes so far.
    seen: u64,
    arms: SmallVec<[Sums; 4]>,
}

/// What was learned, to be kept across restarts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedArms {
    /// Outcomes so far.
    pub seen: u64,
    /// For each arm its discounted weight, sum and sum of squares of the quality, weight of known costs, and their sum.
    pub arms: Vec<[f64; 5]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    weight: f64,
    quality: f64,
    squares: f64,
    priced: f64,
    dollars: f64,
}

impl ArmStatistics {
    /// Nothing learned yet about this many arms.
    #[must_use]
    pub fn new(arms: usize, discount: f64) -> Self {
        Self {
            discount: discount.clamp(0.0, 1.0),
            state: Mutex::new(State { seen: 0, arms: SmallVec::from_elem(Sums::default(), arms) }),
        }
    }

    /// Adds an outcome of an arm. All arms are discounted by it, so that the weights add up to a bounded sum.
    pub fn observe(&self, arm: usize, outcome: Outcome) {
        let quality = if outcome.quality.is_finite() { outcome.quality.clamp(0.0, 1.0) } else { return };
        let mut state = self.state.lock();
        if arm >= state.arms.len() {
            return;
        }
        state.seen += 1;
        for sums in &mut state.arms {
            sums.weight *= self.discount;
            sums.quality *= self.discount;
            sums.squares *= self.discount;
            sums.priced *= self.discount;
            sums.dollars *= self.discount;
        }
        let sums = &mut state.arms[arm];
        sums.weight += 1.0;
        sums.quality += quality;
        sums.squares += quality * quality;
        if let Some(dollars) = outcome.dollars.filter(|dollars| dollars.is_finite()) {
            sums.priced += 1.0;
            sums.dollars += dollars;
        }
    }

    /// Takes back what an outcome was first taken for. `seen` is how many outcomes had been seen when the choice was made: the
    /// outcome weighs by now what is left of it since.
    pub fn revise(&self, arm: usize, seen: u64, before: f64, after: f64) {
        if !before.is_finite() || !after.is_finite() {
            return;
        }
        let (before, after) = (before.clamp(0.0, 1.0), after.clamp(0.0, 1.0));
        let mut state = self.state.lock();
        let age = state.seen.saturating_sub(seen.saturating_add(1));
        let Some(sums) = state.arms.get_mut(arm) else { return };
        let left = self.discount.powi(i32::try_from(age).unwrap_or(i32::MAX));
        sums.quality = (sums.quality + left * (after - before)).clamp(0.0, sums.weight);
        sums.squares = (sums.squares + left * (after * after - before * before)).clamp(0.0, sums.weight);
    }

    /// Outcomes so far.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.state.lock().seen
    }

    /// What is known now.
    #[must_use]
    pub fn view(&self) -> SmallVec<[ArmView; 4]> {
        self.state.lock().arms.iter().map(Sums::view).collect()
    }

    /// What was learned, to be kept.
    #[must_use]
    pub fn saved(&self) -> SavedArms {
        let state = self.state.lock();
        let arms = state
            .arms
            .iter()
            .map(|sums| [sums.weight, sums.quality, sums.squares, sums.priced, sums.dollars]);
        SavedArms { seen: state.seen, arms: arms.collect() }
    }

    /// Takes over what was kept; false where it is of other arms, or no state that learning leads to.
    pub fn restore(&self, saved: &SavedArms) -> bool {
        let mut state = self.state.lock();
        let sound = |sums: &[f64; 5]| {
            sums.iter().all(|sum| sum.is_finite() && *sum >= 0.0)
                && sums[1] <= sums[0] + 1e-6
                && sums[2] <= sums[0] + 1e-6
        };
        if saved.arms.len() != state.arms.len() || !saved.arms.iter().all(sound) {
            return false;
        }
        state.seen = saved.seen;
        for (sums, [weight, quality, squares, priced, dollars]) in state.arms.iter_mut().zip(&saved.arms) {
            *sums = Sums {
                weight: *weight,
                quality: *quality,
                squares: *squares,
                priced: *priced,
                dollars: *dollars,
            };
        }
        true
    }

    /// Takes over what another one learned, where it has as many arms.
    pub fn adopt(&self, other: &Self) {
        if std::ptr::eq(self, other) {
            return;
        }
        let learned = other.state.lock().clone();
        let mut state = self.state.lock();
        if learned.arms.len() == state.arms.len() {
            *state = learned;
        }
    }
}

impl ArmView {
    /// The figures and what they are called beside the name of the tier.
    fn figures(&mut self) -> [(&'static str, &mut f64); 4] {
        [
            (" outcomes", &mut self.weight),
            (" quality", &mut self.quality),
            (" variance", &mut self.variance),
            (" dollars", &mut self.dollars),
        ]
    }

    /// In single precision, in which it is written.
    pub(super) fn rounded(mut self) -> Self {
        for (_, figure) in self.figures() {
            *figure = f64::from(*figure as f32);
        }
        self
    }

    /// Tells the figures for the explanation.
    pub(super) fn measured(mut self, tier: &str, mut tell: impl FnMut(Name, f64)) {
        for (name, figure) in self.figures() {
            tell(format!("{tier}{name}").into(), *figure);
        }
    }

    /// What was told of a tier, if all of it was.
    pub(crate) fn recalled(tier: &str, told: impl Fn(&str) -> Option<f64>) -> Option<(Name, Self)> {
        let mut view = Self::default();
        for (name, figure) in view.figures() {
            *figure = told(&format!("{tier}{name}"))?;
        }
        Some((tier.into(), view))
    }
}

impl Sums {
    fn view(&self) -> ArmView {
        if self.weight <= 0.0 {
            return ArmView::default();
        }
        let quality = self.quality / self.weight;
        ArmView {
            weight: self.weight,
            quality,
            variance: (self.squares / self.weight - quality * quality).max(0.0),
            dollars: if self.priced > 0.0 { self.dollars / self.priced } else { 0.0 },
        }
    }
}
