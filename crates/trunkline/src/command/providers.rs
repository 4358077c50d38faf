//! `trunkline providers`: who is known, who is configured.

use crate::configuration;
use clap::Args;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use std::process::ExitCode;
use trunkline_providers::preset;

/// Options of `providers`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only those whose key is in the environment.
    #[arg(long)]
    configured: bool,
    /// Part of an id or name.
    filter: Option<String>,
}

/// Lists providers.
///
/// # Errors
/// None.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let is_set = |name: &str| configuration::environment(name).is_some_and(|value| !value.trim().is_empty());
    let detected = preset::detect(is_set);
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header([
        "provider",
        "dialect",
        "key variable",
        "found",
        "base URL",
    ]);
    let mut count = 0;
    for id in preset::ids() {
        let found = detected.iter().find(|detected| detected.id == id);
        let Some(preset) = preset::find(id) else { continue };
        let wanted = options.filter.as_deref().is_none_or(|filter| {
            id.contains(filter) || preset.name.to_lowercase().contains(&filter.to_lowercase())
        });
        if !wanted || (options.configured && found.is_none()) {
            continue;
        }
        count += 1;
        let variable = preset.key.env.first().map_or("", String::as_str);
        let state = match found {
            Some(_) => "yes",
            None if preset.key.required => "",
            None => "no key needed",
        };
        let url = preset.base_url.as_deref().unwrap_or("(state `url`)");
        table.add_row([id, preset.dialect.name(), variable, state, url]);
    }
    println!(
        "{table}\n{count} providers; models: {}",
        trunkline_providers::bundled::VERSION.lines().next().unwrap_or_default()
    );
    Ok(ExitCode::SUCCESS)
}
