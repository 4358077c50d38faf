//! Is it better than chance, and better than the prompt's length?
//!
//! Owns the three controls every router is shown beside, the intervals, and the verdict in words. Random: sending prompts by
//! lot. Cost-matched shuffle: the router's own decisions at one setting, dealt out again at random, so that the share is the same
//! and the choice is gone. Length: the longer prompt first. A router that does not beat them has learned nothing worth running.

use super::curve::{Curve, Outcome};
use crate::random::Random;
use serde::Serialize;
use std::fmt;

/// Resamples of an interval: the ends of a 95 % interval then rest on about ten draws each.
const RESAMPLES: usize = 400;

/// A figure with the ends of its 95 % bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The figure itself.
    pub value: f64,
    /// The lower end.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
}

impl Interval {
    /// Of a figure and its resamples.
    #[must_use]
    pub fn of(value: f64, mut draws: Vec<f64>) -> Self {
        draws.retain(|draw| !draw.is_nan());
        draws.sort_by(f64::total_cmp);
        let end = |part: f64| {
            let place = (part * draws.len().saturating_sub(1) as f64).round() as usize;
            draws.get(place).copied().unwrap_or(f64::NAN)
        };
        Self { value, lower: end(0.025), upper: end(0.975) }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.3} [{:.3}, {:.3}]", self.value, self.lower, self.upper)
    }
}

/// What a router is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// Sending prompts by lot.
    Random,
    /// The router's own decisions, dealt out at random.
    Shuffle,
    /// The longer prompt first.
    Length,
}

/// A router beside its controls.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Rows measured.
    pub rows: usize,
    /// The router's area.
    pub apgr: Interval,
    /// Least share of strong calls that recovers half of the quality.
    pub cpt50: f64,
    /// The same for 80 %.
    pub cpt80: f64,
    /// The area when prompts are sent by lot.
    pub random: Interval,
    /// Recovered quality when a third goes to strong: the router's choice, and its own decisions shuffled.
    pub at_third: f64,
    /// See `at_third`.
    pub shuffled_third: Interval,
    /// The area by length alone.
    pub length: Interval,
    /// Of prompt length alone.
    pub length_cpt50: f64,
    /// Of prompt length alone.
    pub length_cpt80: f64,
    /// The router's area less that of length, on the same resamples.
    pub over_length: Interval,
    /// The controls it is not better than, beyond what chance explains.
    pub not_better_than: Vec<Control>,
}

impl Comparison {
    /// The finding in words.
    #[must_use]
    pub fn verdict(&self) -> String {
        if self.apgr.value.is_nan() {
            return "the strong model is no better than the weak one on these prompts: there is nothing to route".to_owned();
        }
        if self.not_better_than.is_empty() {
            return "better than random, than its own decisions shuffled and than prompt length alone"
                .to_owned();
        }
        let names: Vec<&str> = self
            .not_better_than
            .iter()
            .map(|control| match control {
                Control::Random => "sending prompts at random",
                Control::Shuffle => "its own decisions shuffled",
                Control::Length => "prompt length alone",
            })
            .collect();
        format!("NOT better than {}: do not switch it on for this", names.join(" and "))
    }
}

/// Measures scores beside the controls. `lengths` are those of the prompts, in bytes.
#[must_use]
pub fn compare(scores: &[f32], lengths: &[f32], outcomes: &[Outcome], seed: u64) -> Comparison {
    let rows = outcomes.len();
    let (router, length) = (Curve::new(scores), Curve::new(lengths));
    let mut random = Random::new(seed);
    let mut draws = [const { Vec::new() }; 4];
    let mut weights = vec![0u16; rows];
    let mut lots: Vec<f32> = vec![0.0; rows];
    for _ in 0..RESAMPLES {
        weights.fill(0);
        for _ in 0..rows {
            let weight = &mut weights[random.below(rows.max(1))];
            *weight = weight.saturating_add(1);
        }
        let (own, by_length) =
            (router.weighted_apgr(outcomes, Some(&weights)), length.weighted_apgr(outcomes, Some(&weights)));
        lots.fill_with(|| random.unit() as f32);
        draws[0].push(own);
        draws[1].push(by_length);
        draws[2].push(own - by_length);
        draws[3].push(Curve::new(&lots).apgr(outcomes));
    }
    let [own, by_length, difference, by_lot] = draws;
    let (apgr, length_apgr) = (router.apgr(outcomes), length.apgr(outcomes));
    let (at_third, shuffled_third) = shuffled(scores, outcomes, &mut random);
    let random_area = by_lot.iter().sum::<f64>() / by_lot.len().max(1) as f64;
    let mut comparison = Comparison {
        rows,
        apgr: Interval::of(apgr, own),
        cpt50: router.cpt(outcomes, 0.5),
        cpt80: router.cpt(outcomes, 0.8),
        random: Interval::of(random_area, by_lot),
        at_third,
        shuffled_third,
        length: Interval::of(length_apgr, by_length),
        length_cpt50: length.cpt(outcomes, 0.5),
        length_cpt80: length.cpt(outcomes, 0.8),
        over_length: Interval::of(apgr - length_apgr, difference),
        not_better_than: Vec::new(),
    };
    // Written so that figures that are no numbers count as not better.
    let beats = |better: bool, control| (!better).then_some(control);
    comparison.not_better_than = [
        beats(comparison.apgr.lower > 0.5 && apgr > comparison.random.upper, Control::Random),
        beats(at_third > comparison.shuffled_third.upper, Control::Shuffle),
        beats(comparison.over_length.lower > 0.0, Control::Length),
    ]
    .into_iter()
    .flatten()
    .collect();
    comparison
}

/// Recovered quality when a third goes to strong: as the router chooses, and with its decisions dealt out at random.
fn shuffled(scores: &[f32], outcomes: &[Outcome], random: &mut Random) -> (f64, Interval) {
    let sent = outcomes.len() / 3;
    let gain = |row: usize| f64::from(outcomes[row].strong - outcomes[row].weak);
    let total: f64 = (0..outcomes.len()).map(gain).sum();
    let mut order: Vec<usize> = (0..outcomes.len()).collect();
    order.sort_by(|one, other| scores[*other].total_cmp(&scores[*one]).then(one.cmp(other)));
    let recovered = |order: &[usize]| order.iter().take(sent).map(|row| gain(*row)).sum::<f64>() / total;
    let own = recovered(&order);
    let draws: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            random.shuffle(&mut order);
            recovered(&order)
        })
        .collect();
    let mean = draws.iter().sum::<f64>() / draws.len() as f64;
    (own, Interval::of(mean, draws))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_up(rows: usize, signal: f64) -> (Vec<f32>, Vec<f32>, Vec<Outcome>) {
        let mut random = Random::new(5);
        let mut made = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rows {
            let hard = random.unit() < 0.4;
            made.0.push((random.unit() + if hard { signal } else { 0.0 }) as f32);
            made.1.push(random.unit() as f32);
            made.2.push(Outcome { weak: if hard { 0.0 } else { 1.0 }, strong: 1.0 });
        }
        made
    }

    #[test]
    fn a_signal_is_found_and_noise_is_called_noise() {
        let (scores, lengths, outcomes) = made_up(600, 0.5);
        let found = compare(&scores, &lengths, &outcomes, 1);
        assert_eq!(found.not_better_than, []);
        assert!(
            found.apgr.lower > 0.55
                && found.apgr.lower < found.apgr.value
                && found.apgr.value < found.apgr.upper
        );
        let (scores, lengths, outcomes) = made_up(600, 0.0);
        let noise = compare(&scores, &lengths, &outcomes, 1);
        assert_eq!(noise.not_better_than, [Control::Random, Control::Shuffle, Control::Length]);
        insta::assert_snapshot!(noise.verdict(), @"NOT better than sending prompts at random and its own decisions shuffled and prompt length alone: do not switch it on for this");
    }

    #[test]
    fn length_as_a_router_is_no_better_than_length() {
        let (_, _, outcomes) = made_up(300, 0.0);
        let lengths: Vec<f32> = outcomes
            .iter()
            .zip(0u16..)
            .map(|(outcome, number)| f32::from(number % 7) - outcome.weak * 4.0)
            .collect();
        let found = compare(&lengths, &lengths, &outcomes, 1);
        assert_eq!(found.not_better_than, [Control::Length]);
        assert_eq!(found.over_length.value, 0.0);
    }
}
