//! Money as integers: amounts, prices, costs and how sure we are of them.
//!
//! Owns [`NanoDollars`], [`PricePerMillion`], [`Cost`] and [`CostConfidence`]. It knows nothing of models, tokens classes or
//! providers. Floats never carry money here: prices are whole nano-dollars per million units, a cost is summed exactly in
//! 128 bits and rounded once, so that a bill added up from a million requests has no drift beyond half a nano-dollar each.

use std::fmt;
use std::iter::Sum;
use std::ops::AddAssign;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Nano-dollars in one dollar.
const NANOS_PER_DOLLAR: i64 = 1_000_000_000;
/// Units a [`PricePerMillion`] is quoted for.
const UNITS_PER_PRICE: u128 = 1_000_000;
/// Decimal places of a nano-dollar.
const NANO_PLACES: u32 = 9;

/// An amount of money in billionths of a US dollar; ± 9.2 billion dollars.
///
/// Arithmetic saturates at the ends of the range (`+`, `+=`, `sum`), because a counter that wraps would turn a debt into a
/// credit; use [`NanoDollars::checked_add`] where the difference matters. Serialised as the bare integer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoDollars(pub i64);

impl NanoDollars {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// The largest amount that can be held.
    pub const MAX: Self = Self(i64::MAX);

    /// Whole dollars, saturating.
    #[must_use]
    pub const fn from_dollars(dollars: i64) -> Self {
        Self(dollars.saturating_mul(NANOS_PER_DOLLAR))
    }

    /// Reads decimal dollars, such as `12`, `0.0375`, `$1.50` or `1e-3`.
    ///
    /// # Errors
    /// [`MoneyError`] when the text is not a decimal number, is finer than a nano-dollar, or does not fit.
    pub fn from_decimal_str(text: &str) -> Result<Self, MoneyError> {
        let nanos = parse_scaled(text, NANO_PLACES, Excess::Refuse)?;
        i64::try_from(nanos).map(Self).map_err(|_| MoneyError::out_of_range(text))
    }

    /// The amount in billionths of a dollar.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The sum, or the end of the range when it does not fit.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, or the end of the range when it does not fit.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The sum, or nothing when it does not fit.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or nothing when it does not fit.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// Dollars as a bare decimal number without a currency sign, for headers and exports: `0.000123`.
    #[must_use]
    pub fn decimal(self) -> impl fmt::Display {
        Decimal { nanos: i128::from(self.0), least_places: 0 }
    }

    /// Dollars as a float, for gauges and charts only; never calculate with it.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a gauge may lose the last digits of a huge amount")]
        let nanos = self.0 as f64;
        nanos / 1e9
    }
}

impl fmt::Display for NanoDollars {
    /// Dollars with at least two and at most nine decimals: `$0.000123`, `$1.50`, `-$2.00`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = Decimal { nanos: i128::from(self.0).abs(), least_places: 2 };
        write!(formatter, "{sign}${magnitude}")
    }
}

impl FromStr for NanoDollars {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        Self::from_decimal_str(text)
    }
}

impl std::ops::Add for NanoDollars {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.saturating_add(other)
    }
}

impl AddAssign for NanoDollars {
    fn add_assign(&mut self, other: Self) {
        *self = self.saturating_add(other);
    }
}

impl Sum for NanoDollars {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::saturating_add)
    }
}

/// A price in nano-dollars per one million units (tokens, unless it says otherwise).
///
/// Exact for every published price: one step is a billionth of a dollar per million tokens. Serialised as the bare integer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PricePerMillion(pub u64);

impl PricePerMillion {
    /// Free of charge, which is something else than "price unknown".
    pub const FREE: Self = Self(0);

    /// Reads decimal dollars per million units, such as `0.0375`.
    ///
    /// # Errors
    /// [`MoneyError`] when the text is not a decimal number, is negative, finer than a nano-dollar, or does not fit.
    pub fn from_decimal_str(text: &str) -> Result<Self, MoneyError> {
        let nanos = parse_scaled(text, NANO_PLACES, Excess::Refuse)?;
        Self::from_nanos(nanos, text)
    }

    /// Reads decimal dollars per single unit, such as `3.75e-08`, rounding half up below the step of this type: price lists
    /// that were computed in floats carry noise in their last digits.
    ///
    /// # Errors
    /// [`MoneyError`] when the text is not a decimal number, is negative, or does not fit.
    pub fn from_decimal_str_per_unit(text: &str) -> Result<Self, MoneyError> {
        let nanos = parse_scaled(text, NANO_PLACES + 6, Excess::Round)?;
        Self::from_nanos(nanos, text)
    }

    /// The price of `units`, rounded half up once, saturating.
    #[must_use]
    pub const fn cost(self, units: u64) -> NanoDollars {
        self.charge(units).round()
    }

    /// The price of `count` parts of a unit, `parts` of which make one; rounded half up once, saturating.
    #[must_use]
    pub const fn cost_of_parts(self, count: u64, parts: u64) -> NanoDollars {
        let parts = if parts == 0 { 1 } else { parts as u128 };
        // Half of what is cut off is added before, so that the whole is rounded once.
        let charge = self.0 as u128 * count as u128;
        let units = UNITS_PER_PRICE * parts;
        let nanos = charge.saturating_add(units / 2) / units;
        if nanos > i64::MAX as u128 { NanoDollars::MAX } else { NanoDollars(nanos as i64) }
    }

    /// The unrounded price of `units`, to be summed with others before rounding.
    #[must_use]
    pub const fn charge(self, units: u64) -> Charge {
        Charge(self.0 as u128 * units as u128)
    }

    /// Dollars per million units as a bare decimal number: `0.0375`.
    #[must_use]
    pub fn decimal(self) -> impl fmt::Display {
        Decimal { nanos: i128::from(self.0), least_places: 0 }
    }

    fn from_nanos(nanos: i128, text: &str) -> Result<Self, MoneyError> {
        if nanos < 0 {
            return Err(MoneyError::Negative { text: text.to_owned() });
        }
        u64::try_from(nanos).map(Self).map_err(|_| MoneyError::out_of_range(text))
    }
}

impl fmt::Display for PricePerMillion {
    /// Dollars per million: `$0.0375/M`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "${}/M", Decimal { nanos: i128::from(self.0), least_places: 2 })
    }
}

/// An exact, not yet rounded sum of prices times units, in millionths of a nano-dollar.
///
/// One product takes at most 128 bits, so sums saturate; a saturated charge rounds to [`NanoDollars::MAX`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Charge(u128);

impl Charge {
    /// Nothing to pay.
    pub const ZERO: Self = Self(0);

    /// Both charges together, still unrounded.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The amount in whole nano-dollars, rounded half up, saturating.
    #[must_use]
    pub const fn round(self) -> NanoDollars {
        let nanos = self.0.saturating_add(UNITS_PER_PRICE / 2) / UNITS_PER_PRICE;
        if nanos > i64::MAX as u128 { NanoDollars::MAX } else { NanoDollars(nanos as i64) }
    }
}

/// How sure a cost is.
///
/// The order is from surest to least sure, so that `max` of two parts is the confidence of their sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostConfidence {
    /// Usage as reported by the provider, at prices the catalogue states for every class of token in it.
    Exact,
    /// A price was borrowed from another class or tier, or the usage was estimated.
    Estimated,
    /// At least one part has no price or no usage at all.
    Unknown,
}

impl CostConfidence {
    /// The word used in headers, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Estimated => "estimated",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for CostConfidence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What something cost, never a silent zero: without a price the amount is absent and the confidence unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// The amount, or nothing when no part of it is known. With [`CostConfidence::Unknown`] it is a lower bound.
    pub amount: Option<NanoDollars>,
    /// How sure the amount is.
    pub confidence: CostConfidence,
}

impl Cost {
    /// Nothing was spent, and that is certain: a request that never reached a provider.
    pub const NOTHING: Self = Self { amount: Some(NanoDollars::ZERO), confidence: CostConfidence::Exact };
    /// Something was or may have been spent and nobody can say how much.
    pub const UNKNOWN: Self = Self { amount: None, confidence: CostConfidence::Unknown };

    /// A cost known to the nano-dollar.
    #[must_use]
    pub const fn exact(amount: NanoDollars) -> Self {
        Self { amount: Some(amount), confidence: CostConfidence::Exact }
    }

    /// A cost that rests on a borrowed price or an estimated usage.
    #[must_use]
    pub const fn estimated(amount: NanoDollars) -> Self {
        Self { amount: Some(amount), confidence: CostConfidence::Estimated }
    }

    /// Both together. The sum is as unsure as its least sure part; when one part is unknown the known part remains as a
    /// lower bound, unless it is nothing: a zero beside what nobody knows would read as a price.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let amount = match (self.amount, other.amount) {
            (Some(one), Some(two)) => Some(one.saturating_add(two)),
            (one, two) => one.or(two).filter(|known| *known != NanoDollars::ZERO),
        };
        Self { amount, confidence: self.confidence.max(other.confidence) }
    }

    /// The same amount, at most as sure as `confidence`: for usage that was itself estimated.
    #[must_use]
    pub fn no_surer_than(self, confidence: CostConfidence) -> Self {
        Self { confidence: self.confidence.max(confidence), ..self }
    }
}

impl fmt::Display for Cost {
    /// `$0.000123`, `~$0.000123` when estimated, `>=$0.000123` for a lower bound, `unknown`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.amount, self.confidence) {
            (None, _) => formatter.write_str("unknown"),
            (Some(amount), CostConfidence::Exact) => write!(formatter, "{amount}"),
            (Some(amount), CostConfidence::Estimated) => write!(formatter, "~{amount}"),
            (Some(amount), CostConfidence::Unknown) => write!(formatter, ">={amount}"),
        }
    }
}

/// Why a text is no amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a decimal number.
    #[error("read an amount of dollars from `{text}`: expected a decimal number such as 0.25")]
    NotDecimal {
        /// The text as given.
        text: String,
    },
    /// Digits below a nano-dollar that would be lost.
    #[error("read an amount of dollars from `{text}`: finer than a billionth of a dollar")]
    TooPrecise {
        /// The text as given.
        text: String,
    },
    /// A price below zero.
    #[error("read a price from `{text}`: a price cannot be negative")]
    Negative {
        /// The text as given.
        text: String,
    },
    /// Too large for the type.
    #[error("read an amount of dollars from `{text}`: too large")]
    OutOfRange {
        /// The text as given.
        text: String,
    },
}

impl MoneyError {
    fn out_of_range(text: &str) -> Self {
        Self::OutOfRange { text: text.to_owned() }
    }
}

/// What to do with digits below the scale.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Excess {
    Refuse,
    Round,
}

/// Reads a decimal number times ten to the power of `places`, exactly.
fn parse_scaled(text: &str, places: u32, excess: Excess) -> Result<i128, MoneyError> {
    let not_decimal = || MoneyError::NotDecimal { text: text.to_owned() };
    let trimmed = text.trim();
    let (negative, rest) = match trimmed.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, trimmed),
    };
    let rest = rest.strip_prefix('$').unwrap_or(rest);
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| not_decimal())?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|byte| byte.is_ascii_digit()) {
        return Err(not_decimal());
    }
    let mut value: i128 = 0;
    for digit in digits() {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(i128::from(digit - b'0')))
            .ok_or_else(|| MoneyError::out_of_range(text))?;
    }
    let fraction_places = i64::try_from(fraction.len()).map_err(|_| not_decimal())?;
    let shift = i64::from(places) + i64::from(exponent) - fraction_places;
    let value = shift_decimal(value, shift, excess, text)?;
    Ok(if negative { -value } else { value })
}

/// Moves the decimal point of a non-negative number.
fn shift_decimal(value: i128, shift: i64, excess: Excess, text: &str) -> Result<i128, MoneyError> {
    if value == 0 {
        return Ok(0);
    }
    let power = u32::try_from(shift.unsigned_abs()).ok().and_then(|places| 10_i128.checked_pow(places));
    if shift >= 0 {
        return power
            .and_then(|power| value.checked_mul(power))
            .ok_or_else(|| MoneyError::out_of_range(text));
    }
    // A divisor beyond 128 bits leaves nothing of any number that fits into them.
    let (quotient, remainder, half_reached) = match power {
        Some(power) => (value / power, value % power, value % power >= power - power / 2),
        None => (0, value, false),
    };
    match excess {
        Excess::Refuse if remainder != 0 => Err(MoneyError::TooPrecise { text: text.to_owned() }),
        Excess::Round if half_reached => Ok(quotient + 1),
        _ => Ok(quotient),
    }
}

/// Nano-dollars shown as decimal dollars without trailing zeros.
struct Decimal {
    nanos: i128,
    least_places: usize,
}

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.nanos.unsigned_abs();
        let (whole, mut fraction) = match u64::try_from(magnitude) {
            // What real amounts are; the wider division is a call of its own.
            Ok(magnitude) => (u128::from(magnitude / 1_000_000_000), magnitude % 1_000_000_000),
            Err(_) => (magnitude / 1_000_000_000, (magnitude % 1_000_000_000) as u64),
        };
        let mut digits = [b'0'; 9];
        for digit in digits.iter_mut().rev() {
            *digit += (fraction % 10) as u8;
            fraction /= 10;
        }
        let significant = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        let shown = digits.get(..significant.max(self.least_places)).unwrap_or(&digits);
        let sign = if self.nanos < 0 { "-" } else { "" };
        match std::str::from_utf8(shown) {
            Ok(shown) if !shown.is_empty() => write!(formatter, "{sign}{whole}.{shown}"),
            _ => write!(formatter, "{sign}{whole}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_shown_without_noise() {
        let shown: Vec<String> = [0, 1, 123_000, 1_500_000_000, -2_000_000_000, i64::MAX, i64::MIN]
            .map(|nanos| NanoDollars(nanos).to_string())
            .into();
        assert_eq!(
            shown,
            [
                "$0.00",
                "$0.000000001",
                "$0.000123",
                "$1.50",
                "-$2.00",
                "$9223372036.854775807",
                "-$9223372036.854775808"
            ]
        );
        assert_eq!(NanoDollars(1_500_000_000).decimal().to_string(), "1.5");
        assert_eq!(NanoDollars::ZERO.decimal().to_string(), "0");
        assert_eq!(PricePerMillion(37_500_000).to_string(), "$0.0375/M");
    }

    #[test]
    fn decimal_texts_are_read_exactly() {
        assert_eq!(NanoDollars::from_decimal_str("12"), Ok(NanoDollars(12_000_000_000)));
        assert_eq!(NanoDollars::from_decimal_str(" $1.50 "), Ok(NanoDollars(1_500_000_000)));
        assert_eq!(NanoDollars::from_decimal_str("-0.000000001"), Ok(NanoDollars(-1)));
        assert_eq!(NanoDollars::from_decimal_str("1e-3"), Ok(NanoDollars(1_000_000)));
        assert_eq!(NanoDollars::from_decimal_str(".5"), Ok(NanoDollars(500_000_000)));
        assert_eq!(PricePerMillion::from_decimal_str("0.0375"), Ok(PricePerMillion(37_500_000)));
        assert_eq!(PricePerMillion::from_decimal_str_per_unit("3.75e-08"), Ok(PricePerMillion(37_500_000)));
        assert_eq!(
            PricePerMillion::from_decimal_str_per_unit("1.5000000000000002e-07"),
            Ok(PricePerMillion(150_000_000))
        );
        assert_eq!(PricePerMillion::from_decimal_str_per_unit("1e-400"), Ok(PricePerMillion(0)));
    }

    #[test]
    fn texts_that_are_no_money_say_why() {
        let errors: Vec<String> = ["", "abc", "1.2.3", "0.0000000001", "99999999999", "1e", "0x1", "1e300"]
            .iter()
            .map(|text| NanoDollars::from_decimal_str(text).expect_err("not money").to_string())
            .chain([PricePerMillion::from_decimal_str("-1").expect_err("negative").to_string()])
            .collect();
        insta::assert_snapshot!(errors.join("\n"), @r#"
        read an amount of dollars from ``: expected a decimal number such as 0.25
        read an amount of dollars from `abc`: expected a decimal number such as 0.25
        read an amount of dollars from `1.2.3`: expected a decimal number such as 0.25
        read an amount of dollars from `0.0000000001`: finer than a billionth of a dollar
        read an amount of dollars from `99999999999`: too large
        read an amount of dollars from `1e`: expected a decimal number such as 0.25
        read an amount of dollars from `0x1`: expected a decimal number such as 0.25
        read an amount of dollars from `1e300`: too large
        read a price from `-1`: a price cannot be negative
        "#);
    }

    #[test]
    fn a_cheap_price_is_exact_and_rounds_half_up_once() {
        let price = PricePerMillion(37_500_000);
        assert_eq!(price.cost(1), NanoDollars(38));
        assert_eq!(price.cost(2), NanoDollars(75));
        assert_eq!(price.cost(1_000_000), NanoDollars(37_500_000));
        let together = price.charge(1).plus(price.charge(1)).round();
        assert_eq!(together, NanoDollars(75));
    }

    #[test]
    fn nothing_wraps_at_the_ends() {
        assert_eq!(PricePerMillion(u64::MAX).cost(u64::MAX), NanoDollars::MAX);
        assert_eq!(NanoDollars::MAX + NanoDollars(1), NanoDollars::MAX);
        assert_eq!(NanoDollars::MAX.checked_add(NanoDollars(1)), None);
        assert_eq!(NanoDollars(i64::MIN).checked_sub(NanoDollars(1)), None);
    }

    #[test]
    fn an_unknown_part_makes_the_sum_a_lower_bound() {
        assert_eq!(Cost::NOTHING.plus(Cost::UNKNOWN), Cost::UNKNOWN);
        assert_eq!(Cost::UNKNOWN.plus(Cost::NOTHING), Cost::UNKNOWN);
        let sum = Cost::exact(NanoDollars(5)).plus(Cost::UNKNOWN);
        assert_eq!(sum, Cost { amount: Some(NanoDollars(5)), confidence: CostConfidence::Unknown });
        assert_eq!(sum.to_string(), ">=$0.000000005");
        assert_eq!(Cost::UNKNOWN.to_string(), "unknown");
        assert_eq!(
            Cost::exact(NanoDollars(5)).plus(Cost::estimated(NanoDollars(1))).to_string(),
            "~$0.000000006"
        );
    }

    proptest! {
        #[test]
        fn cost_of_a_sum_is_within_one_nano_of_the_sum_of_costs(
            price in 0_u64..1_000_000_000_000,
            one in 0_u64..10_000_000,
            two in 0_u64..10_000_000,
        ) {
            let price = PricePerMillion(price);
            let apart = price.cost(one) + price.cost(two);
            let together = price.cost(one + two);
            prop_assert!((apart.nanos() - together.nanos()).abs() <= 1);
            prop_assert_eq!(price.charge(one).plus(price.charge(two)).round(), together);
        }

        #[test]
        fn more_tokens_never_cost_less(price in any::<u64>(), tokens in 0_u64..u64::MAX) {
            let price = PricePerMillion(price);
            prop_assert!(price.cost(tokens) <= price.cost(tokens + 1));
        }

        #[test]
        fn what_is_shown_can_be_read_back(nanos in any::<i64>(), price in any::<u64>()) {
            let amount = NanoDollars(nanos);
            prop_assert_eq!(NanoDollars::from_decimal_str(&amount.to_string()), Ok(amount));
            prop_assert_eq!(NanoDollars::from_decimal_str(&amount.decimal().to_string()), Ok(amount));
            let price = PricePerMillion(price);
            prop_assert_eq!(PricePerMillion::from_decimal_str(&price.decimal().to_string()), Ok(price));
        }

        #[test]
        fn no_text_panics(text in "[-$]?[0-9]{0,40}[.]?[0-9]{0,40}(e[-+]?[0-9]{0,12})?") {
            let _amount = NanoDollars::from_decimal_str(&text);
            let _price = PricePerMillion::from_decimal_str_per_unit(&text);
        }
    }
}
