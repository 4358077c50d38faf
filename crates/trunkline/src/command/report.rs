//! `trunkline report`: what routing was worth.
//!
//! Owns reading log and prices: those of the configuration where there is one, else the bundled catalogue's. Must not sum.

use super::from_log;
use super::outcome::{self, Output};
use crate::configuration::{self, Origin};
use clap::Args;
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use trunkline_config::Snapshot;
use trunkline_lab::report::{Inputs, report};
use trunkline_model::catalogue::{Catalogue, ModelEntry, ServiceTier, TokenCounts, price};
use trunkline_model::record::RequestRecord;
use trunkline_model::usage::Usage;
use trunkline_providers::bundled;
use trunkline_store::Query;

/// Options of `report`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The request log.
    #[arg(long, value_name = "DB", default_value = "trunkline.db")]
    log: PathBuf,
    /// The configuration, for its prices and for deployments that the log does not show.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Weeks to look back, this one included.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=520))]
    weeks: u16,
    /// Only this route.
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// The deployment that everything is compared with; the dearest of each route when not said.
    #[arg(long, value_name = "DEPLOYMENT")]
    strong: Option<String>,
    /// Measured qualities beside feedback and judges: lines of `{"id": "...", "score": 0.8}`.
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// Most records read.
const MOST_RECORDS: usize = 2_000_000;

/// Reports.
///
/// # Errors
/// An unreadable log, a wrong configuration or scores.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let snapshot = match &options.config {
        Some(path) => Some(configuration::read(&Origin::Path(path.clone()))?.snapshot),
        None => None,
    };
    let since = Some(outcome::ago(&format!("{}d", u32::from(options.weeks) * 7))?);
    let query = Query { since, route: options.route.clone(), ..Query::default() };
    let records = outcome::records(&options.log, &query, MOST_RECORDS)?;
    let scores = from_log::scores(&options.log, &records, options.scores.as_deref())?;
    let prices = Prices::new(snapshot.as_ref(), &records);
    let found = report(
        &records,
        &Inputs {
            price: &|deployment, usage| prices.of(deployment, usage),
            deployments: &|route| deployments(snapshot.as_ref()?, route),
            strong: options.strong.as_deref(),
            scores: &scores,
        },
    );
    options.output.give(&found, &found.page())?;
    Ok(if records.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn deployments(snapshot: &Snapshot, route: &str) -> Option<Vec<String>> {
    let route = snapshot.routes.find(route)?;
    let name =
        |index: &trunkline_route::fleet::DeploymentIndex| snapshot.fleet.deployment(*index).id.to_string();
    Some(route.candidates().iter().map(name).collect())
}

/// Where prices come from.
struct Prices<'a> {
    snapshot: Option<&'a Snapshot>,
    catalogue: Catalogue,
    /// Provider and model of each deployment of the log.
    names: HashMap<String, (String, String)>,
}

impl<'a> Prices<'a> {
    fn new(snapshot: Option<&'a Snapshot>, records: &[RequestRecord]) -> Self {
        let named = |record: &RequestRecord| {
            let (provider, model) =
                (record.provider.as_ref()?.to_string(), record.model.as_ref()?.to_string());
            Some((record.deployment.as_ref()?.to_string(), (provider, model)))
        };
        let names = records.iter().filter_map(named).collect();
        Self { snapshot, catalogue: bundled::catalogue(bundled::providers()), names }
    }

    fn of(&self, deployment: &str, usage: &Usage) -> Option<f64> {
        let price = price(self.entry(deployment)?, ServiceTier::Standard, &TokenCounts::from(usage));
        price.amount.map(trunkline_model::money::NanoDollars::to_f64)
    }

    fn entry(&self, deployment: &str) -> Option<&ModelEntry> {
        if let Some(snapshot) = self.snapshot
            && let Some(index) = snapshot.fleet.find(deployment)
        {
            return snapshot.fleet.deployment(index).entry.as_deref();
        }
        let split = || deployment.split_once('/');
        let (provider, model) = match self.names.get(deployment) {
            Some((provider, model)) => (provider.as_str(), model.as_str()),
            None => split()?,
        };
        self.catalogue.model(provider, model)?.entry()
    }
}
