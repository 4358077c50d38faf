//! `trunkline simulate`: policies against virtual providers.
//!
//! Owns reading scenario, configuration and log, and the order of the runs. Must not simulate: that is the lab's.

use super::outcome::{self, Output};
use crate::configuration::{self, Origin};
use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use trunkline_config::Snapshot;
use trunkline_lab::page::{Page, words};
use trunkline_lab::simulate::{BUILT_IN, Comparison, Observed, Scenario, ScenarioFile, compare, observe};
use trunkline_route::policy::Route;
use trunkline_store::Query;

/// Options of `simulate`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A built-in scenario (speeds, slow-tail, outage, rate-limits) or a scenario file; all built-in ones when not said.
    #[arg(long, short, value_name = "NAME|FILE")]
    scenario: Option<String>,
    /// The routes and deployments of this configuration instead of a scenario's own.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The route of the configuration; may be left out when there is only one.
    #[arg(long, value_name = "NAME", requires = "config")]
    route: Option<String>,
    /// Times, faults and traffic as this request log shows them.
    #[arg(long, value_name = "DB", requires = "config")]
    log: Option<PathBuf>,
    /// Requests per second, instead of the scenario's or the log's.
    #[arg(long, value_name = "NUMBER")]
    rate: Option<f64>,
    /// Requests for each policy.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    requests: u64,
    /// The seed of everything random: the same seed, the same figures.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print a scenario and stop, to start one's own from.
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    output: Output,
}

/// Most records read from a log.
const MOST_RECORDS: usize = 200_000;

#[derive(Serialize)]
struct Findings {
    comparisons: Vec<Comparison>,
    /// Requests simulated in all.
    simulated: u64,
    /// How long that took.
    seconds: f64,
}

/// Simulates.
///
/// # Errors
/// A wrong scenario or configuration, an unreadable log.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if options.print {
        print!("{}", text(options.scenario.as_deref().unwrap_or(BUILT_IN[0].name))?.1);
        return Ok(ExitCode::SUCCESS);
    }
    let mut scenarios = match &options.config {
        Some(_) => vec![configured(options)?],
        None => virtual_only(options)?,
    };
    if let Some(rate) = options.rate {
        anyhow::ensure!(rate > 0.0 && rate <= 1e6, "--rate must be above 0 and at most 1000000");
        scenarios.iter_mut().for_each(|scenario| scenario.traffic.per_second = rate);
    }
    let runs: u64 = scenarios.iter().map(|scenario| scenario.variants.len() as u64).sum();
    let bar = outcome::progress(runs * options.requests, "simulating");
    let (started, mut done) = (Instant::now(), 0);
    let mut comparisons = Vec::new();
    for scenario in &scenarios {
        comparisons.push(compare(scenario, options.requests, options.seed, &mut |come| {
            bar.set_position(done + come)
        }));
        done += scenario.variants.len() as u64 * options.requests;
    }
    bar.finish_and_clear();
    let found = Findings { comparisons, simulated: done, seconds: started.elapsed().as_secs_f64() };
    options.output.give(&found, &page(&found))?;
    Ok(ExitCode::SUCCESS)
}

fn page(found: &Findings) -> Page {
    let mut page = Page::new("Simulation");
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate"
    )]
    let rate = (found.simulated as f64 / found.seconds.max(1e-9)) as u64;
    page.text(format!(
        "{} requests in {:.1} s: {} a second.",
        words::count(found.simulated),
        found.seconds,
        words::count(rate)
    ));
    found.comparisons.iter().for_each(|comparison| comparison.show(&mut page));
    page
}

fn virtual_only(options: &Options) -> anyhow::Result<Vec<Scenario>> {
    let names: Vec<&str> = match &options.scenario {
        Some(name) => vec![name],
        None => BUILT_IN.iter().map(|scenario| scenario.name).collect(),
    };
    names.into_iter().map(|name| Ok(Scenario::of_file(&read(name)?)?)).collect()
}

/// A route of a configuration.
fn configured(options: &Options) -> anyhow::Result<Scenario> {
    let loaded = configuration::read(&Origin::new(options.config.as_deref()))?;
    let route = route(&loaded.snapshot, &loaded.named_routes, options.route.as_deref())?;
    let file = match &options.scenario {
        Some(name) => read(name)?,
        None => {
            ScenarioFile::read("the default", &format!("name: {}\n", serde_json::to_string(&*route.name)?))?
        }
    };
    let observed = match &options.log {
        None => Observed::default(),
        Some(path) => {
            let query = Query { route: Some(route.name.to_string()), ..Query::default() };
            let records = outcome::records(path, &query, MOST_RECORDS)?;
            anyhow::ensure!(
                !records.is_empty(),
                "read the log {}: it holds no request of the route `{}`",
                path.display(),
                route.name
            );
            observe(&records)
        }
    };
    Ok(Scenario::of_route(&file, &loaded.snapshot.fleet, route, &observed)?)
}

fn route<'a>(snapshot: &'a Snapshot, named: &[String], wanted: Option<&str>) -> anyhow::Result<&'a Route> {
    let name = match (wanted, named) {
        (Some(name), _) => name,
        (None, [only]) => only,
        (None, []) => bail!("choose a route: the configuration names none"),
        (None, several) => bail!("choose a route with --route: there are {}", several.join(", ")),
    };
    let found = snapshot.routes.find(name);
    let known = || snapshot.routes.iter().map(|(name, _)| &**name).collect::<Vec<_>>().join(", ");
    found.map(AsRef::as_ref).with_context(|| format!("there is no route `{name}`; there are {}", known()))
}

fn read(name: &str) -> anyhow::Result<ScenarioFile> {
    let (path, text) = text(name)?;
    Ok(ScenarioFile::read(&path, &text)?)
}

/// A scenario's text, and what it is called in messages.
fn text(name: &str) -> anyhow::Result<(String, String)> {
    if let Some(built_in) = BUILT_IN.iter().find(|scenario| scenario.name == name) {
        return Ok((name.to_owned(), built_in.text.to_owned()));
    }
    let names = BUILT_IN.map(|scenario| scenario.name).join(", ");
    let text = std::fs::read_to_string(name)
        .with_context(|| format!("read the scenario {name} (it is none of the built-in ones: {names})"))?;
    Ok((name.to_owned(), text))
}
