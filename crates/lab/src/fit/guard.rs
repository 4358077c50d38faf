//! The bounds within which a router may be trusted, read off its training prompts.
//!
//! Owns how wide they are. Wide enough that hardly a prompt of the same kind is turned away (a few in a thousand), narrow enough
//! that another kind of prompt is: measured in both directions on public data.

use super::prepared::Prepared;
use trunkline_route::learned::{GuardFacts, LEXICAL};

/// How far beyond the range seen a counted feature may lie, as a part of the range.
const MARGIN: f32 = 0.25;

/// The share of prompts with lettered choices beyond which practically all have them.
const PRACTICALLY_ALL: f64 = 0.995;

/// The share of training prompts that are allowed to lie further from their neighbours than the bound.
const FAR: f64 = 0.002;

/// The bounds for some rows; `similarities` are how near each row's neighbours are.
pub(super) fn guard(prepared: &Prepared, rows: &[usize], similarities: &[f32]) -> GuardFacts {
    let range = |feature: usize| {
        let values = rows.iter().map(|row| prepared.lexical[*row][feature]);
        values
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (lexical_low, lexical_high) = (0..LEXICAL.len())
        .map(|feature| {
            let (low, high) = range(feature);
            // What never varied may vary a little.
            let margin = (high - low).max(0.05) * MARGIN;
            (low - margin, high + margin)
        })
        .unzip();
    let with =
        rows.iter().filter(|row| prepared.has_choices[**row]).count() as f64 / rows.len().max(1) as f64;
    let choices = if with >= PRACTICALLY_ALL {
        Some(true)
    } else if with <= 1.0 - PRACTICALLY_ALL {
        Some(false)
    } else {
        None
    };
    let mut sorted = similarities.to_vec();
    sorted.sort_by(f32::total_cmp);
    let least_similarity = sorted.get((sorted.len() as f64 * FAR) as usize).map(|least| least - 0.02);
    GuardFacts { lexical_low, lexical_high, choices, least_similarity, least_pieces: 1 }
}
