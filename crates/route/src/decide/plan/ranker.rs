//! Ranking the tiers that a plan needs, each once.
//!
//! Owns the rankings made so far, so that all lists of a plan agree and a turn of round robin is used once. Must not build
//! lists for failures: that is its parent.

use crate::balance::{Balance, Candidate, Ranked, rank_places};
use crate::caller::Sort;
use crate::decide::DecideInput;
use crate::decide::choose::Choice;
use crate::filter::{Eligible, is_named};
use crate::fleet::DeploymentIndex;
use crate::policy::TierPosition;
use crate::sticky::Sticky;
use smallvec::{SmallVec, smallvec};
use trunkline_model::id::Name;

/// A leg with how it was ranked; small, and copied freely.
#[derive(Clone, Copy)]
pub(super) struct RankedLeg {
    pub(super) ranked: Ranked,
    /// Its position among what may serve.
    pub(super) slot: usize,
    /// The name it stands under.
    pub(super) tier: TierNumber,
}

impl RankedLeg {
    pub(super) const fn index(&self) -> DeploymentIndex {
        self.ranked.deployment.index()
    }
}

pub(super) type Legs = Vec<RankedLeg>;

/// Position in the names of tiers that were ranked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct TierNumber(usize);

/// Slots that are in a list already.
pub(super) struct Seen(SmallVec<[u64; 2]>);

impl Seen {
    pub(super) fn contains(&self, slot: usize) -> bool {
        self.0.get(slot / 64).is_some_and(|word| word & (1 << (slot % 64)) != 0)
    }

    /// Adds a slot, and tells whether it was new.
    pub(super) fn insert(&mut self, slot: usize) -> bool {
        let is_new = !self.contains(slot);
        if let Some(word) = self.0.get_mut(slot / 64) {
            *word |= 1 << (slot % 64);
        }
        is_new
    }
}

/// A set of deployments to rank.
struct Group<'a> {
    deployments: &'a [DeploymentIndex],
    balance: &'a Balance,
    sticky: Option<Sticky>,
    position: Option<TierPosition>,
}

/// A tier that was ranked.
struct RankedTier {
    position: TierPosition,
    legs: Legs,
    propensity: f64,
}

pub(super) struct Ranker<'a> {
    input: &'a DecideInput<'a>,
    eligible: &'a Eligible,
    ranked: SmallVec<[RankedTier; 2]>,
    names: SmallVec<[&'a Name; 4]>,
    turn: Option<u64>,
}

impl<'a> Ranker<'a> {
    pub(super) fn new(input: &'a DecideInput<'a>, eligible: &'a Eligible) -> Self {
        Self { input, eligible, ranked: SmallVec::new(), names: SmallVec::new(), turn: None }
    }

    pub(super) const fn input(&self) -> &'a DecideInput<'a> {
        self.input
    }

    pub(super) fn tier_name(&self, tier: TierNumber) -> &'a Name {
        self.names[tier.0]
    }

    /// The turn of round robin that was used first.
    pub(super) const fn turn(&self) -> Option<u64> {
        self.turn
    }

    /// The set of what is in a list.
    pub(super) fn seen(&self, legs: &[RankedLeg]) -> Seen {
        let mut seen = Seen(smallvec![0; self.eligible.len().div_ceil(64)]);
        for leg in legs {
            seen.insert(leg.slot);
        }
        seen
    }

    /// The legs of the choice and the probability of its first.
    pub(super) fn chosen(&mut self, choice: Choice<'a>) -> (Legs, f64) {
        match choice {
            Choice::Tier(tier) => self
                .tier(tier)
                .map_or_else(|| (Legs::new(), 1.0), |ranked| (ranked.legs.clone(), ranked.propensity)),
            Choice::Deployments { name, deployments } | Choice::Pinned { name, deployments } => {
                self.plain_group(name, deployments)
            }
            Choice::Ranking { name, order } => {
                let tier = self.named(name);
                let mut legs = Legs::new();
                let mut seen = self.seen(&[]);
                for scored in order {
                    let Some(slot) = self.eligible.slot(scored.deployment.index()) else { continue };
                    let Some(entry) = self.eligible.entry(slot).filter(|_| seen.insert(slot)) else {
                        continue;
                    };
                    let availability = entry.view().availability;
                    let ranked = Ranked { deployment: entry.deployment(), score: scored.score, availability };
                    legs.push(RankedLeg { ranked, slot, tier });
                }
                (legs, 1.0)
            }
            Choice::PinNotEligible | Choice::Nothing => (Legs::new(), 1.0),
        }
    }

    /// Appends what is new of these tiers.
    pub(super) fn append_tiers(&mut self, legs: &mut Legs, seen: &mut Seen, tiers: &[TierPosition]) {
        for position in tiers {
            if let Some(tier) = self.tier(*position) {
                legs.extend(tier.legs.iter().filter(|leg| seen.insert(leg.slot)).copied());
            }
        }
    }

    /// These tiers, one after the other.
    pub(super) fn tiers(&mut self, tiers: &[TierPosition]) -> Legs {
        let mut legs = Legs::new();
        if !tiers.is_empty() {
            let mut seen = self.seen(&[]);
            self.append_tiers(&mut legs, &mut seen, tiers);
        }
        legs
    }

    /// Appends the models that the request names as further choices.
    pub(super) fn append_models(&mut self, legs: &mut Legs, seen: &mut Seen) {
        let input = self.input;
        for model in &input.caller.preferences.models {
            let (more, _) = self.plain_group(model, input.fleet.named(model));
            legs.extend(more.into_iter().filter(|leg| seen.insert(leg.slot)));
        }
    }

    fn named(&mut self, name: &'a Name) -> TierNumber {
        self.names.push(name);
        TierNumber(self.names.len() - 1)
    }

    fn plain_group(&mut self, name: &'a Name, deployments: &[DeploymentIndex]) -> (Legs, f64) {
        let group = Group { deployments, balance: &Balance::Weighted, sticky: None, position: None };
        self.group(name, &group)
    }

    fn tier(&mut self, position: TierPosition) -> Option<&RankedTier> {
        let known = self.ranked.iter().position(|ranked| ranked.position == position);
        let at = match known {
            Some(at) => at,
            None => {
                let tier = self.input.route.tier(position)?;
                let group = Group {
                    deployments: &tier.deployments,
                    balance: &tier.balance,
                    sticky: tier.sticky,
                    position: Some(position),
                };
                let (legs, propensity) = self.group(&tier.name, &group);
                self.ranked.push(RankedTier { position, legs, propensity });
                self.ranked.len() - 1
            }
        };
        self.ranked.get(at)
    }

    fn group(&mut self, name: &'a Name, group: &Group<'_>) -> (Legs, f64) {
        let tier = self.named(name);
        let input = self.input;
        let mut slots: SmallVec<[usize; 16]> = SmallVec::new();
        let mut candidates: SmallVec<[Candidate<'_>; 16]> = SmallVec::new();
        for slot in group.deployments.iter().filter_map(|index| self.eligible.slot(*index)) {
            let Some(entry) = self.eligible.entry(slot) else { continue };
            let description = input.fleet.deployment(entry.deployment().index());
            candidates.push(Candidate { entry, description, shape: input.shape });
            slots.push(slot);
        }
        let preferences = &input.caller.preferences;
        let balance = match preferences.sort {
            None => group.balance,
            Some(Sort::Price) => &Balance::Cost,
            Some(Sort::Latency) => &Balance::Latency,
            Some(Sort::Throughput) => &Balance::LeastOutstanding,
        };
        let sticky = group.sticky.filter(|_| preferences.sort.is_none());
        let identity = sticky.and_then(|sticky| sticky.identity(input.caller));
        let turn = match group.position {
            Some(position) if matches!(balance, Balance::RoundRobin) && identity.is_none() => {
                // One turn per decision, so that it can be repeated from one number.
                *self.turn.get_or_insert_with(|| input.rotation.next(position))
            }
            _ => 0,
        };
        let (order, propensity) = rank_places(&candidates, balance, identity, input.seed, turn);
        let mut legs = Legs::with_capacity(order.len());
        for scored in &order {
            let deployment = candidates[scored.position].entry.deployment();
            let ranked = Ranked { deployment, score: scored.score, availability: scored.availability };
            legs.push(RankedLeg { ranked, slot: slots[scored.position], tier });
        }
        if preferences.order.is_empty() {
            return (legs, propensity);
        }
        let place = |leg: &RankedLeg| {
            let deployment = input.fleet.deployment(leg.index());
            preferences.order.iter().position(|name| is_named(deployment, name)).unwrap_or(usize::MAX)
        };
        let before = legs.first().map(RankedLeg::index);
        legs.sort_by_key(|leg| (!leg.ranked.availability.is_usable(), place(leg)));
        let unchanged = legs.first().map(RankedLeg::index) == before;
        (legs, if unchanged { propensity } else { 1.0 })
    }
}
