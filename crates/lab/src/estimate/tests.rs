//! The estimators against bandits whose truth is known.

use super::*;
use crate::draw::Draw;
use proptest::prelude::*;

const ACTIONS: usize = 3;

/// A bandit: the chance of a reward by context and action.
struct Bandit {
    base: [f64; ACTIONS],
    slope: [f64; ACTIONS],
}

impl Bandit {
    fn chance(&self, x: f64, action: usize) -> f64 {
        (self.base[action] + self.slope[action] * x).clamp(0.02, 0.98)
    }

    fn new(seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        Self {
            base: std::array::from_fn(|_| 0.3 + 0.4 * draw.unit()),
            slope: std::array::from_fn(|_| 0.4 * draw.unit() - 0.2),
        }
    }

    /// What the target earns, and rows logged by a policy that explores.
    fn play(&self, rows: usize, explore: f64, seed: u64) -> (f64, Vec<Row>) {
        let mut draw = Draw::of(seed, 1);
        let mut logged = Vec::new();
        for _ in 0..rows {
            let x = draw.unit() * 2.0 - 1.0;
            let liked = usize::from(x > 0.0);
            let chances: [f64; ACTIONS] = std::array::from_fn(|action| {
                explore / ACTIONS as f64 + if action == liked { 1.0 - explore } else { 0.0 }
            });
            let mut lot = draw.unit();
            let action = chances
                .iter()
                .position(|chance| {
                    lot -= chance;
                    lot < 0.0
                })
                .unwrap_or(ACTIONS - 1);
            let reward = f64::from(u8::from(draw.chance(self.chance(x, action))));
            logged.push(Row {
                context: vec![x],
                action,
                reward,
                propensity: chances[action],
                target: target(x).to_vec(),
            });
        }
        let grid = 10_000;
        let truth = (0..grid).map(|step| {
            let x = (f64::from(step) + 0.5) / f64::from(grid) * 2.0 - 1.0;
            let shares = target(x);
            (0..ACTIONS).map(|action| shares[action] * self.chance(x, action)).sum::<f64>()
        });
        (truth.sum::<f64>() / f64::from(grid), logged)
    }
}

/// The policy to be judged: mostly the third action, the first where x is large.
fn target(x: f64) -> [f64; ACTIONS] {
    if x > 0.5 { [0.8, 0.1, 0.1] } else { [0.1, 0.1, 0.8] }
}

fn settings(seed: u64) -> Settings {
    Settings { samples: 200, seed, ..Settings::default() }
}

#[test]
fn intervals_cover_the_truth_as_often_as_they_say() {
    let runs = 200;
    let mut covered = [0; 3];
    let mut widths = [0.0; 2];
    for run in 0..runs {
        let (truth, rows) = Bandit::new(run).play(600, 0.5, run + 10_000);
        let found = estimate(&rows, &settings(run)).expect("usable rows");
        let (snips, clipped) = (found.snips.expect("support"), found.clipped.expect("support"));
        for (count, estimate) in covered.iter_mut().zip([snips, clipped, found.doubly_robust]) {
            *count += usize::from(estimate.low <= truth && truth <= estimate.high);
        }
        widths[0] += snips.high - snips.low;
        widths[1] += found.doubly_robust.high - found.doubly_robust.low;
    }
    // 95 % nominal; below 90 % would be a defect (four standard deviations), 100 % an interval that says nothing.
    for count in covered {
        assert!((178..=199).contains(&count), "{covered:?} of {runs}");
    }
    assert!(widths[1] < widths[0] * 1.02, "the model makes the estimate no worse: {widths:?}");
}

#[test]
fn the_doubly_robust_estimate_is_better_than_what_the_log_earned() {
    let (truth, rows) = Bandit { base: [0.2, 0.2, 0.8], slope: [0.0; 3] }.play(5_000, 0.3, 3);
    let found = estimate(&rows, &settings(1)).expect("usable rows");
    assert!((found.doubly_robust.value - truth).abs() < 0.05, "{found:?} for {truth}");
    assert!((found.logged.value - truth).abs() > 0.2);
    assert!((found.support - 1.0).abs() < 1e-12);
}

#[test]
fn what_was_never_tried_is_said_to_be_without_support() {
    let rows: Vec<Row> = (0..100)
        .map(|number| Row {
            context: vec![],
            action: 0,
            reward: f64::from(number % 2),
            propensity: 1.0,
            target: vec![0.0, 1.0],
        })
        .collect();
    let found = estimate(&rows, &settings(1)).expect("usable rows");
    assert_eq!((found.snips, found.clipped, found.support, found.effective_size), (None, None, 0.0, 0.0));
    assert!((found.doubly_robust.value - 0.5).abs() < 0.01, "nothing but the mean is left: {found:?}");
}

#[test]
fn rows_that_make_no_sense_are_named() {
    let good = Row { context: vec![1.0], action: 0, reward: 1.0, propensity: 0.5, target: vec![1.0, 0.0] };
    let told = |bad: Row| estimate(&[good.clone(), bad], &settings(1)).expect_err("refused").to_string();
    let mut all = vec![estimate(&[], &settings(1)).expect_err("refused").to_string()];
    all.push(told(Row { propensity: 0.0, ..good.clone() }));
    all.push(told(Row { action: 2, ..good.clone() }));
    all.push(told(Row { target: vec![0.9, 0.9], ..good.clone() }));
    all.push(told(Row { context: vec![f64::NAN], ..good.clone() }));
    all.push(told(Row { reward: f64::INFINITY, ..good.clone() }));
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn a_share_has_the_published_interval() {
    // 8 of 10 at 95 %: 0.490 to 0.943 (Brown, Cai and DasGupta, 2001, compute the same).
    let share = share_of(8, 10).expect("cases");
    assert!((share.low - 0.490).abs() < 0.001 && (share.high - 0.943).abs() < 0.001, "{share:?}");
    assert_eq!(share_of(0, 0), None);
    assert!(share_of(5, 5).expect("cases").low > 0.5);
}

proptest! {
    #[test]
    fn at_equal_propensities_every_matching_row_counts_once(
        actions in prop::collection::vec(0usize..4, 1..200), chosen in 0usize..4,
    ) {
        let row = |action: &usize| {
            let mut target = vec![0.0; 4];
            target[chosen] = 1.0;
            Row { context: vec![], action: *action, reward: 1.0, propensity: 0.25, target }
        };
        let rows: Vec<Row> = actions.iter().map(row).collect();
        let found = estimate(&rows, &Settings { samples: 10, ..Settings::default() }).expect("usable rows");
        let matching = actions.iter().filter(|action| **action == chosen).count();
        prop_assert!((found.effective_size - matching as f64).abs() < 1e-9);
        prop_assert_eq!(found.snips.is_some(), matching > 0);
    }

    #[test]
    fn the_logs_own_policy_is_estimated_by_its_own_mean(
        rewards in prop::collection::vec(0.0f64..1.0, 2..100), seed in any::<u64>(),
    ) {
        let rows: Vec<Row> = rewards
            .iter()
            .map(|reward| Row { context: vec![*reward], action: 0, reward: *reward, propensity: 0.5, target: vec![0.5, 0.5] })
            .collect();
        let found = estimate(&rows, &Settings { samples: 20, seed, ..Settings::default() }).expect("usable rows");
        let snips = found.snips.expect("support");
        prop_assert!((snips.value - found.logged.value).abs() < 1e-9);
        prop_assert!((found.effective_size - rows.len() as f64).abs() < 1e-6);
        prop_assert!(snips.low <= snips.high);
    }
}
