//! `trunkline drill`: every fault of the catalogue against a configuration, and what its clients would see.
//!
//! Owns the order of the drill: stage, cells, report. Must not send anything beyond this machine: providers are simulators,
//! credentials are made up, names resolve to loopback or not at all. Cells share nothing, so they run side by side.

mod cell;
mod client;
mod endpoint;
mod judge;
mod report;
mod sample;
mod stage;
mod strike;

use crate::configuration::Origin;
use anyhow::Context;
use cell::{Cell, Sheet};
use clap::Args;
use endpoint::Endpoint;
use report::Summary;
use serde::Serialize;
use stage::Stage;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use trunkline_config::Source;
use trunkline_sim::Fault;
use trunkline_store::{Recorder, Settings, StoreKind};

/// Options of `drill`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A configuration file, or a folder of them; without one, a sample with three providers.
    #[arg(long, short, value_name = "FILE", env = "TRUNKLINE_CONFIG")]
    config: Option<PathBuf>,
    /// Only this fault, for example `stall` or `cut-at-byte=500`; may be repeated.
    #[arg(long = "fault", value_name = "NAME")]
    faults: Vec<Fault>,
    /// Only this route.
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// The longest a single hang may take; the timeouts of routes are shortened to fit.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = trunkline_config::duration)]
    patience: Duration,
    /// Requests at the same time; four for each processor when not said.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Print the sample configuration and stop.
    #[arg(long)]
    print_sample: bool,
}

/// What a drill found.
#[derive(Serialize)]
struct Findings {
    summary: Summary,
    cells: Vec<Cell>,
    /// Kinds of request that no deployment may serve.
    unservable: Vec<String>,
}

/// How often a cell is played again because the machine was too busy.
const REPEATS: u32 = 3;
/// Requests at the same time, per processor.
const JOBS_PER_PROCESSOR: usize = 4;
/// The shortest patience: below it the machine's own slowness would look like a fault.
const LEAST_PATIENCE: Duration = Duration::from_millis(500);

/// Drills.
///
/// # Errors
/// A wrong configuration, or a machine that has no port left.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if options.print_sample {
        print!("{}", sample::CONFIGURATION);
        return Ok(ExitCode::SUCCESS);
    }
    anyhow::ensure!(
        options.patience >= LEAST_PATIENCE,
        "--patience must be at least {} ms",
        LEAST_PATIENCE.as_millis()
    );
    let sources = match &options.config {
        Some(path) => Origin::Path(path.clone()).sources()?,
        None => vec![Source {
            path: "the sample configuration".to_owned(),
            text: sample::CONFIGURATION.to_owned(),
        }],
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let findings = runtime.block_on(drill(options, &sources))?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        conclude(&findings);
    }
    let failed = findings.summary.not_survived > 0 || !findings.unservable.is_empty();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn drill(options: &Options, sources: &[Source]) -> anyhow::Result<Findings> {
    let stage = Arc::new(Stage::set(sources, options.patience, options.route.as_deref()).await?);
    let mut sheets = Vec::new();
    let mut unservable = Vec::new();
    for route in &stage.routes {
        for endpoint in Endpoint::ALL {
            let serves =
                |index| stage.snapshot.fleet.deployment(index).operations.contains(&endpoint.operation());
            if !route.candidates().iter().any(|index| serves(*index)) {
                continue;
            }
            for delivery in endpoint.deliveries() {
                match Sheet::new(&stage, route, endpoint, *delivery) {
                    Ok(sheet) => sheets.push(Arc::new(sheet)),
                    Err(error) => unservable.push(format!("{} {}: {error}", route.name, endpoint.path())),
                }
            }
        }
    }
    let faults = if options.faults.is_empty() { Fault::ALL.to_vec() } else { options.faults.clone() };
    if !options.json {
        let shown = |sheet: &Arc<Sheet>| faults.iter().filter(|fault| sheet.endpoint.shows(**fault)).count();
        introduce(&stage, options.patience, sheets.iter().map(shown).sum());
    }
    let settings = Settings { memory_records: 100_000, ..Settings::new(StoreKind::Memory) };
    let recorder = Recorder::open(settings)?;
    let cells = play(&stage, &sheets, &faults, &recorder, options).await?;
    if !options.json {
        for sheet in &sheets {
            show(&stage, sheet, &cells);
        }
    }
    Ok(Findings { summary: Summary::of(&cells), cells, unservable })
}

/// Plays all cells, a bounded number at a time, and returns them in order.
async fn play(
    stage: &Arc<Stage>,
    sheets: &[Arc<Sheet>],
    faults: &[Fault],
    recorder: &Recorder,
    options: &Options,
) -> anyhow::Result<Vec<Cell>> {
    let usual = || std::thread::available_parallelism().map_or(1, usize::from) * JOBS_PER_PROCESSOR;
    let places = Arc::new(Semaphore::new(options.jobs.map_or_else(usual, usize::from)));
    let mut playing = JoinSet::new();
    let mut all = Vec::new();
    for sheet in sheets {
        for fault in faults.iter().filter(|fault| sheet.endpoint.shows(**fault)) {
            all.push((Arc::clone(sheet), *fault));
        }
    }
    let total = all.len();
    for (position, (sheet, fault)) in all.iter().cloned().enumerate() {
        let (stage, recorder, places) = (Arc::clone(stage), recorder.clone(), Arc::clone(&places));
        playing.spawn(async move {
            let _place = places.acquire_owned().await;
            (position, Box::pin(sheet.play(&stage, &recorder, fault)).await)
        });
    }
    let progress = Progress::new(total, options.json);
    let mut cells: Vec<(usize, Cell)> = Vec::with_capacity(total);
    while let Some(played) = playing.join_next().await {
        let (position, cell) = played.context("play a cell")?;
        cells.push((position, cell?));
        progress.show(cells.len());
    }
    progress.clear();
    cells.sort_by_key(|(position, _)| *position);
    // Where this machine was too busy to play a fault it is played again, alone.
    for (position, cell) in &mut cells {
        for _ in 0..REPEATS {
            if !cell.doubtful {
                break;
            }
            let (sheet, fault) = &all[*position];
            *cell = Box::pin(sheet.play(stage, recorder, *fault)).await?;
        }
    }
    Ok(cells.into_iter().map(|(_, cell)| cell).collect())
}

/// A line on the terminal that says how far the drill is.
struct Progress {
    total: usize,
    shown: bool,
    start: Instant,
}

impl Progress {
    fn new(total: usize, quiet: bool) -> Self {
        Self { total, shown: !quiet && std::io::stderr().is_terminal(), start: Instant::now() }
    }

    fn show(&self, done: usize) {
        if self.shown {
            eprint!("\r{done} of {} cells, {} s", self.total, self.start.elapsed().as_secs());
        }
    }

    fn clear(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}

fn introduce(stage: &Stage, patience: Duration, cells: usize) {
    println!("Providers are simulators on this machine: nothing leaves it, no key is used.");
    println!("Timeouts are shortened so that no hang takes longer than {patience:?}:");
    for (route, before) in stage.routes.iter().zip(&stage.timeouts) {
        let after = route.timeouts;
        println!(
            "  {}: first token {:?} -> {:?}, whole answer {:?} -> {:?}, between tokens {:?} -> {:?}, total {:?} -> {:?}",
            route.name,
            before.first_token,
            after.first_token,
            before.whole_answer,
            after.whole_answer,
            before.between_tokens,
            after.between_tokens,
            before.total,
            after.total,
        );
    }
    println!("{cells} cells: each is one request to a gateway of its own while one fault is played.");
}

fn show(stage: &Stage, sheet: &Sheet, cells: &[Cell]) {
    let own = |cell: &&Cell| {
        cell.route == *sheet.route.name && cell.endpoint == sheet.endpoint && cell.delivery == sheet.delivery
    };
    let cells: Vec<&Cell> = cells.iter().filter(own).collect();
    println!(
        "\nroute {}, {}, {}; asked first: {}",
        sheet.route.name,
        sheet.endpoint.path(),
        report::delivery(sheet.delivery),
        sheet.first(stage),
    );
    println!("{}", report::table(&cells));
}

fn conclude(findings: &Findings) {
    let Summary { cells, survived, visible, not_survived } = findings.summary;
    println!(
        "\n{cells} cells: {survived} survived, {visible} visible as errors, {not_survived} NOT SURVIVED"
    );
    for unservable in &findings.unservable {
        println!("NOT SERVED: {unservable}");
    }
}
