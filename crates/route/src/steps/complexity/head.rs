//! The scores: the bundled head and the length.
//!
//! Owns the file's form and the formulas. The file is made by `examples/complexity_head.rs`, which names its data and licence
//! inside it; the server only reads it.

use crate::features::Lexical;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use trunkline_embed::{DIMENSIONS, Embedding};

/// The bundled head. Trained on which of two models answered MMLU prompts right (RouteLLM's data, Apache-2.0).
const BUNDLED: &str = include_str!("../../../data/complexity.json");

/// The form of the file this release reads.
const FORMAT: u32 = 1;

/// Counts of the text beside its vector.
const COUNTS: usize = 10;

/// How hard a text is (the share of the training texts that are easier) and how much it is like those, both 0 to 1.
pub type Score = (f64, f64);

/// A linear head over counts and vector, with the centres of the texts it knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComplexityHead {
    /// The form of the file.
    pub format: u32,
    /// What it was trained on, under which licence, and how it fared.
    pub provenance: String,
    /// Weights of the counts.
    pub counts: Vec<f32>,
    /// Weights of the vector's components.
    pub vector: Vec<f32>,
    /// The constant.
    pub bias: f64,
    /// Probabilities below which 0, 1/16, ... 16/16 of the training texts lie, rising.
    pub scores: Vec<f64>,
    /// Bytes below which as many of them lie, rising.
    pub lengths: Vec<f64>,
    /// Centres of the training texts, of unit length.
    pub centres: Vec<Vec<f32>>,
    /// Below this cosine to the nearest centre the head says nothing.
    pub least_support: f64,
}

impl ComplexityHead {
    /// The bundled one.
    #[must_use]
    pub fn bundled() -> &'static Self {
        static HEAD: OnceLock<ComplexityHead> = OnceLock::new();
        HEAD.get_or_init(|| Self::parse(BUNDLED).expect("a test reads the bundled head"))
    }

    /// Reads a head.
    ///
    /// # Errors
    /// What is wrong with the file, in words that follow "failed to read the complexity head: ".
    pub fn parse(text: &str) -> Result<Self, String> {
        let head: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if head.format != FORMAT {
            return Err(format!("it has format {}, this release reads {FORMAT}", head.format));
        }
        let wrong = |name: &str, found: usize, expected: usize| {
            format!("`{name}` has {found} numbers, not {expected}")
        };
        if head.counts.len() != COUNTS {
            return Err(wrong("counts", head.counts.len(), COUNTS));
        }
        if head.vector.len() != DIMENSIONS {
            return Err(wrong("vector", head.vector.len(), DIMENSIONS));
        }
        for (name, knots) in [("scores", &head.scores), ("lengths", &head.lengths)] {
            if knots.len() < 2 || !knots.is_sorted() || knots.iter().any(|knot| !knot.is_finite()) {
                return Err(format!("`{name}` must be two or more rising numbers"));
            }
        }
        if let Some(centre) = head.centres.iter().find(|centre| centre.len() != DIMENSIONS) {
            return Err(wrong("centres", centre.len(), DIMENSIONS));
        }
        Ok(head)
    }

    /// The counts of a text as a head sees them, on a logarithmic scale: for whoever trains one.
    #[must_use]
    pub fn counts_of(text: &str) -> [f32; COUNTS] {
        counted(text.len(), &Lexical::of(text))
    }

    /// The score by length alone, on the same scale: the share of the training texts that are shorter.
    #[must_use]
    pub fn by_length(&self, bytes: usize) -> f64 {
        share_below(&self.lengths, bytes as f64)
    }

    /// The score of a text and its support.
    #[must_use]
    pub fn score(&self, bytes: usize, counts: &Lexical, vector: &Embedding) -> Score {
        self.score_of(&counted(bytes, counts), vector)
    }

    /// The same from counts as [`ComplexityHead::counts_of`] gives them.
    #[must_use]
    pub fn score_of(&self, counts: &[f32; COUNTS], vector: &Embedding) -> Score {
        let sum: f32 = self.counts.iter().zip(counts).map(|(weight, count)| weight * count).sum();
        let logit = f64::from(sum) + f64::from(product(&self.vector, vector)) + self.bias;
        let support = self.centres.iter().map(|centre| product(centre, vector)).fold(0.0f32, f32::max);
        (share_below(&self.scores, logistic(logit)), f64::from(support))
    }
}

/// The share of the training texts that lie below a value, 0 to 1, between its knots on a line.
fn share_below(knots: &[f64], value: f64) -> f64 {
    let above = knots.partition_point(|knot| *knot <= value);
    let steps = (knots.len() - 1) as f64;
    match (knots.get(above.wrapping_sub(1)), knots.get(above)) {
        (None, _) => 0.0,
        (_, None) => 1.0,
        (Some(low), Some(high)) => ((above - 1) as f64 + (value - low) / (high - low)) / steps,
    }
}

fn counted(bytes: usize, counts: &Lexical) -> [f32; COUNTS] {
    let scale = |count: u32| (1.0 + count as f32).ln();
    [
        (1.0 + bytes as f32).ln(),
        scale(counts.words),
        scale(counts.sentences),
        scale(counts.code_signs),
        scale(counts.maths_signs),
        scale(counts.digits),
        scale(counts.capitals),
        scale(counts.question_marks),
        scale(counts.cues),
        f32::from(u8::from(counts.has_code())),
    ]
}

fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

fn product(weights: &[f32], vector: &Embedding) -> f32 {
    let mut lanes = [0.0f32; 16];
    for (weights, vector) in weights.as_chunks::<16>().0.iter().zip(vector.as_chunks::<16>().0) {
        for lane in 0..16 {
            lanes[lane] += weights[lane] * vector[lane];
        }
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::embed;

    fn score(text: &str) -> Score {
        let head = ComplexityHead::bundled();
        head.score(text.len(), &Lexical::of(text), &embed(text).vector)
    }

    #[test]
    fn the_bundled_head_tells_easy_from_hard_among_what_it_knows() {
        let easy =
            score("Which planet is closest to the sun?\nA. Venus\nB. Mercury\nC. Mars\nD. Earth\nAnswer:");
        let hard = score(
            "Let G be a group of order 56 and H a subgroup of index 8. Find the number of Sylow 7-subgroups of G and prove that \
             one of the Sylow subgroups is normal.\nA. 1\nB. 7\nC. 8\nD. 14\nAnswer:",
        );
        assert!(hard.0 > easy.0 + 0.1, "{hard:?} {easy:?}");
        let least = ComplexityHead::bundled().least_support;
        let (_, support) = score("lol ok brb ttyl");
        assert!(support < least && support < easy.1, "{support}");
        assert!(!ComplexityHead::bundled().provenance.is_empty());
    }

    #[test]
    fn length_is_a_score_between_0_and_1() {
        let by_length = |bytes| ComplexityHead::bundled().by_length(bytes);
        assert!(by_length(0) < by_length(400) && by_length(400) < by_length(1_000));
        assert!(by_length(0) >= 0.0 && by_length(usize::MAX) <= 1.0);
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let mut head = ComplexityHead::bundled().clone();
        let text = |head: &ComplexityHead| serde_json::to_string(head).expect("JSON");
        head.format = 9;
        let format = ComplexityHead::parse(&text(&head)).unwrap_err();
        head.format = 1;
        head.vector.pop();
        let vector = ComplexityHead::parse(&text(&head)).unwrap_err();
        let syntax = ComplexityHead::parse("{").unwrap_err();
        insta::assert_snapshot!(
            [format, vector, syntax]
                .map(|why| format!("failed to read the complexity head: {why}"))
                .join("\n")
        );
    }
}
