//! How deeply to reason, where somebody other than the body says so.
//!
//! Owns who may say it and whose word counts, and which depth a model gets when it does not know the one that is wanted. Must not
//! know how a protocol asks for reasoning.

use trunkline_model::catalogue::ReasoningEffort;
use trunkline_model::id::Name;

/// What a route says of reasoning: for itself, for its tiers and for its steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Efforts {
    /// For every request.
    pub route: Option<ReasoningEffort>,
    /// For what a tier answers, by its name.
    pub tiers: Vec<(Name, ReasoningEffort)>,
    /// For what a step decided, by its name.
    pub steps: Vec<(Name, ReasoningEffort)>,
}

/// Who says how deeply to reason. The first in this order that says something counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EffortBy {
    /// The virtual key.
    Key,
    /// The request's header.
    Header,
    /// The step that decided.
    Step,
    /// The tier that answers.
    Tier,
    /// The route.
    Route,
}

impl EffortBy {
    /// Who it is, for warnings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "the key",
            Self::Header => "the header",
            Self::Step => "the step",
            Self::Tier => "the tier",
            Self::Route => "the route",
        }
    }
}

impl Efforts {
    /// What the route says for a request that this step decided and this tier answers.
    #[must_use]
    pub fn of(&self, step: Option<&str>, tier: &str) -> Option<(ReasoningEffort, EffortBy)> {
        let find = |list: &[(Name, ReasoningEffort)], wanted: &str| {
            list.iter().find(|(name, _)| **name == *wanted).map(|(_, effort)| *effort)
        };
        let by_step = || Some((find(&self.steps, step?)?, EffortBy::Step));
        let by_tier = || Some((find(&self.tiers, tier)?, EffortBy::Tier));
        by_step().or_else(by_tier).or_else(|| Some((self.route?, EffortBy::Route)))
    }
}

/// The depth to ask a model for: the wanted one, or the nearest below that it knows, or else the least above. Reasoning is only
/// switched off where that is wanted. A model of which nobody says what it knows is asked for what is wanted.
#[must_use]
pub fn nearest(wanted: ReasoningEffort, known: &[ReasoningEffort]) -> ReasoningEffort {
    if known.contains(&wanted) {
        return wanted;
    }
    let usable = || known.iter().copied().filter(|effort| *effort != ReasoningEffort::None);
    let below = usable().filter(|effort| *effort < wanted).max();
    below.or_else(|| usable().filter(|effort| *effort > wanted).min()).unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ReasoningEffort::{ExtraHigh, High, Low, Max, Medium, Minimal, None as Off};
    use proptest::prelude::*;

    #[test]
    fn the_nearer_word_counts() {
        let efforts = Efforts {
            route: Some(Low),
            tiers: vec![("strong".into(), Medium)],
            steps: vec![("use-1".into(), High)],
        };
        assert_eq!(efforts.of(Some("use-1"), "strong"), Some((High, EffortBy::Step)));
        assert_eq!(efforts.of(Some("use-2"), "strong"), Some((Medium, EffortBy::Tier)));
        assert_eq!(efforts.of(None, "cheap"), Some((Low, EffortBy::Route)));
        assert_eq!(Efforts::default().of(Some("use-1"), "strong"), None);
    }

    #[test]
    fn a_depth_that_a_model_does_not_know_becomes_the_nearest() {
        assert_eq!(nearest(Max, &[Low, Medium, High]), High);
        assert_eq!(nearest(Minimal, &[Low, Medium, High]), Low);
        assert_eq!(nearest(Low, &[Off, High]), High, "nobody asked to switch it off");
        assert_eq!(nearest(Off, &[Minimal, Low]), Minimal);
        assert_eq!(nearest(ExtraHigh, &[]), ExtraHigh);
    }

    proptest! {
        #[test]
        fn what_is_asked_for_is_known(wanted in 0usize..7, known in proptest::collection::vec(0usize..7, 1..7)) {
            let (wanted, known): (_, Vec<_>) = (
                ReasoningEffort::ALL[wanted], known.into_iter().map(|at| ReasoningEffort::ALL[at]).collect(),
            );
            let found = nearest(wanted, &known);
            prop_assert!(known.contains(&found) || known.iter().all(|effort| *effort == Off));
        }
    }
}
