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
    println!("{table}\n{}", footer(count, trunkline_providers::bundled::VERSION));
    Ok(ExitCode::SUCCESS)
}

/// How many providers are listed, and what the bundled catalogue knows of their models and from where.
fn footer(count: usize, catalogue: &str) -> String {
    let fact = |name: &str| {
        let line = catalogue.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or("unknown", str::trim)
    };
    // A commit is told by its first digits.
    let source = |name: &str| {
        let version = fact(name);
        let commit = version.len() == 40 && version.bytes().all(|byte| byte.is_ascii_hexdigit());
        if commit { version[..8].to_owned() } else { version.to_owned() }
    };
    let noun = if count == 1 { "provider" } else { "providers" };
    format!(
        "{count} {noun}; the bundled catalogue knows {} models (litellm {}, models.dev {})",
        fact("models"),
        source("litellm"),
        source("models.dev")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_footer_says_what_the_catalogue_holds() {
        let version = "format 1\nlitellm 1.106.2\nmodels.dev f3fc692299671838c7c65fd8126bf84d81a2e817\nmodels 3659\nsha256 1f\n";
        insta::assert_snapshot!(footer(21, version), @"21 providers; the bundled catalogue knows 3659 models (litellm 1.106.2, models.dev f3fc6922)");
        insta::assert_snapshot!(footer(1, ""), @"1 provider; the bundled catalogue knows unknown models (litellm unknown, models.dev unknown)");
        assert!(!footer(1, trunkline_providers::bundled::VERSION).contains("unknown"));
    }
}
