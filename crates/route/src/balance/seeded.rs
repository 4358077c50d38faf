//! Pseudo-random numbers from a seed, without a generator.
//!
//! Owns the mixing. Must not be used where an adversary gains by guessing. One number per (seed, item), so that the number of
//! one item does not depend on which others are there: this is what keeps orders stable when a fleet changes.

/// Mixes two numbers into one whose bits all depend on all of theirs (the finaliser of splitmix64).
pub(crate) const fn mix(seed: u64, item: u64) -> u64 {
    let mut bits = seed ^ item.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A number above 0 and at most 1.
pub(crate) fn unit(bits: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    let numerator = ((bits >> 11) + 1) as f64;
    numerator / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_unit_is_above_zero_and_at_most_one(bits in any::<u64>()) {
            let number = unit(bits);
            prop_assert!(number > 0.0 && number <= 1.0);
        }
    }
}
