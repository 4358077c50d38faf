//! How times, shares and moments are written in a scenario.
//!
//! Owns the notations, which are those of the configuration. Must not know which setting uses them.

use serde::{Deserialize, Deserializer, de::Error as _};
use std::time::Duration;
use trunkline_model::moment::Moment;
use trunkline_route::plan::HedgeDelay;

/// A time such as `400ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Duration);

/// A share such as `2%`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share(pub f64);

/// A point of the run: a time from its start, or a share of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Point {
    /// From the start.
    At(Duration),
    /// A share of the whole run, 0 to 1.
    Part(f64),
}

/// When a hedge starts: `p95`, a time, or `off`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HedgeWord {
    /// Never.
    Off,
    /// After this delay.
    After(HedgeDelay),
}

impl Point {
    /// The moment in a run of this length.
    pub(in crate::simulate) fn of(self, length: Duration) -> Moment {
        Moment::ORIGIN
            + match self {
                Self::At(time) => time,
                Self::Part(part) => length.mul_f64(part),
            }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        trunkline_config::duration(&text).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        share(&text).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.trim_end().ends_with('%') {
            share(&text).map(Self::Part).map_err(D::Error::custom)
        } else {
            trunkline_config::duration(&text).map(Self::At).map_err(D::Error::custom)
        }
    }
}

impl<'de> Deserialize<'de> for HedgeWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "off" {
            return Ok(Self::Off);
        }
        if let Some(percent) = text.strip_prefix('p') {
            let percent: f64 = percent.parse().map_err(|_| D::Error::custom(wrong_hedge(&text)))?;
            if percent > 0.0 && percent < 100.0 {
                return Ok(Self::After(HedgeDelay::Quantile(percent / 100.0)));
            }
            return Err(D::Error::custom(wrong_hedge(&text)));
        }
        let delay = trunkline_config::duration(&text).map_err(|_| D::Error::custom(wrong_hedge(&text)))?;
        Ok(Self::After(HedgeDelay::Fixed(delay)))
    }
}

fn wrong_hedge(text: &str) -> String {
    format!(
        "`{text}` is no time for a hedge; write a percentile such as `p95`, a time such as `800ms`, or `off`"
    )
}

fn share(text: &str) -> Result<f64, String> {
    let wrong = || format!("`{text}` is not a share; write a percentage from 0% to 100%, for example `2%`");
    let number: f64 = text.trim().strip_suffix('%').ok_or_else(wrong)?.trim().parse().map_err(|_| wrong())?;
    if (0.0..=100.0).contains(&number) { Ok(number / 100.0) } else { Err(wrong()) }
}
