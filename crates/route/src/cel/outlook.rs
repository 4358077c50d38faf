//! What can be said of a rule before any request: that it never holds, or always.
//!
//! Owns that one judgement. Must not evaluate: it works on what a feature can be at all (a count is never negative, a weekday is one
//! of seven), so that a rule that can never hold is a mistake in the configuration and not a step that silently never decides. What
//! it cannot see through is open; it never takes a rule that could hold for one that cannot.

use super::node::{Comparison, Node};
use crate::features::{Feature, FeatureKind};

/// What can be said of a rule before any request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// It holds for every request.
    Always,
    /// It holds for no request.
    Never,
    /// That depends on the request.
    Open,
}

impl Outlook {
    const fn of(holds: bool) -> Self {
        if holds { Self::Always } else { Self::Never }
    }

    const fn reversed(self) -> Self {
        match self {
            Self::Always => Self::Never,
            Self::Never => Self::Always,
            Self::Open => Self::Open,
        }
    }
}

/// What a value can be.
#[derive(Clone, Copy, Debug)]
enum Possible<'a> {
    /// A number between these, both included.
    Numbers(f64, f64),
    /// This text.
    Text(&'a str),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    Anything,
}

impl Node {
    /// What can be said of a node of type bool.
    pub(super) fn outlook(&self) -> Outlook {
        match self {
            Self::Bool(value) => Outlook::of(*value),
            Self::Not(inner) => inner.outlook().reversed(),
            Self::And(left, right) => match (left.outlook(), right.outlook()) {
                (Outlook::Never, _) | (_, Outlook::Never) => Outlook::Never,
                (Outlook::Always, Outlook::Always) => Outlook::Always,
                _ if self.contradicts_itself() => Outlook::Never,
                _ => Outlook::Open,
            },
            Self::Or(left, right) => match (left.outlook(), right.outlook()) {
                (Outlook::Always, _) | (_, Outlook::Always) => Outlook::Always,
                (Outlook::Never, Outlook::Never) => Outlook::Never,
                _ => Outlook::Open,
            },
            Self::Choose { condition, then, otherwise } => match condition.outlook() {
                Outlook::Always => then.outlook(),
                Outlook::Never => otherwise.outlook(),
                Outlook::Open if then.outlook() == otherwise.outlook() => then.outlook(),
                Outlook::Open => Outlook::Open,
            },
            Self::Compare { comparison, left, right } => {
                compared(*comparison, left.possible(), right.possible())
            }
            Self::In { needle, list } => {
                let needle = needle.possible();
                let equal = |item: &Self| compared(Comparison::Equal, needle, item.possible());
                match list.iter().all(|item| equal(item) == Outlook::Never) {
                    true => Outlook::Never,
                    false => Outlook::Open,
                }
            }
            _ => Outlook::Open,
        }
    }

    fn possible(&self) -> Possible<'_> {
        match self {
            Self::Int(number) => Possible::Numbers(*number as f64, *number as f64),
            Self::Double(number) if !number.is_nan() => Possible::Numbers(*number, *number),
            Self::Text(text) => Possible::Text(text),
            Self::Feature(feature) => possible(*feature),
            Self::Size(_) => Possible::Numbers(0.0, f64::INFINITY),
            Self::Negate(inner) => match inner.possible() {
                Possible::Numbers(low, high) => Possible::Numbers(-high, -low),
                _ => Possible::Anything,
            },
            _ => Possible::Anything,
        }
    }

    /// Whether parts of a conjunction demand different things of one feature.
    fn contradicts_itself(&self) -> bool {
        let mut parts = Vec::new();
        self.gather(&mut parts);
        let mut demands: Vec<(Feature, Possible<'_>)> = Vec::new();
        for part in parts {
            let Self::Compare { comparison, left, right } = part else { continue };
            let (comparison, feature, value) = match (left.as_ref(), right.as_ref()) {
                (Self::Feature(feature), other) => (*comparison, *feature, other.possible()),
                (other, Self::Feature(feature)) => (comparison.turned(), *feature, other.possible()),
                _ => continue,
            };
            let place = demands.iter().position(|(known, _)| *known == feature).unwrap_or_else(|| {
                demands.push((feature, possible(feature)));
                demands.len() - 1
            });
            match narrowed(feature, demands[place].1, comparison, value) {
                Some(left) => demands[place].1 = left,
                None => return true,
            }
        }
        false
    }

    fn gather<'a>(&'a self, parts: &mut Vec<&'a Self>) {
        match self {
            Self::And(left, right) => {
                left.gather(parts);
                right.gather(parts);
            }
            other => parts.push(other),
        }
    }
}

/// What a feature can be at all.
const fn possible(feature: Feature) -> Possible<'static> {
    match feature {
        Feature::TimeHour => Possible::Numbers(0.0, 23.0),
        Feature::TimeWeekday => Possible::OneOf(&["mon", "tue", "wed", "thu", "fri", "sat", "sun"]),
        Feature::RequestQuestion => {
            Possible::OneOf(&["what", "why", "how", "who", "when", "where", "which", "yes_no", ""])
        }
        Feature::RequestFormat => {
            Possible::OneOf(&["json", "yaml", "xml", "csv", "table", "list", "code", ""])
        }
        // Counts, sizes and seconds.
        _ if matches!(feature.kind(), FeatureKind::Int) => Possible::Numbers(0.0, f64::INFINITY),
        _ => Possible::Anything,
    }
}

/// What is left of what a feature can be, under one more demand; nothing where it cannot be met.
fn narrowed<'a>(
    feature: Feature,
    before: Possible<'a>,
    comparison: Comparison,
    value: Possible<'a>,
) -> Option<Possible<'a>> {
    if compared(comparison, before, value) == Outlook::Never {
        return None;
    }
    let whole = feature.kind() == FeatureKind::Int;
    match (before, value, comparison) {
        (_, Possible::Text(_), Comparison::Equal) => Some(value),
        (Possible::Numbers(low, high), Possible::Numbers(least, most), _) if least == most => {
            // The next whole number where there are only whole ones.
            let (above, below) =
                if whole { (least.floor() + 1.0, least.ceil() - 1.0) } else { (least, least) };
            let (low, high) = match comparison {
                Comparison::Equal => (low.max(least), high.min(least)),
                Comparison::NotEqual => (low, high),
                Comparison::Less => (low, high.min(below)),
                Comparison::LessOrEqual => (low, high.min(least)),
                Comparison::Greater => (low.max(above), high),
                Comparison::GreaterOrEqual => (low.max(least), high),
            };
            (low <= high).then_some(Possible::Numbers(low, high))
        }
        _ => Some(before),
    }
}

fn compared(comparison: Comparison, left: Possible<'_>, right: Possible<'_>) -> Outlook {
    match (left, right) {
        (Possible::Numbers(low, high), Possible::Numbers(least, most)) => {
            numbers(comparison, (low, high), (least, most))
        }
        (Possible::Text(one), Possible::Text(other)) => match comparison {
            Comparison::Equal => Outlook::of(one == other),
            Comparison::NotEqual => Outlook::of(one != other),
            _ => Outlook::Open,
        },
        (Possible::OneOf(all), Possible::Text(text)) | (Possible::Text(text), Possible::OneOf(all))
            if !all.contains(&text) =>
        {
            match comparison {
                Comparison::Equal => Outlook::Never,
                Comparison::NotEqual => Outlook::Always,
                _ => Outlook::Open,
            }
        }
        _ => Outlook::Open,
    }
}

fn numbers(comparison: Comparison, (low, high): (f64, f64), (least, most): (f64, f64)) -> Outlook {
    match comparison {
        Comparison::Equal if low > most || high < least => Outlook::Never,
        Comparison::Equal if low == high && least == most => Outlook::of(low == least),
        Comparison::NotEqual => numbers(Comparison::Equal, (low, high), (least, most)).reversed(),
        Comparison::Less if high < least => Outlook::Always,
        Comparison::Less if low >= most => Outlook::Never,
        Comparison::LessOrEqual if high <= least => Outlook::Always,
        Comparison::LessOrEqual if low > most => Outlook::Never,
        Comparison::Greater => numbers(Comparison::Less, (least, most), (low, high)),
        Comparison::GreaterOrEqual => numbers(Comparison::LessOrEqual, (least, most), (low, high)),
        _ => Outlook::Open,
    }
}

impl Comparison {
    /// The same comparison with its sides exchanged.
    const fn turned(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::NotEqual => Self::NotEqual,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Condition;
    use super::*;

    #[test]
    fn rules_that_never_hold_are_seen_and_others_are_not_taken_for_them() {
        let never = [
            "false",
            "1 > 2",
            "request.input_tokens < 0",
            "0 > request.input_tokens",
            "request.tools > 5 && request.tools < 3",
            "request.tools > 2 && request.tools < 3",
            "request.has_images && request.tools == 1 && request.tools == 2",
            "time.weekday == 'monday'",
            "time.weekday in ['saturday', 'sunday']",
            "time.hour >= 24",
            "time.hour < 9 && time.hour > 17",
            "caller.team == 'red' && caller.team == 'blue'",
            "!(request.messages >= 0)",
            "false || request.input_tokens == -1",
            "true ? request.tools < 0 : request.stream",
            "size(request.model) < 0",
        ];
        let open = [
            "request.input_tokens > 0",
            "request.tools >= 3 && request.tools <= 3",
            "caller.budget_left < 0.0",
            "caller.budget_left > 1.0 && caller.budget_left < 1.5",
            "time.hour < 9 || time.hour > 17",
            "time.weekday in ['sat', 'sun']",
            "time.weekday != 'monday' && request.stream",
            "caller.team == 'red' || caller.team == 'blue'",
            "caller.team == 'red' && caller.user == 'blue'",
            "request.max_output_tokens >= 0",
            "request.tools != 1 && request.tools != 2",
            "request.model.startsWith('a') && request.model.startsWith('b')",
        ];
        let outlook = |rule: &str| Condition::compile(rule).unwrap().outlook();
        for rule in never {
            assert_eq!(outlook(rule), Outlook::Never, "{rule}");
        }
        for rule in open {
            assert_eq!(outlook(rule), Outlook::Open, "{rule}");
        }
        for rule in ["true", "2 > 1", "!false", "1 == 1.0", "'a' != 'b'"] {
            assert_eq!(outlook(rule), Outlook::Always, "{rule}");
        }
    }
}
