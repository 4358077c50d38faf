//! `cargo xtask bench`: the gateway beside a plain reverse proxy, in one run, everything switched on.
//!
//! Owns the order of the run and the file it leaves behind. Each piece that uses processor time (upstream, proxies,
//! load generator) is a process of its own, so that it can be pinned and its time read from the operating system; all
//! of them are this same program, so that one build makes them. Figures are told as ratios to the hyper pass-through
//! of the same run, because an absolute one says more about the machine than about the gateway.

mod affinity;
mod answer;
mod codecs;
mod cold;
mod cpu;
mod ending;
mod figures;
mod floor;
mod histogram;
mod hold;
mod load;
mod measure;
mod memory;
mod mock;
mod pairs;
mod probe;
mod protocols;
mod record;
mod scenario;
mod subject;
mod table;
mod traffic;
mod upstreams;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};

use self::affinity::Cores;
use self::figures::Found;
use self::measure::Effort;
use self::scenario::Group;
use self::subject::{Server, Setup, Subject};
use crate::{dist, workspace};

/// Options of `cargo xtask bench`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// A smoke run of about a minute: short turns, few rounds; its figures are rough.
    #[arg(long)]
    quick: bool,
    /// Measure only this server beside `direct` and `floor`, which always take part; may be given several times.
    #[arg(long, value_name = "SERVER")]
    only: Vec<Subject>,
    /// Measure only this part of the table; may be given several times.
    #[arg(long, value_name = "PART")]
    rows: Vec<Group>,
    /// Seconds of one turn of one server in one scenario.
    #[arg(long)]
    seconds: Option<f64>,
    /// Turns of each server in each scenario; the median counts.
    #[arg(long)]
    rounds: Option<usize>,
    /// Measure an ordinary build with this Cargo profile instead of the binary that ships.
    #[arg(long)]
    profile: Option<String>,
    /// Measure this binary of the gateway instead of building one.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["shipped", "profile"])]
    gateway: Option<PathBuf>,
    /// Measure the binary that ships, as `cargo xtask dist` makes it, or fail. Without this it is measured where it can be made,
    /// and an ordinary build where not, and with `--quick`.
    #[arg(long, conflicts_with = "profile")]
    shipped: bool,
}

/// One process of the benchmark.
#[derive(Debug, Subcommand)]
pub(crate) enum Part {
    /// Runs the whole of it, from the optimised build.
    Conduct(Options),
    /// The upstream.
    Mock,
    /// The hyper pass-through.
    Floor {
        #[arg(long)]
        upstream: SocketAddr,
        #[arg(long)]
        reading: floor::Reading,
        #[arg(long)]
        polling: bool,
    },
    /// The load generator; its plan comes on standard input.
    Load,
    /// Opens streams and holds them.
    Hold {
        #[arg(long)]
        address: SocketAddr,
        #[arg(long, default_value = "")]
        key: String,
        #[arg(long)]
        model: String,
        #[arg(long)]
        count: usize,
    },
}

/// Builds what is measured and hands over to the optimised build of this program.
///
/// # Errors
/// When the build fails or the optimised program cannot be started.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if options.rows.contains(&Group::Codecs) {
        ensure!(options.rows.len() == 1, "`--rows codecs` is counted without servers: ask for it alone");
        return codecs::run();
    }
    let builds = options.measures(Subject::Gateway) && options.gateway.is_none();
    let shipped = if builds { options.shipped()? } else { None };
    let profile = options.profile();
    let mut build = workspace::cargo();
    build.args(["build", "--locked", "--profile", profile, "--package", "xtask"]);
    if builds && shipped.is_none() {
        build.args(["--package", "trunkline"]);
    }
    println!("building with profile {profile}");
    let status = build.status().context("failed to start cargo build")?;
    ensure!(status.success(), "failed to build what is to be measured");
    let program = built(profile)?.join("xtask");
    let arguments = std::env::args_os().skip_while(|argument| argument != "bench").skip(1);
    let mut conduct = std::process::Command::new(program);
    conduct.args(["bench-part", "conduct"]);
    match &shipped {
        Some(binary) => {
            conduct.args(arguments.filter(|argument| argument != "--shipped")).arg("--gateway").arg(binary)
        }
        None => conduct.args(arguments),
    };
    conduct.env("CARGO", workspace::cargo().get_program());
    let status = conduct.status().context("failed to start the optimised build")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one process of the benchmark.
///
/// # Errors
/// When the part fails.
pub(crate) fn run_part(part: Part) -> anyhow::Result<ExitCode> {
    match part {
        Part::Conduct(options) => return conduct(&options),
        Part::Mock => mock::run()?,
        Part::Floor { upstream, reading, polling } => floor::run(upstream, reading, polling)?,
        Part::Load => load::run()?,
        Part::Hold { address, key, model, count } => hold::run(address, &key, &model, count)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Options {
    /// The Cargo profile of ordinary builds: of this program, of the floor in it, and of the gateway where no other is measured.
    fn profile(&self) -> &str {
        self.profile.as_deref().unwrap_or("release")
    }

    /// Makes the binary that ships, if that is what is to be measured.
    fn shipped(&self) -> anyhow::Result<Option<PathBuf>> {
        if self.shipped {
            return dist::make().map(Some);
        }
        if self.quick || self.profile.is_some() {
            return Ok(None);
        }
        match dist::can_be_made() {
            Ok(()) => dist::make().map(Some),
            Err(why) => {
                println!(
                    "measuring an ordinary build, which takes more time for a request than the one that ships: {why:#}"
                );
                Ok(None)
            }
        }
    }

    fn measures(&self, subject: Subject) -> bool {
        let always = matches!(subject, Subject::Direct | Subject::Floor);
        always || self.only.is_empty() || self.only.contains(&subject)
    }

    fn includes(&self, group: Group) -> bool {
        (self.rows.is_empty() && !matches!(group, Group::Pairs | Group::Codecs)) || self.rows.contains(&group)
    }

    fn effort(&self) -> Effort {
        let (rounds, seconds) = if self.quick { (1, 0.4) } else { (5, 3.0) };
        Effort {
            rounds: self.rounds.unwrap_or(rounds).max(1),
            duration: Duration::from_secs_f64(self.seconds.unwrap_or(seconds).clamp(0.05, 600.0)),
        }
    }

    fn starts(&self) -> usize {
        if self.quick { 3 } else { 11 }
    }

    /// The servers that take part, in the table's order.
    fn subjects(&self) -> Vec<Subject> {
        let all = [Subject::Direct, Subject::Floor, Subject::FloorReading, Subject::Nginx, Subject::Gateway];
        all.into_iter()
            .filter(|subject| self.measures(*subject) && (*subject != Subject::Nginx || subject::has_nginx()))
            .collect()
    }
}

fn conduct(options: &Options) -> anyhow::Result<ExitCode> {
    let folder = workspace::target_directory()?.join("bench");
    std::fs::create_dir_all(&folder).context("failed to create target/bench")?;
    let run_folder =
        tempfile::Builder::new().prefix("run-").tempdir_in(&folder).context("failed to make a folder")?;
    let available = affinity::available();
    let cores = Cores::assign(&available);
    let setup = Setup {
        cores,
        home: cores.map_or_else(|| available.clone(), |cores| vec![cores.upstream, cores.load]),
        folder: run_folder.path().to_path_buf(),
        polling: false,
        gateway: match &options.gateway {
            Some(file) => std::path::absolute(file).context("failed to find the gateway's binary")?,
            None => built(options.profile())?.join("trunkline"),
        },
    };
    if let Some(cores) = cores {
        affinity::pin(&setup.home)?;
        println!(
            "core {}: server under test; core {}: upstream; core {}: load",
            cores.tested, cores.upstream, cores.load
        );
    } else {
        println!("one core only: nothing is pinned apart, and the figures are rough");
    }
    let machine = record::machine(available.len());
    println!("{} open files at most; {}", affinity::raise_open_files(), machine.summary());
    let subjects = options.subjects();
    let found = find(&setup, options, &subjects)?;
    let rows = figures::rows(&found);
    println!("\n{}", table::render(&rows, &subjects));
    println!("{}", table::conclusion(&rows));
    let threads: Vec<_> =
        figures::threads(&found).iter().map(|(name, used)| format!("{name} {used:.1} us")).collect();
    if !threads.is_empty() {
        println!("trunkline's CPU per request of 0.5 kB by thread: {}", threads.join(", "));
    }
    if let Some(noise) = figures::noise(&found) {
        println!(
            "the floor strayed by {:.0} % between rounds at worst: what lies within that is noise",
            noise * 100.0
        );
    }
    let file = record::write(&folder, machine, options.effort(), &rows, &found)?;
    println!("written to {}", file.display());
    let problems = figures::problems(&found);
    for problem in &problems {
        eprintln!("error: {problem}");
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn find(setup: &Setup, options: &Options, subjects: &[Subject]) -> anyhow::Result<Found> {
    let (_upstream, address) = setup.start_upstream()?;
    let mut found = Found::default();
    let all = scenario::all().into_iter().chain(pairs::scenarios());
    let scenarios: Vec<_> = all.filter(|scenario| options.includes(scenario.group)).collect();
    let mut servers: BTreeMap<Subject, Server> = BTreeMap::new();
    for subject in subjects {
        servers.insert(*subject, setup.start(*subject, address)?);
    }
    if let Some(gateway) = servers.get(&Subject::Gateway) {
        probe::chat(gateway.address, &gateway.key, gateway.model(true))
            .context("failed to have a request translated")?;
    }
    for scenario in &scenarios {
        println!("measuring {}", scenario.name);
        let polling = if scenario.polling { polling(setup, address, subjects)? } else { BTreeMap::new() };
        let servers = if scenario.polling { &polling } else { &servers };
        found.scenarios.push(measure::run(setup, address, servers, scenario, options.effort())?);
    }
    drop(servers);
    for subject in subjects.iter().filter(|subject| matches!(subject, Subject::Floor | Subject::Gateway)) {
        if options.includes(Group::Memory) {
            println!("measuring memory of {}", subject.title());
            found.memory.insert(*subject, memory::run(setup, address, *subject)?);
        }
        if options.includes(Group::Start) {
            println!("measuring the start of {}", subject.title());
            found.start.insert(*subject, cold::run(setup, address, *subject, options.starts())?);
        }
    }
    Ok(found)
}

/// Servers of their own that keep their core awake: they would disturb whatever else is measured.
fn polling(
    setup: &Setup,
    upstream: SocketAddr,
    subjects: &[Subject],
) -> anyhow::Result<BTreeMap<Subject, Server>> {
    let setup = Setup { polling: true, ..setup.clone() };
    let able = |subject: &&Subject| matches!(subject, Subject::Direct | Subject::Floor | Subject::Gateway);
    subjects.iter().filter(able).map(|subject| Ok((*subject, setup.start(*subject, upstream)?))).collect()
}

/// Folder of the binaries of a profile.
fn built(profile: &str) -> anyhow::Result<PathBuf> {
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(workspace::target_directory()?.join(folder))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(line: &str) -> Options {
        Line::parse_from(std::iter::once("bench").chain(line.split_whitespace())).options
    }

    #[test]
    fn direct_and_floor_always_take_part() {
        assert_eq!(options("--only floor").subjects(), [Subject::Direct, Subject::Floor]);
        assert_eq!(options("--only gateway").subjects(), [Subject::Direct, Subject::Floor, Subject::Gateway]);
        assert!(options("").subjects().contains(&Subject::FloorReading));
    }

    #[test]
    fn parts_of_the_table_can_be_asked_for() {
        let options = options("--rows memory --rows start --seconds 2 --rounds 7");
        assert!(
            options.includes(Group::Memory)
                && options.includes(Group::Start)
                && !options.includes(Group::Latency)
        );
        assert!(self::options("--rows pairs").includes(Group::Pairs));
        assert!(!self::options("").includes(Group::Pairs), "there are too many for a run of everything");
        assert_eq!((options.effort().rounds, options.effort().duration), (7, Duration::from_secs(2)));
    }
}
