//! Waiting times and rate-limit headers of provider answers.
//!
//! Owns reading `Retry-After` in its forms and the two families of rate-limit headers (`x-ratelimit-*` with relative resets,
//! `anthropic-ratelimit-*` with RFC 3339 resets). Must not act on them: health and the attempt machine do. The wall clock is
//! an argument, because dates only mean something against one.

use http::HeaderMap;
use std::time::Duration;

/// What a provider said is left of its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateHeaders {
    /// Requests allowed per window.
    pub requests_limit: Option<u64>,
    /// Requests left in it.
    pub requests_remaining: Option<u64>,
    /// Tokens allowed per window.
    pub tokens_limit: Option<u64>,
    /// Tokens left in it.
    pub tokens_remaining: Option<u64>,
    /// Time until the tighter of the two is full again.
    pub reset: Option<Duration>,
}

/// The longest waiting time believed: a provider that asks for more is treated as asking for this.
pub const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);

/// How long the provider asked to wait: `retry-after-ms`, then `retry-after` as seconds or as an HTTP date
/// (RFC 9110, section 10.2.3). `now` is Unix seconds.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: u64) -> Option<Duration> {
    if let Some(milliseconds) = number(headers, "retry-after-ms") {
        return Some(bounded(milliseconds / 1_000.0));
    }
    let text = text(headers, "retry-after")?;
    if let Ok(seconds) = text.trim().parse::<f64>() {
        return (seconds.is_finite() && seconds >= 0.0).then(|| bounded(seconds));
    }
    let at = http_date(text.trim())?;
    Some(bounded(at.saturating_sub(now) as f64))
}

/// Reads whichever family of rate-limit headers is there; `None` when there is none. `now` is Unix seconds.
#[must_use]
pub fn rate_headers(headers: &HeaderMap, now: u64) -> Option<RateHeaders> {
    // Most answers have none: their few names are looked at once instead of being searched for each of ours.
    let has_any = headers.keys().any(|name| {
        let name = name.as_str();
        name.starts_with("x-ratelimit-") || name.starts_with("anthropic-ratelimit-")
    });
    if !has_any {
        return None;
    }
    let read = if headers.contains_key("anthropic-ratelimit-requests-limit")
        || headers.contains_key("anthropic-ratelimit-tokens-limit")
        || headers.contains_key("anthropic-ratelimit-input-tokens-limit")
    {
        anthropic_family(headers, now)
    } else {
        common_family(headers)
    };
    (read != RateHeaders::default()).then_some(read)
}

/// `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`; resets such as `1s`, `6m0s`, `120ms`.
/// Source: OpenAI's guide to rate limits; most compatible providers copy it.
fn common_family(headers: &HeaderMap) -> RateHeaders {
    let reset = |name| text(headers, name).and_then(relative_reset);
    RateHeaders {
        requests_limit: whole(headers, "x-ratelimit-limit-requests"),
        requests_remaining: whole(headers, "x-ratelimit-remaining-requests"),
        tokens_limit: whole(headers, "x-ratelimit-limit-tokens"),
        tokens_remaining: whole(headers, "x-ratelimit-remaining-tokens"),
        reset: reset("x-ratelimit-reset-requests").max(reset("x-ratelimit-reset-tokens")),
    }
}

/// `anthropic-ratelimit-*`; resets are RFC 3339 times. Source: Anthropic's page on rate limits.
fn anthropic_family(headers: &HeaderMap, now: u64) -> RateHeaders {
    let reset = |name| {
        let at = rfc3339(text(headers, name)?)?;
        Some(bounded(at.saturating_sub(now) as f64))
    };
    RateHeaders {
        requests_limit: whole(headers, "anthropic-ratelimit-requests-limit"),
        requests_remaining: whole(headers, "anthropic-ratelimit-requests-remaining"),
        tokens_limit: whole(headers, "anthropic-ratelimit-tokens-limit")
            .or_else(|| whole(headers, "anthropic-ratelimit-input-tokens-limit")),
        tokens_remaining: whole(headers, "anthropic-ratelimit-tokens-remaining")
            .or_else(|| whole(headers, "anthropic-ratelimit-input-tokens-remaining")),
        reset: reset("anthropic-ratelimit-requests-reset").max(reset("anthropic-ratelimit-tokens-reset")),
    }
}

/// A sum of `h`, `m`, `s`, `ms` parts, or bare seconds.
fn relative_reset(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.is_finite() && seconds >= 0.0).then(|| bounded(seconds));
    }
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let letters = after.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(after.len());
        seconds += number
            * match &after[..letters] {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3_600.0,
                "d" => 86_400.0,
                _ => return None,
            };
        rest = &after[letters..];
    }
    Some(bounded(seconds))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the only form a sender may write, as Unix seconds.
fn http_date(text: &str) -> Option<u64> {
    let mut words = text.split_ascii_whitespace();
    let _weekday = words.next()?;
    let day: u64 = words.next()?.parse().ok()?;
    let name = words.next()?;
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|known| *known == name)? as u64 + 1;
    let year: u64 = words.next()?.parse().ok()?;
    let seconds = clock_seconds(words.next()?)?;
    Some(days_from_epoch(year, month, day)?.checked_mul(86_400)? + seconds)
}

/// `2026-11-21T02:00:00Z`, fractions cut, offsets honoured, as Unix seconds.
pub(crate) fn rfc3339(text: &str) -> Option<u64> {
    let (date, time) = text.trim().split_once(['T', 't', ' '])?;
    let mut parts = date.split('-').map(str::parse::<u64>);
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    let zone_at = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let clock = time[..zone_at].split('.').next()?;
    let at = days_from_epoch(year, month, day)?.checked_mul(86_400)? + clock_seconds(clock)?;
    let zone = &time[zone_at..];
    match zone.as_bytes().first() {
        Some(sign @ (b'+' | b'-')) => {
            let (hours, minutes) = zone[1..].split_once(':')?;
            let offset = hours.parse::<u64>().ok()? * 3_600 + minutes.parse::<u64>().ok()? * 60;
            if *sign == b'+' { at.checked_sub(offset) } else { at.checked_add(offset) }
        }
        _ => Some(at),
    }
}

fn clock_seconds(text: &str) -> Option<u64> {
    let mut parts = text.split(':').map(str::parse::<u64>);
    let (hours, minutes, seconds) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    (hours < 24 && minutes < 60 && seconds < 61).then_some(hours * 3_600 + minutes * 60 + seconds)
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar.
fn days_from_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Counting years from March puts the leap day last, so that month lengths follow one formula.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_in_year = (153 * months + 2) / 5 + day - 1;
    (years * 365 + years / 4 - years / 100 + years / 400 + days_in_year).checked_sub(719_468)
}

fn bounded(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn whole(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.trim().parse().ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    text(headers, name)?.trim().parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn retry_after_is_read_in_its_three_forms() {
        assert_eq!(retry_after(&headers(&[("retry-after", "2")]), 0), Some(Duration::from_secs(2)));
        assert_eq!(
            retry_after(&headers(&[("retry-after-ms", "1500"), ("retry-after", "9")]), 0),
            Some(Duration::from_millis(1_500))
        );
        let date = headers(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]);
        assert_eq!(retry_after(&date, 784_111_777 - 30), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(&date, 784_111_777 + 30), Some(Duration::ZERO));
        assert_eq!(retry_after(&headers(&[("retry-after", "soon")]), 0), None);
        assert_eq!(retry_after(&headers(&[("retry-after", "1e300")]), 0), Some(LONGEST_WAIT));
    }

    #[test]
    fn both_families_of_limits_are_read() {
        let common = headers(&[
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ]);
        assert_eq!(
            rate_headers(&common, 0),
            Some(RateHeaders {
                requests_limit: Some(60),
                requests_remaining: Some(59),
                tokens_limit: Some(150_000),
                tokens_remaining: Some(149_984),
                reset: Some(Duration::from_secs(360)),
            })
        );
        let dated = headers(&[
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-11-21T02:00:30Z"),
        ]);
        let now = rfc3339("2026-11-21T02:00:00Z").unwrap();
        assert_eq!(now, 1_795_226_400);
        assert_eq!(rate_headers(&dated, now).unwrap().reset, Some(Duration::from_secs(30)));
        assert_eq!(rfc3339("2026-11-21T03:30:00.5+01:30"), Some(now));
        assert_eq!(rate_headers(&HeaderMap::new(), 0), None);
    }

    proptest! {
        #[test]
        fn no_header_crashes_the_reader(value in "[ -~]{0,40}", now in any::<u64>()) {
            let Ok(value) = HeaderValue::from_str(&value) else { return Ok(()) };
            let mut map = HeaderMap::new();
            for name in ["retry-after", "retry-after-ms", "x-ratelimit-reset-tokens", "anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-reset"] {
                map.insert(name, value.clone());
            }
            if let Some(wait) = retry_after(&map, now) {
                prop_assert!(wait <= LONGEST_WAIT);
            }
            let _ = rate_headers(&map, now);
        }
    }
}
