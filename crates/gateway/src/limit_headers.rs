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
    /// Every answer carries two of them, so they are put together here and written at once.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Text::default();
        match *self {
            Self::After(time) => text.duration(milliseconds(time)),
            Self::At(seconds) => {
                let time = seconds % 86_400;
                write!(formatter, "{}", Date::from_unix_seconds(seconds))?;
                for (before, part) in [("T", time / 3_600), (":", time / 60 % 60), (":", time % 60)] {
                    text.push(before);
                    text.digits(part, 2);
                }
                text.push("Z");
            }
        }
        formatter.write_str(text.as_str())
    }
}

/// Room for the longest moment: `307445734561825m51.615s`.
#[derive(Default)]
struct Text {
    bytes: [u8; 32],
    length: usize,
}

impl Text {
    fn duration(&mut self, milliseconds: u64) {
        let (minutes, rest) = (milliseconds / 60_000, milliseconds % 60_000);
        let (seconds, thousandths) = (rest / 1_000, rest % 1_000);
        if minutes == 0 && seconds == 0 && thousandths > 0 {
            self.number(thousandths);
            return self.push("ms");
        }
        if minutes > 0 {
            self.number(minutes);
            self.push("m");
        }
        self.number(seconds);
        if thousandths > 0 {
            self.push(".");
            match (thousandths % 100, thousandths % 10) {
                (0, _) => self.digits(thousandths / 100, 1),
                (_, 0) => self.digits(thousandths / 10, 2),
                _ => self.digits(thousandths, 3),
            }
        }
        self.push("s");
    }

    fn number(&mut self, number: u64) {
        self.push(itoa::Buffer::new().format(number));
    }

    /// The last digits of a number, zeros before them.
    fn digits(&mut self, number: u64, count: u32) {
        for place in (0..count).rev() {
            let digit = usize::try_from(number / 10_u64.pow(place) % 10).unwrap_or_default();
            self.push(&"0123456789"[digit..=digit]);
        }
    }

    fn push(&mut self, text: &str) {
        let end = self.length + text.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(text.as_bytes());
            self.length = end;
        }
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
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
        assert_eq!(Reset::After(Duration::from_millis(61_050)).to_string(), "1m1.05s");
        assert_eq!(Reset::After(Duration::MAX).to_string(), "307445734561825m51.615s");
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
