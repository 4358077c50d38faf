//! Durations, sizes, shares and wildcards as people write them.
//!
//! Owns these small notations. Must not know which setting uses them. Units are mandatory: a bare `10` has cost enough
//! outages by meaning seconds to one and milliseconds to another.

use std::time::Duration;

/// Reads `500ms`, `10s`, `2m`, `1h`, `30d`, or a sum such as `1m30s`.
///
/// # Errors
/// What was expected, as the end of a sentence.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "`{text}` is not a time; write a number and a unit, for example `500ms`, `10s`, `2m`, `1h` or `30d`"
        )
    };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        let after = &rest[digits..];
        let letters = after.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(after.len());
        let unit = match &after[..letters] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(wrong()),
        };
        total = total
            .checked_add(Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())?)
            .ok_or_else(wrong)?;
        rest = after[letters..].trim_start();
    }
    Ok(total)
}

/// Reads `512`, `64KB`, `32MB`, `2GB`; decimal units, as disks and HTTP limits use them.
///
/// # Errors
/// What was expected, as the end of a sentence.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("`{text}` is not a size; write a number and a unit, for example `64KB`, `32MB` or `2GB`");
    let text_trimmed = text.trim();
    let digits = text_trimmed
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text_trimmed.len());
    let number: f64 = text_trimmed[..digits].parse().map_err(|_| wrong())?;
    let unit = match text_trimmed[digits..].trim().to_ascii_uppercase().as_str() {
        "" | "B" => 1.0,
        "KB" | "K" => 1e3,
        "MB" | "M" => 1e6,
        "GB" | "G" => 1e9,
        "TB" | "T" => 1e12,
        _ => return Err(wrong()),
    };
    let bytes = number * unit;
    if (1.0..9e15).contains(&bytes) { Ok(bytes as u64) } else { Err(wrong()) }
}

/// Reads `5%` or `0.05` as a share of 0 to 1.
///
/// # Errors
/// What was expected, as the end of a sentence.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let trimmed = text.trim();
    let parsed = match trimmed.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|value| value / 100.0),
        None => trimmed.parse::<f64>(),
    };
    match parsed {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err(format!("`{text}` is not a share; write for example `5%` (at most `100%`)")),
    }
}

/// Replaces each `${NAME}` by the environment's value; `$$` is a dollar sign.
///
/// # Errors
/// The names that are not set, or the place of a `${` without end.
pub(crate) fn expand(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = after.find('}').ok_or("`${` has no closing `}`")?;
            let name = &after[..end];
            match environment(name) {
                Some(value) if !value.trim().is_empty() => out.push_str(value.trim()),
                Some(_) => return Err(format!("the environment variable `{name}` is empty")),
                None => return Err(format!("the environment variable `{name}` is not set")),
            }
            rest = &after[end + 1..];
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_need_units_and_may_be_sums() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        for wrong in ["", "10", "s", "10 parsecs", "1e400s", "-3s", "99999999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_and_shares_are_bounded() {
        assert_eq!(size("32MB"), Ok(32_000_000));
        assert!(size("0").is_err() && size("-1KB").is_err() && size("1XB").is_err());
        assert_eq!(share("5%"), Ok(0.05));
        assert!(share("101%").is_err() && share("NaN").is_err());
    }

    #[test]
    fn expansion_names_what_is_missing() {
        let environment = |name: &str| (name == "A").then(|| "x".to_owned());
        assert_eq!(expand("a${A}$$b$", &environment).unwrap(), "ax$b$");
        insta::assert_snapshot!(expand("${B}", &environment).unwrap_err(), @"the environment variable `B` is not set");
        insta::assert_snapshot!(expand("${B", &environment).unwrap_err(), @"`${` has no closing `}`");
    }

    proptest! {
        #[test]
        fn no_text_crashes_the_notations(text in ".{0,40}") {
            let _ = (duration(&text).is_ok(), size(&text).is_ok(), share(&text).is_ok());
            let _ = expand(&text, &|_| None).is_ok();
        }
    }
}
