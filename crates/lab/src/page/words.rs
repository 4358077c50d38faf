//! Figures in words: the same form in tables, sentences and charts.
//!
//! Owns rounding for readers. Must not be used where a program reads: JSON has the whole numbers.

/// A share of 1 as a percentage.
#[must_use]
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if !percent.is_finite() {
        return "-".to_owned();
    }
    match percent.abs() {
        size if size == 0.0 || size >= 99.95 => format!("{percent:.0} %"),
        size if size < 0.1 => format!("{percent:.3} %"),
        _ => format!("{percent:.1} %"),
    }
}

/// A difference of shares or ratios as a signed percentage.
#[must_use]
pub fn signed_percent(share: f64) -> String {
    if share.is_finite() { format!("{:+.1} %", share * 100.0) } else { "-".to_owned() }
}

/// Milliseconds.
#[must_use]
pub fn milliseconds(milliseconds: f64) -> String {
    match milliseconds {
        value if !value.is_finite() => "-".to_owned(),
        value if value >= 10_000.0 => format!("{:.1} s", value / 1_000.0),
        value if value >= 1_000.0 => format!("{:.2} s", value / 1_000.0),
        value if value >= 10.0 || value == 0.0 => format!("{value:.0} ms"),
        value => format!("{value:.1} ms"),
    }
}

/// Dollars.
#[must_use]
pub fn dollars(dollars: f64) -> String {
    let sign = if dollars < 0.0 { "-" } else { "" };
    match dollars.abs() {
        value if !value.is_finite() => "-".to_owned(),
        0.0 => "$0".to_owned(),
        value if value >= 1_000.0 => format!("{sign}${}", whole(value.round())),
        value if value >= 1.0 => format!("{sign}${value:.2}"),
        value if value >= 0.01 => format!("{sign}${value:.4}"),
        value => format!("{sign}${value:.6}"),
    }
}

/// A number of things, in groups of three digits.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn whole(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and saturating")]
    let number = value as u64;
    count(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_keep_their_unit() {
        let shown = [
            percent(0.0),
            percent(0.000_25),
            percent(0.123_4),
            percent(1.0),
            percent(f64::NAN),
            signed_percent(0.25),
            milliseconds(3.25),
            milliseconds(640.4),
            milliseconds(1_234.0),
            milliseconds(64_000.0),
            dollars(0.000_012_3),
            dollars(0.25),
            dollars(-12.5),
            dollars(1_234_567.8),
            count(1_234_567),
            count(999),
        ];
        assert_eq!(
            shown,
            [
                "0 %",
                "0.025 %",
                "12.3 %",
                "100 %",
                "-",
                "+25.0 %",
                "3.2 ms",
                "640 ms",
                "1.23 s",
                "64.0 s",
                "$0.000012",
                "$0.2500",
                "-$12.50",
                "$1,234,568",
                "1,234,567",
                "999"
            ]
        );
    }
}
