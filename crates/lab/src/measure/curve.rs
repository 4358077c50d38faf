//! The curve of recovered quality over the share of strong calls, and the figures read off it.
//!
//! Owns PGR, APGR and CPT as RouteLLM defines them. `PGR(a) = (r(a) - r_weak) / (r_strong - r_weak)` with `r(a)` the mean
//! quality when the share `a` of calls goes to the strong model; APGR is its integral over `a` (exact curve, trapezoid, random
//! is 0.5); CPT(x) is the least share with `PGR >= x`. Prompts with equal scores are sent in random order, on average: along the
//! straight line between the ends of their group, so that no figure depends on the order of a file.

/// What both models made of a prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Quality of the weak model.
    pub weak: f32,
    /// Quality of the strong model.
    pub strong: f32,
}

/// The order of a router over a set of prompts.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Rows by falling score.
    order: Vec<u32>,
    /// Whether the row at this place of the order has the score of the one before.
    tied: Vec<bool>,
}

impl Curve {
    /// The order by these scores: the higher, the sooner a prompt is sent to the strong model.
    #[must_use]
    pub fn new(scores: &[f32]) -> Self {
        let mut order: Vec<u32> = (0..scores.len() as u32).collect();
        order.sort_by(|one, other| {
            scores[*other as usize].total_cmp(&scores[*one as usize]).then(one.cmp(other))
        });
        let tied = order
            .iter()
            .enumerate()
            .map(|(place, row)| place > 0 && scores[order[place - 1] as usize] == scores[*row as usize])
            .collect();
        Self { order, tied }
    }

    /// Calls `each` with the ends of every group of equal scores: share and recovered quality before and after. `weights` are
    /// how often each row counts. False when strong is no better than weak: nothing can be recovered.
    fn walk(
        &self,
        outcomes: &[Outcome],
        weights: Option<&[u16]>,
        mut each: impl FnMut([f64; 4]) -> bool,
    ) -> bool {
        let weight = |row: usize| weights.map_or(1.0, |weights| f64::from(weights[row]));
        let gain = |row: usize| f64::from(outcomes[row].strong) - f64::from(outcomes[row].weak);
        let (mut total, mut count) = (0.0, 0.0);
        for row in 0..outcomes.len() {
            total += weight(row) * gain(row);
            count += weight(row);
        }
        if total <= 0.0 {
            return false;
        }
        let (mut share, mut recovered) = (0.0, 0.0);
        let mut place = 0;
        while place < self.order.len() {
            let (mut group_count, mut group_gain) = (0.0, 0.0);
            loop {
                let row = self.order[place] as usize;
                group_count += weight(row);
                group_gain += weight(row) * gain(row);
                place += 1;
                if self.tied.get(place) != Some(&true) {
                    break;
                }
            }
            let (next_share, next_recovered) = (share + group_count / count, recovered + group_gain / total);
            if !each([share, recovered, next_share, next_recovered]) {
                return true;
            }
            (share, recovered) = (next_share, next_recovered);
        }
        true
    }

    /// The integral of recovered quality over the share of strong calls; not a number when strong is no better than weak.
    #[must_use]
    pub fn apgr(&self, outcomes: &[Outcome]) -> f64 {
        self.weighted_apgr(outcomes, None)
    }

    /// The same over a resample that holds each row `weights` times.
    #[must_use]
    pub fn weighted_apgr(&self, outcomes: &[Outcome], weights: Option<&[u16]>) -> f64 {
        let mut area = 0.0;
        let exists = self.walk(outcomes, weights, |[share, recovered, next_share, next_recovered]| {
            area += (next_share - share) * (recovered + next_recovered) / 2.0;
            true
        });
        if exists { area } else { f64::NAN }
    }

    /// The least share of strong calls that recovers at least this part of the quality, 0 to 1; not a number when strong is no
    /// better than weak.
    #[must_use]
    pub fn cpt(&self, outcomes: &[Outcome], wanted: f64) -> f64 {
        let mut found = 1.0;
        let exists = self.walk(outcomes, None, |[share, recovered, next_share, next_recovered]| {
            if next_recovered < wanted {
                return true;
            }
            let part = (wanted - recovered) / (next_recovered - recovered);
            found = share + (next_share - share) * part.clamp(0.0, 1.0);
            false
        });
        if exists { found } else { f64::NAN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcomes(pairs: &[(f32, f32)]) -> Vec<Outcome> {
        pairs.iter().map(|(weak, strong)| Outcome { weak: *weak, strong: *strong }).collect()
    }

    #[test]
    fn a_perfect_order_recovers_before_it_is_half_way() {
        let outcomes = outcomes(&[(0.0, 1.0), (1.0, 1.0), (1.0, 1.0), (0.0, 0.0)]);
        let perfect = Curve::new(&[1.0, 0.3, 0.2, 0.1]);
        assert_eq!(perfect.apgr(&outcomes), 0.875);
        assert_eq!(perfect.cpt(&outcomes, 0.5), 0.125);
        assert_eq!(perfect.cpt(&outcomes, 1.0), 0.25);
        let none = Curve::new(&[0.0; 4]);
        assert_eq!((none.apgr(&outcomes), none.cpt(&outcomes, 0.8)), (0.5, 0.8));
    }

    #[test]
    fn where_strong_is_no_better_there_is_nothing_to_recover() {
        let outcomes = outcomes(&[(1.0, 1.0), (1.0, 0.0)]);
        assert!(Curve::new(&[1.0, 0.0]).apgr(&outcomes).is_nan());
        assert!(Curve::new(&[1.0, 0.0]).cpt(&outcomes, 0.5).is_nan());
    }

    proptest! {
        #[test]
        fn the_order_of_a_file_does_not_matter(rows in proptest::collection::vec((0u8..2, 0u8..2, 0u8..4), 2..40), turn in 0usize..40) {
            let read = |rows: &[(u8, u8, u8)]| {
                let scores: Vec<f32> = rows.iter().map(|row| f32::from(row.2)).collect();
                let pairs: Vec<_> = rows.iter().map(|row| (f32::from(row.0), f32::from(row.1))).collect();
                (Curve::new(&scores).apgr(&outcomes(&pairs)), Curve::new(&scores).cpt(&outcomes(&pairs), 0.8))
            };
            let mut turned = rows.clone();
            turned.rotate_left(turn % rows.len());
            let (one, other) = (read(&rows), read(&turned));
            prop_assert!(one.0.is_nan() && other.0.is_nan() || (one.0 - other.0).abs() < 1e-9 && (one.1 - other.1).abs() < 1e-9);
        }

        #[test]
        fn a_reversed_order_mirrors_the_area(rows in proptest::collection::vec((0u8..2, 0u8..2, 0u8..4), 2..40)) {
            let pairs: Vec<_> = rows.iter().map(|row| (f32::from(row.0), f32::from(row.1))).collect();
            let scores: Vec<f32> = rows.iter().map(|row| f32::from(row.2)).collect();
            let back: Vec<f32> = scores.iter().map(|score| -score).collect();
            let sum = Curve::new(&scores).apgr(&outcomes(&pairs)) + Curve::new(&back).apgr(&outcomes(&pairs));
            prop_assert!(sum.is_nan() || (sum - 1.0).abs() < 1e-9);
        }
    }
}
