//! The caller's own limits, told in the protocol's own headers.
//!
//! Owns the two families of rate-limit headers towards clients, on answers and on errors. Must not limit anything. OpenAI's
//! tell how long it takes until all of a limit is back (<https://platform.openai.com/docs/guides/rate-limits>), Anthropic's the moment
//! (<https://docs.claude.com/en/api/rate-limits>); the other protocols have none of their own, and get OpenAI's.

use crate::case::Case;
use crate::clock;
use crate::state::Generation;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use std::fmt::{self, Display};
use std::time::Duration;
use trunkline_model::catalogue::Date;
use trunkline_model::dialect::Dialect;
use trunkline_route::limit::Remaining;

/// The names of what is allowed, of what is left of it, and of when all of it is back.
pub(crate) type Names = [HeaderName; 3];

static ANTHROPIC: [Names; 2] = [
    [
        HeaderName::from_static("anthropic-ratelimit-requests-limit"),
        HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
        HeaderName::from_static("anthropic-ratelimit-requests-reset"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
        HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
    ],
];
static OPENAI: [Names; 2] = [
    [
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ],
    [
        HeaderName::from_static("x-ratelimit-limit-tokens"),
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ],
];

/// One limit of a key, as its headers tell it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) names: &'static Names,
    /// What is allowed in a minute.
    pub(crate) limit: u64,
    /// What is left of it.
    pub(crate) remaining: u64,
    /// When all of it is back.
    pub(crate) reset: Reset,
}

/// When all of a limit is back, in a protocol's own form.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reset {
    /// After this time: `1m0.5s`, as Go writes durations.
    After(Duration),
    /// At this second since the Unix epoch, in RFC 3339.
    At(u64),
}

/// The limits that the request's key has: requests, then tokens.
pub(crate) fn read(generation: &Generation, case: &Case) -> [Option<Told>; 2] {
    let Some(limiter) = case.record.key.as_deref().and_then(|key| generation.limiter(key)) else {
        return [None, None];
    };
    let is_anthropic = case.record.client == Dialect::Anthropic;
    let names = if is_anthropic { &ANTHROPIC } else { &OPENAI };
    let told = |names: &'static Names, left: Option<Remaining>| {
        let Remaining { limit, remaining, reset } = left?;
        let reset = if is_anthropic {
            Reset::At(clock::unix_milliseconds().saturating_add(milliseconds(reset)).div_ceil(1_000))
        } else {
            Reset::After(reset)
        };
        Some(Told { names, limit, remaining, reset })
    };
    let standing = limiter.standing(case.now());
    [told(&names[0], standing.requests), told(&names[1], standing.tokens)]
}

/// Puts the limits of the request's key on an answer.
pub(crate) fn put(headers: &mut HeaderMap, generation: &Generation, case: &Case) {
    for Told { names, limit, remaining, reset } in read(generation, case).into_iter().flatten() {
        let [limit_name, remaining_name, reset_name] = names;
        headers.insert(limit_name, HeaderValue::from(limit));
        headers.insert(remaining_name, HeaderValue::from(remaining));
        if let Ok(value) = HeaderValue::from_str(&reset.to_string()) {
            headers.insert(reset_name, value);
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}

impl Display for Reset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::After(time) => {
                let (minutes, rest) = (milliseconds(time) / 60_000, milliseconds(time) % 60_000);
                let (seconds, thousandths) = (rest / 1_000, rest % 1_000);
                if minutes == 0 && seconds == 0 && thousandths > 0 {
                    return write!(formatter, "{thousandths}ms");
                }
                if minutes > 0 {
                    write!(formatter, "{minutes}m")?;
                }
                write!(formatter, "{seconds}")?;
                match (thousandths, thousandths % 100, thousandths % 10) {
                    (0, ..) => {}
                    (_, 0, _) => write!(formatter, ".{}", thousandths / 100)?,
                    (_, _, 0) => write!(formatter, ".{:02}", thousandths / 10)?,
                    _ => write!(formatter, ".{thousandths:03}")?,
                }
                formatter.write_str("s")
            }
            Self::At(seconds) => {
                let (date, time) = (Date::from_unix_seconds(seconds), seconds % 86_400);
                let (hours, minutes, seconds) = (time / 3_600, time / 60 % 60, time % 60);
                write!(formatter, "{date}T{hours:02}:{minutes:02}:{seconds:02}Z")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_are_written_as_each_protocol_writes_them() {
        let after = |milliseconds| Reset::After(Duration::from_millis(milliseconds)).to_string();
        let written = [0, 6, 1_000, 1_250, 59_999, 60_000, 61_500, 360_000].map(after);
        assert_eq!(written, ["0s", "6ms", "1s", "1.25s", "59.999s", "1m0s", "1m1.5s", "6m0s"]);
        assert_eq!(Reset::At(1_795_284_957).to_string(), "2026-11-21T18:15:57Z");
    }

    proptest! {
        #[test]
        fn a_duration_says_what_it_is(time in 0_u64..4_000_000) {
            let text = Reset::After(Duration::from_millis(time)).to_string();
            let read = match text.strip_suffix("ms") {
                Some(milliseconds) => milliseconds.parse::<f64>().unwrap(),
                None => {
                    let text = text.strip_suffix('s').unwrap();
                    let (minutes, seconds) = text.split_once('m').unwrap_or(("0", text));
                    minutes.parse::<f64>().unwrap() * 60_000.0 + seconds.parse::<f64>().unwrap() * 1_000.0
                }
            };
            #[expect(clippy::cast_precision_loss, reason = "a few minutes are exact")]
            let expected = time as f64;
            prop_assert!((read - expected).abs() < 1e-6, "{text}");
        }
    }
}
