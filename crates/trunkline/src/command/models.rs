//! `trunkline models`: the catalogue, searched.

use clap::Args;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use std::process::ExitCode;
use trunkline_model::capability::{Capability, Support};
use trunkline_model::catalogue::{ModelEntry, TokenClass};
use trunkline_providers::bundled;

/// Options of `models`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Part of a model's id.
    filter: Option<String>,
    /// Only this provider's.
    #[arg(long)]
    provider: Option<String>,
    /// Only models known to be able to do this, for example `tools`; may be repeated.
    #[arg(long = "can", value_name = "CAPABILITY")]
    capabilities: Vec<String>,
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
    let found: Vec<&ModelEntry> = catalogue
        .iter()
        .filter(|entry| options.filter.as_deref().is_none_or(|filter| entry.id().contains(filter)))
        .filter(|entry| needed.iter().all(|capability| entry.support(*capability) == Support::Yes))
        .collect();
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
