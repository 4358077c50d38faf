//! What became of each arm's requests, older ones counting less.
//!
//! Owns the discounted sums. Bounded by the number of arms. Discounting per outcome and not per hour: an arm that nobody uses
//! forgets slowly, one that changes is noticed after a few hundred outcomes.

use parking_lot::Mutex;
use smallvec::SmallVec;

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
    arms: Mutex<SmallVec<[Sums; 4]>>,
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
            arms: Mutex::new(SmallVec::from_elem(Sums::default(), arms)),
        }
    }

    /// Adds an outcome of an arm. All arms are discounted by it, so that the weights add up to a bounded sum.
    pub fn observe(&self, arm: usize, outcome: Outcome) {
        let quality = if outcome.quality.is_finite() { outcome.quality.clamp(0.0, 1.0) } else { return };
        let mut arms = self.arms.lock();
        if arm >= arms.len() {
            return;
        }
        for sums in arms.iter_mut() {
            sums.weight *= self.discount;
            sums.quality *= self.discount;
            sums.squares *= self.discount;
            sums.priced *= self.discount;
            sums.dollars *= self.discount;
        }
        let sums = &mut arms[arm];
        sums.weight += 1.0;
        sums.quality += quality;
        sums.squares += quality * quality;
        if let Some(dollars) = outcome.dollars.filter(|dollars| dollars.is_finite()) {
            sums.priced += 1.0;
            sums.dollars += dollars;
        }
    }

    /// What is known now.
    #[must_use]
    pub fn view(&self) -> SmallVec<[ArmView; 4]> {
        self.arms.lock().iter().map(Sums::view).collect()
    }

    /// Takes over what another one learned, where it has as many arms.
    pub fn adopt(&self, other: &Self) {
        if std::ptr::eq(self, other) {
            return;
        }
        let learned = other.arms.lock().clone();
        let mut arms = self.arms.lock();
        if learned.len() == arms.len() {
            *arms = learned;
        }
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
