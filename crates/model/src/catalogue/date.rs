//! Calendar days, for release and retirement dates.
//!
//! Owns [`Date`]. It knows no clock and no time zone: providers announce retirements by day, and a warning that is a few
//! hours early is none the worse.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A day of the Gregorian calendar. Ordered by time; written `2026-11-21`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The day with this year, month (1 to 12) and day of the month.
    ///
    /// # Errors
    /// [`DateError`] when there is no such day.
    pub fn new(year: u16, month: u8, day: u8) -> Result<Self, DateError> {
        if (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month) {
            Ok(Self { year, month, day })
        } else {
            Err(DateError { text: format!("{year:04}-{month:02}-{day:02}") })
        }
    }

    /// The day that holds a moment given in seconds after 1970-01-01T00:00:00Z; times before that count as that day.
    #[must_use]
    pub fn from_unix_seconds(seconds: u64) -> Self {
        let mut days = seconds / 86_400;
        let mut year: u16 = 1970;
        while days >= days_in_year(year) && year < u16::MAX {
            days -= days_in_year(year);
            year += 1;
        }
        let mut month: u8 = 1;
        while month < 12 && days >= u64::from(days_in_month(year, month)) {
            days -= u64::from(days_in_month(year, month));
            month += 1;
        }
        let day = u8::try_from(days).map_or(28, |day| day + 1);
        Self { year, month, day }
    }

    /// Whole days since 1970-01-01, to tell how far off a retirement is.
    #[must_use]
    pub fn unix_days(self) -> i64 {
        let years: i64 = if self.year >= 1970 {
            (1970..self.year).map(|year| i64::from(days_in_year_signed(year))).sum()
        } else {
            -(self.year..1970).map(|year| i64::from(days_in_year_signed(year))).sum::<i64>()
        };
        let months: i64 = (1..self.month).map(|month| i64::from(days_in_month(self.year, month))).sum();
        years + months + i64::from(self.day) - 1
    }
}

const fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in_year_signed(year: u16) -> u16 {
    if is_leap(year) { 366 } else { 365 }
}

const fn days_in_year(year: u16) -> u64 {
    days_in_year_signed(year) as u64
}

const fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// A text that is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read a date from `{text}`: expected a day such as 2026-11-21")]
pub struct DateError {
    /// The text as given.
    pub text: String,
}

impl FromStr for Date {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let wrong = || DateError { text: text.to_owned() };
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 10
            && bytes
                .iter()
                .enumerate()
                .all(|(at, byte)| if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() });
        if !shaped {
            return Err(wrong());
        }
        let number = |from: usize, to: usize| -> Result<u16, DateError> {
            text.get(from..to).and_then(|digits| digits.parse().ok()).ok_or_else(wrong)
        };
        let narrow = |number: u16| u8::try_from(number).map_err(|_| wrong());
        Self::new(number(0, 4)?, narrow(number(5, 7)?)?, narrow(number(8, 10)?)?).map_err(|_| wrong())
    }
}

impl TryFrom<String> for Date {
    type Error = DateError;

    fn try_from(text: String) -> Result<Self, DateError> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn days_are_read_and_ordered() {
        let early: Date = "2024-02-29".parse().expect("a leap day");
        let late: Date = "2026-11-21".parse().expect("a day");
        assert!(early < late);
        assert_eq!(late.to_string(), "2026-11-21");
        for wrong in ["2023-02-29", "2026-13-01", "2026-1-1", "2026-11-21T00", "+026-11-21", ""] {
            assert_eq!(wrong.parse::<Date>(), Err(DateError { text: wrong.to_owned() }));
        }
    }

    #[test]
    fn unix_seconds_fall_into_their_day() {
        assert_eq!(Date::from_unix_seconds(0).to_string(), "1970-01-01");
        assert_eq!(Date::from_unix_seconds(951_782_400).to_string(), "2000-02-29");
        assert_eq!(Date::from_unix_seconds(1_795_219_199).to_string(), "2026-11-20");
    }

    proptest! {
        #[test]
        fn days_and_seconds_agree(day in 0_u32..40_000) {
            let date = Date::from_unix_seconds(u64::from(day) * 86_400 + 86_399);
            prop_assert_eq!(date.unix_days(), i64::from(day));
            prop_assert_eq!(date.to_string().parse(), Ok(date));
        }
    }
}
