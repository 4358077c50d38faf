//! Random numbers that stay the same over releases.
//!
//! Owns one small generator and the few distributions the lab draws from. Must not be used for secrets. It is our own because
//! the well-kept generators promise no stable stream between versions, and a simulation whose figures change with an update of
//! a dependency cannot be compared with last month's.

/// A stream of random numbers from a seed (splitmix64: Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub struct Draw(u64);

/// The 99th percentile of the standard normal distribution.
pub const NORMAL_P99: f64 = 2.326_347_874_040_841;

impl Draw {
    /// The stream of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The stream of one item of a seed: streams of different items have nothing to do with each other.
    #[must_use]
    pub const fn of(seed: u64, item: u64) -> Self {
        Self(mixed(seed ^ mixed(item.wrapping_add(0x9e37_79b9_7f4a_7c15))))
    }

    /// 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// 128 random bits.
    pub fn wide(&mut self) -> u128 {
        u128::from(self.bits()) << 64 | u128::from(self.bits())
    }

    /// A number from 0 up to, but not including, 1.
    pub fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let numerator = (self.bits() >> 11) as f64;
        numerator / (1u64 << 53) as f64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    /// A position below a length that is not 0.
    pub fn below(&mut self, length: usize) -> usize {
        // The bias of the multiplication is below 2^-32 for any length that fits memory.
        ((u128::from(self.bits()) * length.max(1) as u128) >> 64) as usize
    }

    /// A number with mean 0 and standard deviation 1, normally distributed.
    pub fn normal(&mut self) -> f64 {
        // Box and Muller; the second number is not kept, so that every call takes the same two draws.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// The time to the next of events that come at random with this mean distance.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

const fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        // The first outputs of splitmix64 for seed 0, as its authors print them.
        let mut draw = Draw::new(0);
        assert_eq!([draw.bits(), draw.bits()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut draw = Draw::new(7);
        let count = 100_000;
        let (mut sum, mut squares, mut waits, mut above) = (0.0, 0.0, 0.0, 0);
        for _ in 0..count {
            let normal = draw.normal();
            sum += normal;
            squares += normal * normal;
            above += i32::from(normal > NORMAL_P99);
            waits += draw.exponential(3.0);
        }
        let count = f64::from(count);
        assert!((sum / count).abs() < 0.02 && (squares / count - 1.0).abs() < 0.03);
        assert!((f64::from(above) / count - 0.01).abs() < 0.002);
        assert!((waits / count - 3.0).abs() < 0.05);
    }

    #[test]
    fn items_have_streams_of_their_own() {
        let firsts: std::collections::BTreeSet<u64> =
            (0..1_000).map(|item| Draw::of(1, item).bits()).collect();
        assert_eq!(firsts.len(), 1_000);
    }
}
