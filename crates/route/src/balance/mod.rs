//! Spreading requests over the deployments of a tier.
//!
//! Owns the strategies and what each orders by. Must not filter: candidates are eligible. Every strategy gives an order of all
//! candidates, not just a first, because the rest of the order is where failover goes. Whatever the strategy, usable
//! deployments come before unusable ones, and those by how soon they are back.

mod rank;
mod seeded;

pub(crate) use rank::rank_places;
pub use rank::{Candidate, Ranked, Ranking, Rotation, rank};
pub(crate) use seeded::{mix, unit};

use std::fmt;
use std::sync::Arc;

/// How the load of a tier is spread.
#[derive(Clone, Debug)]
pub enum Balance {
    /// At random, in proportion to the weights.
    Weighted,
    /// In turn, each as often as its weight says.
    RoundRobin,
    /// The less busy of two picked at random.
    LeastOutstanding,
    /// Shortest expected time to the first token, refusals counted as slowness.
    Latency,
    /// Lowest estimated cost of this request.
    Cost,
    /// Most of the provider's rate limits left.
    Headroom,
    /// A measure from outside.
    Custom(Arc<dyn Scorer>),
}

impl Balance {
    /// The name used in configuration and explanations.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Weighted => "weighted",
            Self::RoundRobin => "round-robin",
            Self::LeastOutstanding => "least-outstanding",
            Self::Latency => "latency",
            Self::Cost => "cost",
            Self::Headroom => "headroom",
            Self::Custom(scorer) => scorer.name(),
        }
    }

    /// The strategy of this name, except those from outside.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().position(|known| *known == name).map(|position| match position {
            0 => Self::Weighted,
            1 => Self::RoundRobin,
            2 => Self::LeastOutstanding,
            3 => Self::Latency,
            4 => Self::Cost,
            _ => Self::Headroom,
        })
    }

    /// The names [`Balance::parse`] knows.
    pub const NAMES: [&'static str; 6] =
        ["weighted", "round-robin", "least-outstanding", "latency", "cost", "headroom"];
}

/// A measure by which candidates of a tier are ordered, from outside this crate. Must be pure.
pub trait Scorer: Send + Sync + fmt::Debug {
    /// Its name in explanations.
    fn name(&self) -> &str;

    /// The measure of one candidate: lower is better, not a number is worst.
    fn score(&self, candidate: &Candidate<'_>) -> f64;
}
