//! Reproducible chance: a small generator and a fingerprint, both seeded by arguments.
//!
//! It must not read a clock or the operating system's randomness. Written here rather than taken from a crate because
//! the stream of numbers is part of the promise "same seed, same request, same answer", across versions.

use std::time::Duration;

use crate::script::Delay;

/// A SplitMix64 generator.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A duration drawn from the distribution, at most ten minutes.
    pub(crate) fn draw(&mut self, delay: &Delay) -> Duration {
        let milliseconds = match delay {
            Delay::None => return Duration::ZERO,
            Delay::Constant { ms } => *ms,
            Delay::Uniform { from_ms, to_ms } => from_ms + (to_ms - from_ms) * self.unit(),
            Delay::LogNormal { median_ms, sigma } => median_ms * (sigma * self.normal()).exp(),
        };
        let bounded = if milliseconds.is_finite() { milliseconds.clamp(0.0, LONGEST_MS) } else { 0.0 };
        Duration::from_secs_f64(bounded / 1000.0)
    }

    /// A standard normal number (Box and Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// `length` characters of `alphabet`, for identifiers that look like the vendor's.
    pub(crate) fn identifier(&mut self, prefix: &str, alphabet: &[u8], length: usize) -> String {
        let mut text = String::with_capacity(prefix.len() + length);
        text.push_str(prefix);
        for _ in 0..length {
            let index = (self.next() % alphabet.len() as u64) as usize;
            text.push(char::from(alphabet[index]));
        }
        text
    }
}

const LONGEST_MS: f64 = 600_000.0;

/// Letters and digits as most vendors use them in identifiers.
pub(crate) const ALPHANUMERIC: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Lower-case hexadecimal digits.
pub(crate) const HEXADECIMAL: &[u8] = b"0123456789abcdef";

/// A 64-bit fingerprint of `bytes` under `seed`.
pub(crate) fn fingerprint(seed: u64, bytes: &[u8]) -> u64 {
    let mut state = seed ^ 0xcbf2_9ce4_8422_2325;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = mix(state ^ u64::from_le_bytes(word)).wrapping_add(chunk.len() as u64);
    }
    mix(state)
}

fn mix(value: u64) -> u64 {
    let first = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let second = (first ^ (first >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    second ^ (second >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (mut left, mut right) = (Chance::new(7), Chance::new(7));
        assert!((0..100).all(|_| left.next() == right.next()));
    }

    #[test]
    fn a_uniform_delay_stays_within_its_bounds() {
        let mut chance = Chance::new(1);
        let delay = Delay::Uniform { from_ms: 10.0, to_ms: 20.0 };
        for _ in 0..1000 {
            let drawn = chance.draw(&delay).as_secs_f64() * 1000.0;
            assert!((10.0..20.0).contains(&drawn), "{drawn}");
        }
    }

    #[test]
    fn half_of_a_lognormal_lies_below_its_median() {
        let mut chance = Chance::new(3);
        let delay = Delay::LogNormal { median_ms: 100.0, sigma: 0.5 };
        let below = (0..10_000).filter(|_| chance.draw(&delay) < Duration::from_millis(100)).count();
        assert!((4_700..5_300).contains(&below), "{below}");
    }

    #[test]
    fn a_fingerprint_tells_zero_padding_from_zero_bytes() {
        assert_ne!(fingerprint(0, b"a"), fingerprint(0, b"a\0"));
        assert_ne!(fingerprint(0, b"a"), fingerprint(1, b"a"));
    }
}
