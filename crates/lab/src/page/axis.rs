//! Axes: where values stand on a chart and which of them are written beside it.
//!
//! Owns scales and ticks. Must not know what is drawn.

/// A range of values laid over a range of pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    from: f64,
    to: f64,
}

/// What can be drawn of a value: beyond it the arithmetic of pixels overflows, and no figure of the lab comes near.
pub(super) fn drawable(value: f64) -> Option<f64> {
    value.is_finite().then(|| value.clamp(-1e15, 1e15))
}

impl Axis {
    /// An axis from `low` to `high`, widened where they are equal or not finite.
    pub(super) fn new(low: f64, high: f64, logarithmic: bool, from: f64, to: f64) -> Self {
        let (low, high) = match (drawable(low).zip(drawable(high)), logarithmic) {
            (None, false) => (0.0, 1.0),
            (None, true) => (1.0, 10.0),
            // Far from zero half a unit is lost in rounding.
            (Some((low, high)), false) if high <= low => {
                (low - 0.5 - low.abs() / 1e6, low + 0.5 + low.abs() / 1e6)
            }
            (Some((low, high)), false) => (low, high),
            (Some((low, high)), true) => {
                let low = low.max(1e-12);
                (low, if high <= low { low * 10.0 } else { high })
            }
        };
        Self { low, high, logarithmic, from, to }
    }

    /// The pixel of a value; what lies outside stands at the edge.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = drawable(value).unwrap_or(self.low);
        let share = if self.logarithmic {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + (self.to - self.from) * share.clamp(0.0, 1.0)
    }

    /// Round values within the range, about as many as asked for.
    pub(super) fn ticks(&self, about: usize) -> Vec<f64> {
        if self.logarithmic { self.logarithmic_ticks(about) } else { self.linear_ticks(about) }
    }

    fn linear_ticks(&self, about: usize) -> Vec<f64> {
        let step = round_step((self.high - self.low) / about.max(1) as f64);
        let first = (self.low / step).ceil();
        (0..50)
            .map(|number| (first + f64::from(number)) * step)
            .take_while(|tick| *tick <= self.high + step * 1e-9)
            // Adding up steps leaves dust where zero should be.
            .map(|tick| if tick.abs() < step * 1e-9 { 0.0 } else { tick })
            .collect()
    }

    fn logarithmic_ticks(&self, about: usize) -> Vec<f64> {
        let decades = (self.high / self.low).log10();
        let steps: &[f64] = if decades * 3.0 <= about as f64 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a double has three digits")]
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let all = (first..=last).flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        all.filter(|tick| *tick >= self.low * 0.999_999 && *tick <= self.high * 1.000_001).collect()
    }
}

/// The next of 1, 2, 2.5 and 5 times a power of ten.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let rest = rough / power;
    let step = [1.0, 2.0, 2.5, 5.0].into_iter().find(|step| rest <= *step * 1.000_001).unwrap_or(10.0);
    step * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(Axis::new(0.0, 97.0, false, 0.0, 1.0).ticks(5), [0.0, 20.0, 40.0, 60.0, 80.0]);
        assert_eq!(Axis::new(-0.3, 0.31, false, 0.0, 1.0).ticks(4), [-0.2, 0.0, 0.2]);
        assert_eq!(Axis::new(3.0, 2_000.0, true, 0.0, 1.0).ticks(5), [10.0, 100.0, 1_000.0]);
    }

    proptest! {
        #[test]
        fn everything_stands_within_the_axis(
            low in -1e9f64..1e9, width in 0.0f64..1e9, value in -2e9f64..2e9, logarithmic in any::<bool>(),
        ) {
            let axis = Axis::new(low, low + width, logarithmic, 10.0, 90.0);
            let place = axis.place(value);
            prop_assert!((10.0..=90.0).contains(&place), "{place}");
            prop_assert!(axis.ticks(5).len() <= 60);
        }
    }
}
