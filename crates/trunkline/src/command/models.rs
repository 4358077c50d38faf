//! `trunkline models`: the catalogue, searched.

use clap::Args;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use std::process::ExitCode;
use trunkline_model::capability::{Capability, Support};
use trunkline_model::catalogue::{ModelEntry, TokenClass, render};
use trunkline_providers::bundled;

/// Options of `models`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Parts of a model's id, in any order and case.
    filter: Option<String>,
    /// Only this provider's.
    #[arg(long)]
    provider: Option<String>,
    /// Only models known to be able to do this, for example `tools`; may be repeated.
    #[arg(long = "can", value_name = "CAPABILITY")]
    capabilities: Vec<String>,
    /// Only models about which the sources of the catalogue disagree.
    #[arg(long)]
    disputed: bool,
    /// Everything that is known of each: prices by tier, capabilities, dates, the page it was taken from, and what else a source says.
    #[arg(long)]
    whole: bool,
    /// Rows at the most.
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

/// Searches the catalogue.
///
/// # Errors
/// An unknown capability.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let mut needed = Vec::new();
    for name in &options.capabilities {
        let capability = Capability::ALL.iter().find(|capability| capability.as_str() == name);
        let names =
            || Capability::ALL.iter().map(|capability| capability.as_str()).collect::<Vec<_>>().join(", ");
        needed.push(
            *capability
                .ok_or_else(|| anyhow::anyhow!("there is no capability `{name}`; there are {}", names()))?,
        );
    }
    let providers: Vec<&str> = match &options.provider {
        Some(provider) => vec![provider],
        None => bundled::providers().collect(),
    };
    let catalogue = bundled::catalogue(providers);
    let sought = options.filter.as_deref().unwrap_or_default().to_lowercase();
    let is_sought = |entry: &&ModelEntry| {
        let id = entry.id().to_lowercase();
        sought.split_whitespace().all(|part| id.contains(part))
    };
    let found: Vec<&ModelEntry> = catalogue
        .iter()
        .filter(is_sought)
        .filter(|entry| needed.iter().all(|capability| entry.support(*capability) == Support::Yes))
        .filter(|entry| !options.disputed || !entry.disagreements.is_empty())
        .collect();
    if options.whole {
        for entry in found.iter().take(options.limit) {
            println!("{}", whole(entry));
        }
        println!("{} of {} found", found.len().min(options.limit), found.len());
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header([
        "model",
        "context",
        "output",
        "$/M input",
        "$/M output",
        "$/M cache read",
        "retires",
    ]);
    for entry in found.iter().take(options.limit) {
        let price = |class| {
            entry.prices.at(0).of(class).map_or_else(|| "?".to_owned(), |price| price.decimal().to_string())
        };
        let number = |value: Option<u64>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
        table.add_row([
            entry.id().to_owned(),
            number(entry.context_window),
            number(entry.max_output_tokens),
            price(TokenClass::Input),
            price(TokenClass::Output),
            price(TokenClass::CacheRead),
            entry.retires.map_or_else(String::new, |date| date.to_string()),
        ]);
    }
    println!("{table}\n{} of {} found", found.len().min(options.limit), found.len());
    Ok(ExitCode::SUCCESS)
}

/// An entry as the catalogue holds it, a line for each fact.
fn whole(entry: &ModelEntry) -> String {
    let line = render(entry);
    let mut facts = line.split('\t').filter(|fact| !fact.starts_with("differs="));
    let mut text = facts.next().unwrap_or_default().to_owned();
    for fact in facts {
        let (name, value) = fact.split_once('=').unwrap_or(("kind", fact));
        text.push_str(&format!("\n  {name:<16} {}", value.replace(',', ", ")));
    }
    for side in &entry.disagreements {
        let fact = format!("{}?", side.fact);
        text.push_str(&format!("\n  {fact:<16} {} here, {} says another source", side.taken, side.other));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::catalogue::parse;

    #[test]
    fn a_whole_entry_shows_both_sides_of_a_disagreement() {
        let line = "made-up/model\tchat\twindow=1000\tprice=input:1,output:2\tcan=tools,reasoning\tretires=2027-01-31\tdiffers=window:1000/2000\tsource=https://example.com";
        let entries = parse(line).expect("an entry");
        let lines = [
            "made-up/model",
            "  kind             chat",
            "  window           1000",
            "  price            input:1, output:2",
            "  can              tools, reasoning",
            "  retires          2027-01-31",
            "  source           https://example.com",
            "  window?          1000 here, 2000 says another source",
        ];
        assert_eq!(whole(&entries[0]).lines().collect::<Vec<_>>(), lines);
    }
}
