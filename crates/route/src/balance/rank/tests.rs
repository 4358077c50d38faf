//! What every order promises: a permutation, the usable first, shares as weighted, propensities that add up to one.

use super::*;
use crate::balance::Scorer;
use crate::caller::Caller;
use crate::filter::{Eligible, RouteDemands, filter};
use crate::fixture::{Recorded, chat, deployment};
use crate::fleet::{DeploymentIndex, Fleet};
use crate::view::View;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::catalogue::TokenClass;
use trunkline_model::moment::Moment;
use trunkline_model::money::PricePerMillion;

/// Deployments with weights and states, filtered.
struct Pool {
    fleet: Fleet,
    eligible: Eligible,
    shape: Shape,
}

impl Pool {
    fn new(members: &[(u32, View)]) -> Self {
        let made = members.iter().enumerate().map(|(number, (weight, _))| {
            let mut made = deployment(&format!("p{number:02}"), "m");
            made.weight = *weight;
            made
        });
        let fleet = Fleet::new(made.collect());
        let views = Recorded(members.iter().map(|(_, view)| *view).collect());
        let all: Vec<DeploymentIndex> = fleet.iter().map(|(index, _)| index).collect();
        let shape = chat();
        let caller = Caller::default();
        let filtered = filter(&fleet, &all, &shape, &caller, &RouteDemands::NONE, &views, Moment::ORIGIN);
        Self { fleet, eligible: filtered.eligible, shape }
    }

    fn rank(&self, balance: &Balance, identity: Option<u64>, seed: u64, turn: u64) -> Ranking {
        let candidates: Vec<Candidate<'_>> = self
            .eligible
            .iter()
            .map(|entry| Candidate {
                entry,
                description: self.fleet.deployment(entry.deployment().index()),
                shape: &self.shape,
            })
            .collect();
        rank(&candidates, balance, identity, seed, turn)
    }

    fn first(&self, balance: &Balance, seed: u64, turn: u64) -> u32 {
        self.rank(balance, None, seed, turn).order[0].deployment.index().0
    }

    /// How often each comes first over seeds, and the mean of what its propensity was when it did.
    fn shares(&self, balance: &Balance, rounds: u64) -> Vec<(f64, f64)> {
        let mut shares = vec![(0.0, 0.0); self.fleet.len()];
        for round in 0..rounds {
            let ranking = self.rank(balance, None, mix(7, round), round);
            let share = &mut shares[ranking.order[0].deployment.index().position()];
            share.0 += 1.0;
            share.1 += ranking.propensity;
        }
        shares
            .iter()
            .map(|(count, sum)| (count / rounds as f64, if *count > 0.0 { sum / count } else { 0.0 }))
            .collect()
    }
}

fn open() -> View {
    View::FRESH
}

fn busy(outstanding: u32) -> View {
    View { outstanding, ..View::FRESH }
}

fn slow(milliseconds: u64, outstanding: u32) -> View {
    let latency = Some(Duration::from_millis(milliseconds));
    View { latency, whole_latency: latency, outstanding, ..View::FRESH }
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() < 0.02
}

#[test]
fn weights_are_kept_over_seeds_and_over_turns() {
    let pool = Pool::new(&[(1, open()), (3, open()), (6, open())]);
    for balance in [Balance::Weighted, Balance::RoundRobin] {
        let shares = pool.shares(&balance, 10_000);
        for (share, expected) in shares.iter().zip([0.1, 0.3, 0.6]) {
            assert!(near(share.0, expected) && near(share.1, expected), "{balance:?} {shares:?}");
        }
    }
}

#[test]
fn turns_are_exact_in_every_cycle_and_spread_out() {
    let pool = Pool::new(&[(1, open()), (3, open()), (2, open())]);
    for start in [0u64, 6, 600] {
        let firsts: Vec<u32> =
            (start..start + 6).map(|turn| pool.first(&Balance::RoundRobin, 9, turn)).collect();
        let count = |wanted| firsts.iter().filter(|first| **first == wanted).count();
        assert_eq!((count(0), count(1), count(2)), (1, 3, 2), "{firsts:?}");
    }
    let even = Pool::new(&[(1, open()), (1, open()), (1, open())]);
    let firsts: Vec<u32> = (0..3).map(|turn| even.first(&Balance::RoundRobin, 0, turn)).collect();
    let mut sorted = firsts.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [0, 1, 2], "{firsts:?}");
}

#[test]
fn of_two_choices_the_less_busy_is_taken_and_the_busiest_never_first() {
    let pool = Pool::new(&[(1, busy(9)), (1, busy(2)), (1, busy(0)), (1, busy(2))]);
    let shares = pool.shares(&Balance::LeastOutstanding, 20_000);
    // Of six pairs the idle one wins three; the two equal ones share the other three.
    for (share, expected) in shares.iter().zip([0.0, 0.25, 0.5, 0.25]) {
        assert!(near(share.0, expected), "{shares:?}");
        assert!(expected == 0.0 || near(share.1, expected), "{shares:?}");
    }
    // A deployment of twice the weight counts as half as busy.
    let weighted = Pool::new(&[(4, busy(7)), (1, busy(3))]);
    assert_eq!(weighted.first(&Balance::LeastOutstanding, 5, 0), 0);
}

#[test]
fn latency_counts_the_queue_and_tries_the_unknown() {
    let pool = Pool::new(&[(1, slow(300, 3)), (1, slow(500, 0)), (1, slow(100, 9))]);
    let order: Vec<u32> = pool
        .rank(&Balance::Latency, None, 1, 0)
        .order
        .iter()
        .map(|ranked| ranked.deployment.index().0)
        .collect();
    assert_eq!(order, [1, 2, 0]);
    let unknown = Pool::new(&[(1, slow(10, 0)), (1, open())]);
    assert_eq!(unknown.first(&Balance::Latency, 1, 0), 1);
}

#[test]
fn cost_and_headroom_order_by_what_they_say() {
    let headroom = |headroom| View { headroom, ..View::FRESH };
    let mut pool = Pool::new(&[(1, headroom(0.2)), (1, headroom(0.9)), (1, headroom(0.5))]);
    assert_eq!(pool.first(&Balance::Headroom, 3, 0), 1);
    let mut deployments: Vec<Deployment> = pool.fleet.iter().map(|(_, made)| made.clone()).collect();
    deployments[0].entry = None;
    let mut dear = (**deployments[1].entry.as_ref().expect("an entry")).clone();
    dear.prices.standard.base.set(TokenClass::Input, Some(PricePerMillion(90_000_000_000)));
    deployments[1].entry = Some(Arc::new(dear));
    pool.fleet = Fleet::new(deployments);
    let order: Vec<u32> = pool
        .rank(&Balance::Cost, None, 1, 0)
        .order
        .iter()
        .map(|ranked| ranked.deployment.index().0)
        .collect();
    assert_eq!(order, [2, 1, 0], "a price nobody knows comes last");
}

#[derive(Debug)]
struct Backwards;

impl Scorer for Backwards {
    fn name(&self) -> &str {
        "backwards"
    }

    fn score(&self, candidate: &Candidate<'_>) -> f64 {
        match candidate.entry.deployment().index().0 {
            0 => f64::NAN,
            number => -f64::from(number),
        }
    }
}

#[test]
fn a_measure_from_outside_is_followed_and_nonsense_is_last() {
    let pool = Pool::new(&[(1, open()), (1, open()), (1, open())]);
    let ranking = pool.rank(&Balance::Custom(Arc::new(Backwards)), None, 1, 0);
    let order: Vec<u32> = ranking.order.iter().map(|ranked| ranked.deployment.index().0).collect();
    assert_eq!(order, [2, 1, 0]);
}

#[test]
fn names_of_strategies_are_read_back() {
    for name in Balance::NAMES {
        assert_eq!(Balance::parse(name).expect("known").name(), name);
    }
    assert!(Balance::parse("fastest").is_none());
}

fn member() -> impl Strategy<Value = (u32, View)> {
    let moment = (0u64..5).prop_map(Moment::from_micros);
    let availability = prop_oneof![
        3 => Just(Availability::Open),
        1 => moment.clone().prop_map(|until| Availability::RateLimited { until }),
        1 => (moment, any::<bool>()).prop_map(|(until, probe)| Availability::Broken { until, probe }),
        1 => Just(Availability::Full),
    ];
    (1u32..5, availability, 0u32..4, proptest::option::of(0u64..3), 0u8..4).prop_map(
        |(weight, availability, outstanding, latency, headroom)| {
            let view = View {
                availability,
                outstanding,
                latency: latency.map(Duration::from_millis),
                whole_latency: latency.map(Duration::from_millis),
                headroom: f32::from(headroom) / 4.0,
                failures: 0,
            };
            (weight, view)
        },
    )
}

proptest! {
    #[test]
    fn every_order_is_a_permutation_with_the_usable_first(
        members in proptest::collection::vec(member(), 0..9),
        strategy in 0usize..6, identity in proptest::option::of(any::<u64>()), seed: u64, turn: u64,
    ) {
        let pool = Pool::new(&members);
        let balance = Balance::parse(Balance::NAMES[strategy]).expect("known");
        let ranking = pool.rank(&balance, identity, seed, turn);
        let mut indexes: Vec<u32> = ranking.order.iter().map(|ranked| ranked.deployment.index().0).collect();
        indexes.sort_unstable();
        prop_assert_eq!(indexes, (0..members.len() as u32).collect::<Vec<_>>());
        let sorted = ranking.order.is_sorted_by(|one, next| one.availability.compare(next.availability).is_le());
        prop_assert!(sorted, "{:?}", ranking);
        prop_assert!(ranking.propensity > 0.0 && ranking.propensity <= 1.0);
        prop_assert_eq!(pool.rank(&balance, identity, seed, turn), ranking);
    }

    #[test]
    fn the_propensities_of_all_first_choices_add_up_to_one(
        members in proptest::collection::vec(member(), 1..6), strategy in 0usize..6,
    ) {
        let pool = Pool::new(&members);
        let balance = Balance::parse(Balance::NAMES[strategy]).expect("known");
        let mut propensities = std::collections::BTreeMap::new();
        for round in 0..600 {
            let ranking = pool.rank(&balance, None, mix(3, round), round);
            let first = ranking.order[0].deployment.index();
            let known = *propensities.entry(first).or_insert(ranking.propensity);
            prop_assert_eq!(known, ranking.propensity, "the probability of one choice does not depend on the seed");
        }
        let sum: f64 = propensities.values().sum();
        prop_assert!((sum - 1.0).abs() < 1e-9, "{:?} {}", propensities, sum);
    }

    #[test]
    fn a_home_is_left_only_when_it_cannot_be_used(
        members in proptest::collection::vec(member(), 2..8), identity: u64, seeds: (u64, u64), gone in 0usize..8,
    ) {
        let fresh: Vec<(u32, View)> = members.iter().map(|(weight, _)| (*weight, open())).collect();
        let home = Pool::new(&fresh).rank(&Balance::Weighted, Some(identity), seeds.0, 0).order[0].deployment.index();
        let pool = Pool::new(&members);
        let now = pool.rank(&Balance::LeastOutstanding, Some(identity), seeds.1, 5).order[0];
        if members[home.position()].1.availability.is_usable() {
            prop_assert_eq!(now.deployment.index(), home);
        } else if members.iter().any(|(_, view)| view.availability.is_usable()) {
            prop_assert_ne!(now.deployment.index(), home);
        }
        // Taking another one away moves nobody.
        let gone = gone % fresh.len();
        if gone != home.position() {
            let mut fewer = fresh;
            fewer[gone].1.availability = Availability::Full;
            let after = Pool::new(&fewer).rank(&Balance::Weighted, Some(identity), seeds.0, 0).order[0];
            prop_assert_eq!(after.deployment.index(), home);
        }
    }
}

#[test]
fn homes_are_spread_by_weight() {
    let pool = Pool::new(&[(1, open()), (3, open())]);
    let heavy = (0..4_000u64)
        .filter(|identity| {
            pool.rank(&Balance::Weighted, Some(mix(1, *identity)), 0, 0).order[0].deployment.index().0 == 1
        })
        .count();
    assert!(near(heavy as f64 / 4_000.0, 0.75), "{heavy}");
}
