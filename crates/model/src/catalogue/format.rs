//! The line format of the bundled catalogue: reading and writing.
//!
//! One model per line, fields between tabs: id, kind, then `key=value` in a fixed order. Chosen over JSON because a changed
//! price is one changed line in a diff, prices stand as the decimal dollars of the price page, and reading needs no tree: every
//! text of an entry borrows from the file, which is part of the program. It knows no provider and no source format.
//!
//! ```text
//! # comment
//! acme/road-1 → chat → window=200000 → output=64000 → price=input:3,output:15 → price>200000=input:6 → can=tools
//! ```
//!
//! (The arrows stand for tabs.) A price is in dollars per million; `price@batch` is that of a service tier, `price>200000` that
//! of prompts longer than so many tokens.

use std::fmt::Write as _;

use super::{
    Date, DateError, Disagreement, Kind, ModelEntry, Rates, ReasoningEffort, ServiceTier, Text, TokenClass,
    UnitKind, UnitPrice, UnknownName,
};
use crate::capability::{Capability, Support, UnknownCapability};
use crate::catalogue::entry::ModelIdError;
use crate::money::{MoneyError, PricePerMillion};

/// A line that is no catalogue entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read line {line} of the catalogue: {problem}")]
pub struct FormatError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    #[source]
    pub problem: LineProblem,
}

/// What is wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// The first field is no id.
    #[error(transparent)]
    Id(#[from] ModelIdError),
    /// A name that is none of a closed list.
    #[error(transparent)]
    Name(#[from] UnknownName),
    /// A capability nobody knows.
    #[error(transparent)]
    Capability(#[from] UnknownCapability),
    /// A price that is none.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// A date that is none.
    #[error(transparent)]
    Date(#[from] DateError),
    /// A field without a kind, a `=`, a `:` or a number where one must stand.
    #[error("malformed field `{field}`")]
    Field {
        /// The field as it stands.
        field: String,
    },
}

impl LineProblem {
    fn field(field: &str) -> Self {
        Self::Field { field: field.to_owned() }
    }
}

/// Reads entries, in the order of the lines. Empty lines and lines that start with `#` are skipped.
///
/// # Errors
/// [`FormatError`] for the first line that is no entry.
pub fn parse(text: &'static str) -> Result<Vec<ModelEntry>, FormatError> {
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        entries.push(parse_line(line).map_err(|problem| FormatError { line: index + 1, problem })?);
    }
    Ok(entries)
}

/// Writes one entry as a line without its end; [`parse`] reads it back as it was.
#[must_use]
pub fn render(entry: &ModelEntry) -> String {
    let mut line = format!("{}\t{}", entry.id(), entry.kind);
    let mut field = |key: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(line, "\t{key}={value}");
        }
    };
    let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    field("window", &number(entry.context_window));
    field("input", &number(entry.max_input_tokens));
    field("output", &number(entry.max_output_tokens));
    field("dimensions", &number(entry.embedding_dimensions.map(u64::from)));
    for service in ServiceTier::ALL {
        let Some(schedule) = entry.prices.service(*service) else { continue };
        let at = if *service == ServiceTier::Standard { String::new() } else { format!("@{service}") };
        field(&format!("price{at}"), &render_rates(&schedule.base));
        for (threshold, rates) in &schedule.above {
            field(&format!("price{at}>{threshold}"), &render_rates(rates));
        }
    }
    let units = entry.prices.units.iter().map(|stated| format!("{}:{}", stated.unit, stated.price.decimal()));
    field("unit", &joined(units));
    let having = |wanted: Support| {
        joined(
            entry
                .capabilities
                .known()
                .filter(|(_, support)| *support == wanted)
                .map(|(known, _)| known.to_string()),
        )
    };
    field("can", &having(Support::Yes));
    field("cannot", &having(Support::No));
    field("effort", &joined(entry.reasoning_efforts.iter().map(ToString::to_string)));
    field("released", &entry.released.map(|date| date.to_string()).unwrap_or_default());
    field("retires", &entry.retires.map(|date| date.to_string()).unwrap_or_default());
    field("alias", &joined(entry.aliases.iter().map(ToString::to_string)));
    let differs =
        entry.disagreements.iter().map(|side| format!("{}:{}/{}", side.fact, side.taken, side.other));
    field("differs", &joined(differs));
    field("source", entry.source.as_deref().unwrap_or_default());
    line
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(",")
}

fn render_rates(rates: &Rates) -> String {
    joined(rates.stated().map(|(class, price)| format!("{class}:{}", price.decimal())))
}

fn parse_line(line: &'static str) -> Result<ModelEntry, LineProblem> {
    let mut fields = line.split('\t');
    let id = fields.next().unwrap_or_default();
    let kind: Kind = fields.next().ok_or_else(|| LineProblem::field(line))?.parse()?;
    let mut entry = ModelEntry::new(id, kind)?;
    for field in fields {
        let stated = field.split_once('=').filter(|(_, value)| !value.is_empty());
        let (key, value) = stated.ok_or_else(|| LineProblem::field(field))?;
        parse_field(&mut entry, key, value)?;
    }
    Ok(entry)
}

fn parse_field(entry: &mut ModelEntry, key: &'static str, value: &'static str) -> Result<(), LineProblem> {
    match key {
        "window" => entry.context_window = Some(parse_number(value)?),
        "input" => entry.max_input_tokens = Some(parse_number(value)?),
        "output" => entry.max_output_tokens = Some(parse_number(value)?),
        "dimensions" => entry.embedding_dimensions = Some(parse_number(value)?),
        "unit" => {
            for (unit, price) in pairs(value) {
                let (unit, price) = (unit.parse::<UnitKind>()?, PricePerMillion::from_decimal_str(price?)?);
                entry.prices.units.push(UnitPrice { unit, price });
            }
        }
        "can" => parse_capabilities(entry, value, Support::Yes)?,
        "cannot" => parse_capabilities(entry, value, Support::No)?,
        "effort" => {
            entry.reasoning_efforts =
                value.split(',').map(str::parse::<ReasoningEffort>).collect::<Result<_, _>>()?;
        }
        "released" => entry.released = Some(value.parse::<Date>()?),
        "retires" => entry.retires = Some(value.parse::<Date>()?),
        "alias" => entry.aliases = value.split(',').map(Text::Borrowed).collect(),
        "differs" => {
            for (fact, sides) in pairs(value) {
                let sides = sides?;
                let (taken, other) = sides.split_once('/').ok_or_else(|| LineProblem::field(sides))?;
                let (fact, taken, other) = (fact.into(), taken.into(), other.into());
                entry.disagreements.push(Disagreement { fact, taken, other });
            }
        }
        "source" => entry.source = Some(value.into()),
        _ => return parse_price(entry, key, value),
    }
    Ok(())
}

/// Reads `price`, `price@batch`, `price>200000` or `price@batch>200000`.
fn parse_price(entry: &mut ModelEntry, key: &str, value: &'static str) -> Result<(), LineProblem> {
    let place = key.strip_prefix("price").ok_or_else(|| LineProblem::field(key))?;
    let (service, threshold) = match place.split_once('>') {
        Some((service, threshold)) => (service, Some(parse_number::<u64>(threshold)?)),
        None => (place, None),
    };
    let service = match service {
        "" => ServiceTier::Standard,
        named => named.strip_prefix('@').ok_or_else(|| LineProblem::field(key))?.parse()?,
    };
    let mut rates = Rates::default();
    for (class, price) in pairs(value) {
        rates.set(class.parse::<TokenClass>()?, Some(PricePerMillion::from_decimal_str(price?)?));
    }
    let schedule = entry.prices.service_mut(service);
    match threshold {
        None => schedule.base = rates,
        Some(threshold) => schedule.above.push((threshold, rates)),
    }
    Ok(())
}

fn parse_capabilities(entry: &mut ModelEntry, names: &str, support: Support) -> Result<(), LineProblem> {
    for name in names.split(',') {
        entry.capabilities = entry.capabilities.with(name.parse::<Capability>()?, support);
    }
    Ok(())
}

fn parse_number<N: std::str::FromStr>(text: &str) -> Result<N, LineProblem> {
    text.parse().map_err(|_| LineProblem::field(text))
}

/// The `name:value` pairs of a list; a pair without a `:` carries its problem instead of the value.
fn pairs(list: &'static str) -> impl Iterator<Item = (&'static str, Result<&'static str, LineProblem>)> {
    list.split(',').map(|pair| match pair.split_once(':') {
        Some((name, value)) => (name, Ok(value)),
        None => (pair, Err(LineProblem::field(pair))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "\
# made up
acme/road-1	chat	window=200000	input=150000	output=64000	price=input:3,cache_read:0.3,output:15	price>200000=input:6,output:22.5	price@batch=input:1.5,output:7.5	price@priority>200000=input:12	unit=image_out:40000	can=tools,image_input	cannot=logprobs	effort=none,low,xhigh	released=2026-01-02	retires=2027-01-02	alias=road,road-one	differs=input:3/2.5,window:200000/1000000	source=https://acme.example/prices?a=b

acme/vector	embedding	dimensions=1536	price=input:0.02
";

    #[test]
    fn what_is_written_is_what_was_read() {
        let entries = parse(SAMPLE).expect("a catalogue");
        let lines: Vec<&str> = SAMPLE.lines().filter(|line| line.starts_with("acme")).collect();
        assert_eq!(entries.iter().map(render).collect::<Vec<_>>(), lines);
        let road = &entries[0];
        assert_eq!(road.model(), "road-1");
        assert_eq!(road.support(Capability::Logprobs), Support::No);
        assert_eq!(road.prices.at(200_001).of(TokenClass::CacheRead), Some(PricePerMillion(300_000_000)));
        assert_eq!(road.prices.at(200_001).of(TokenClass::Input), Some(PricePerMillion(6_000_000_000)));
        assert_eq!(road.accepts_effort(ReasoningEffort::High), Support::No);
        assert_eq!(road.prompt_limit(), Some(150_000));
        assert_eq!(road.disagreements.len(), 2);
    }

    #[test]
    fn a_wrong_line_is_named_with_its_problem() {
        let wrong = [
            "no-provider\tchat",
            "a/b",
            "a/b\tchatty",
            "a/b\tchat\twindow",
            "a/b\tchat\twindow=many",
            "a/b\tchat\tcan=fly",
            "a/b\tchat\tprice=input",
            "a/b\tchat\tprice=input:x",
            "a/b\tchat\tprice@slow=input:1",
            "a/b\tchat\tprice>x=input:1",
            "a/b\tchat\tpricing=1",
            "a/b\tchat\treleased=soon",
            "a/b\tchat\tdiffers=input:3",
            "a/b\tchat\tsource=",
        ];
        let told: Vec<String> =
            wrong.iter().map(|line| parse(line).expect_err("a wrong line").to_string()).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        read line 1 of the catalogue: read a model id from `no-provider`: expected provider/model
        read line 1 of the catalogue: malformed field `a/b`
        read line 1 of the catalogue: read a model kind: there is no `chatty`
        read line 1 of the catalogue: malformed field `window`
        read line 1 of the catalogue: malformed field `many`
        read line 1 of the catalogue: read a capability: no capability is called `fly`
        read line 1 of the catalogue: malformed field `input`
        read line 1 of the catalogue: read an amount of dollars from `x`: expected a decimal number such as 0.25
        read line 1 of the catalogue: read a service tier: there is no `slow`
        read line 1 of the catalogue: malformed field `x`
        read line 1 of the catalogue: malformed field `pricing`
        read line 1 of the catalogue: read a date from `soon`: expected a day such as 2026-11-21
        read line 1 of the catalogue: malformed field `3`
        read line 1 of the catalogue: malformed field `source=`
        "#);
    }
}
