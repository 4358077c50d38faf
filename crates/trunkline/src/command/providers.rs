//! `trunkline providers`: who is known, who is configured, what they serve.

use crate::configuration::{self, Origin};
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets::UTF8_HORIZONTAL_ONLY};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use trunkline_providers::preset::{self, Endpoint};

/// Options of `providers`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only those whose key is in the environment, or that the configuration names.
    #[arg(long)]
    configured: bool,
    /// The configuration whose providers are looked for, a file or a folder.
    #[arg(long, short, value_name = "FILE", env = "TRUNKLINE_CONFIG")]
    config: Option<PathBuf>,
    /// Only those that serve this endpoint, for example `rerank`.
    #[arg(long, value_name = "NAME", value_parser = endpoint)]
    endpoint: Option<Endpoint>,
    /// Part of an id or name.
    filter: Option<String>,
}

fn endpoint(name: &str) -> Result<Endpoint, String> {
    let found = Endpoint::ALL.iter().find(|endpoint| endpoint.name() == name);
    let all = || Endpoint::ALL.map(Endpoint::name).join(", ");
    found.copied().ok_or_else(|| format!("there is no endpoint `{name}`; there are {}", all()))
}

/// The names under which a configuration has providers, by preset.
fn named(path: Option<&PathBuf>) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let Some(path) = path else { return Ok(names) };
    let loaded = configuration::load(Origin::Path(path.clone()).sources()?)?;
    for provider in &loaded.snapshot.providers {
        names.entry(provider.preset.clone()).or_default().push(provider.name.to_string());
    }
    Ok(names)
}

/// Lists providers.
///
/// # Errors
/// A wrong configuration.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let is_set = |name: &str| configuration::environment(name).is_some_and(|value| !value.trim().is_empty());
    let detected = preset::detect(is_set);
    let named = named(options.config.as_ref())?;
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic).set_header([
        "provider",
        "dialect",
        "key variable",
        "found",
        "base URL",
        "endpoints",
    ]);
    let mut count = 0;
    for id in preset::ids() {
        let found = detected.iter().find(|detected| detected.id == id);
        let Some(preset) = preset::find(id) else { continue };
        let wanted = options.filter.as_deref().is_none_or(|filter| {
            id.contains(filter) || preset.name.to_lowercase().contains(&filter.to_lowercase())
        });
        let serves = options.endpoint.is_none_or(|endpoint| preset.serves(endpoint));
        let configured_as = named.get(id);
        if !wanted || !serves || (options.configured && found.is_none() && configured_as.is_none()) {
            continue;
        }
        count += 1;
        let variable = preset.key.env.first().map_or("", String::as_str);
        let state = match (configured_as, found) {
            (Some(names), _) => format!("as {}", names.join(", ")),
            (None, Some(_)) => "yes".to_owned(),
            (None, None) if preset.key.required => String::new(),
            (None, None) => "no key needed".to_owned(),
        };
        let url = preset.base_url.as_deref().unwrap_or("(state `url`)");
        let endpoints: Vec<&str> = preset.served().map(Endpoint::name).collect();
        table.add_row([
            id,
            preset.dialect.name(),
            variable,
            state.as_str(),
            url,
            endpoints.join(", ").as_str(),
        ]);
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
