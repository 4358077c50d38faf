//! Pieces and pairs of pieces, hashed: the exact words of a text.
//!
//! Owns the hash, the weights by rarity and the table from bucket to row. Must not know labels. Buckets instead of a vocabulary,
//! because a pair costs one multiplication to look up; two grams in one bucket do little harm among some thousand.

use crate::embedder::normalize;

/// Buckets that grams are hashed to, a power of two.
const BUCKETS: usize = 1 << 15;

/// No row: no example has a gram of this bucket.
const NONE: u16 = u16::MAX;

/// Pieces of a text that are looked at; what a longer text is about has been said by then.
const MOST_PIECES: usize = 512;

/// Above so many texts, grams of a single one are left out: they are most of the memory and tell next to nothing.
const MANY_TEXTS: u32 = 1_000;

/// The buckets of a text's grams, sorted, each with how often it occurs.
pub(super) type Counts = Vec<(u16, u16)>;

/// Counts the grams of pieces into `counts`.
pub(super) fn count(pieces: &[u32], buckets: &mut Vec<u16>, counts: &mut Counts) {
    let pieces = &pieces[..pieces.len().min(MOST_PIECES)];
    buckets.clear();
    buckets.extend(pieces.iter().map(|piece| bucket(u64::from(*piece))));
    // One is added so that a pair that begins with piece 0 is not taken for a single piece.
    buckets.extend(pieces.windows(2).map(|pair| bucket((u64::from(pair[0]) + 1) << 32 | u64::from(pair[1]))));
    buckets.sort_unstable();
    counts.clear();
    for bucket in buckets.iter() {
        match counts.last_mut() {
            Some((last, count)) if last == bucket => *count += 1,
            _ => counts.push((*bucket, 1)),
        }
    }
}

/// Fibonacci hashing over two rounds: neighbouring identifiers must not fall into neighbouring buckets.
const fn bucket(gram: u64) -> u16 {
    let mixed = gram.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed >> (64 - BUCKETS.trailing_zeros())) as u16
}

/// The grams of the examples: which row of weights each has, and how rare it is.
#[derive(Clone, Debug)]
pub(super) struct Lexicon {
    rows: Vec<u16>,
    rarity: Vec<f32>,
}

impl Lexicon {
    /// The grams of these texts.
    pub(super) fn of<'a>(texts: impl Iterator<Item = &'a Counts>) -> Self {
        let mut frequencies = vec![0u32; BUCKETS];
        let mut number = 0u32;
        for counts in texts {
            number += 1;
            for (bucket, _) in counts {
                frequencies[usize::from(*bucket)] += 1;
            }
        }
        let least = if number > MANY_TEXTS { 2 } else { 1 };
        let (mut rows, mut rarity) = (vec![NONE; BUCKETS], Vec::new());
        for (row, frequency) in rows.iter_mut().zip(frequencies).filter(|(_, frequency)| *frequency >= least)
        {
            *row = rarity.len() as u16;
            // The smoothed inverse document frequency.
            rarity.push((f64::from(1 + number) / f64::from(1 + frequency)).ln() as f32 + 1.0);
        }
        Self { rows, rarity }
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.rarity.len()
    }

    /// Writes the rows of a text's known grams with their weights, of unit length together.
    pub(super) fn weigh(&self, counts: &Counts, weighed: &mut Vec<(u16, f32)>) {
        weighed.clear();
        let mut values = [0.0f32; 2 * MOST_PIECES];
        let mut length = 0;
        for (bucket, count) in counts {
            let row = self.rows[usize::from(*bucket)];
            if row != NONE {
                values[length] = (1.0 + f32::from(*count).ln()) * self.rarity[usize::from(row)];
                length += 1;
                weighed.push((row, 0.0));
            }
        }
        normalize(&mut values[..length]);
        for ((_, weight), value) in weighed.iter_mut().zip(values) {
            *weight = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grams_are_counted_and_what_no_example_has_is_left_out() {
        let (mut buckets, mut known, mut asked) = (Vec::new(), Counts::new(), Counts::new());
        count(&[7, 8, 7, 8], &mut buckets, &mut known);
        // The pieces 7 and 8 and the pair 7-8 twice, the pair 8-7 once.
        let mut times: Vec<u16> = known.iter().map(|(_, count)| *count).collect();
        times.sort_unstable();
        assert_eq!(times, [1, 2, 2, 2]);
        let lexicon = Lexicon::of([&known].into_iter());
        count(&[7, 9], &mut buckets, &mut asked);
        let mut weighed = Vec::new();
        lexicon.weigh(&asked, &mut weighed);
        assert_eq!(weighed.len(), 1, "only the piece 7 is known");
        assert!((weighed[0].1 - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_long_text_is_cut() {
        let pieces: Vec<u32> = (0..5_000).collect();
        let (mut buckets, mut counts) = (Vec::new(), Counts::new());
        count(&pieces, &mut buckets, &mut counts);
        let mut weighed = Vec::new();
        Lexicon::of([&counts].into_iter()).weigh(&counts, &mut weighed);
        assert!(weighed.len() < 2 * MOST_PIECES);
    }
}
