//! Running scenarios and taking medians.
//!
//! Owns the order of things: subjects take turns within a round and rounds repeat (A B B A), so that a noisy minute of
//! the machine falls on all of them; processor time goes from quiet to quiet, so that work put off is not forgotten.
//! It must not know which figure is good.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::load::{Plan, Report, Rhythm};
use super::pairs::Pair;
use super::protocols::Protocol;
use super::scenario::Scenario;
use super::subject::{self, Server, Setup, Subject};
use super::{cpu, histogram, probe};

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// Times each subject has its turn.
    pub(super) rounds: usize,
    /// Time of one turn.
    pub(super) duration: Duration,
}

/// One turn of one subject.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Turn {
    /// What the load generator saw.
    pub(super) report: Report,
    /// Processor time of the subject from before the first request until it was quiet again, in nanoseconds.
    pub(super) cpu_nanoseconds: Option<u64>,
    /// The same by the name of the thread.
    pub(super) threads: BTreeMap<String, u64>,
}

/// All turns of a scenario.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Measured {
    pub(super) scenario: Scenario,
    pub(super) turns: BTreeMap<Subject, Vec<Turn>>,
    /// Of a translated pair: the same untranslated, turn by turn beside it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) untranslated: Vec<Turn>,
}

impl Measured {
    /// The median over the turns of `subject` of what `figure` takes from each; `None` when it took no part.
    pub(super) fn median(&self, subject: Subject, figure: impl Fn(&Turn) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self.turns.get(&subject)?.iter().filter_map(figure).collect();
        histogram::median(&values)
    }

    /// The median over the rounds of what `figure` takes from a turn of the gateway, over what it takes from the untranslated one of
    /// the same round.
    pub(super) fn median_to_untranslated(&self, figure: impl Fn(&Turn) -> Option<f64>) -> Option<f64> {
        let turns = self.turns.get(&Subject::Gateway)?.iter().zip(&self.untranslated);
        let ratios: Vec<f64> = turns
            .filter_map(|(turn, own)| Some((figure(turn)?, figure(own)?)))
            .filter_map(|(turn, own)| (own > 0.0).then_some(turn / own))
            .collect();
        histogram::median(&ratios)
    }
}

impl Turn {
    /// Processor time per request in microseconds.
    pub(super) fn cpu_per_request(&self) -> Option<f64> {
        self.cpu_per(self.report.requests)
    }

    /// Processor time per content chunk in microseconds, the stream's beginning and end shared among its chunks.
    pub(super) fn cpu_per_chunk(&self) -> Option<f64> {
        self.cpu_per(self.report.marks)
    }

    fn cpu_per(&self, number: u64) -> Option<f64> {
        let nanoseconds = self.cpu_nanoseconds?;
        (number > 0).then(|| nanoseconds as f64 / number as f64 / 1000.0)
    }
}

/// Runs `scenario` against every server, turn by turn.
///
/// # Errors
/// When a process fails; wrong answers are in the reports.
pub(super) fn run(
    setup: &Setup,
    upstream: SocketAddr,
    servers: &BTreeMap<Subject, Server>,
    scenario: &Scenario,
    effort: Effort,
) -> anyhow::Result<Measured> {
    probe::set_pace(upstream, scenario.stream.unwrap_or_default(), scenario.chunks)?;
    let present: Vec<Subject> = servers.keys().copied().collect();
    let subjects = scenario.subjects(&present);
    let mut turns: BTreeMap<Subject, Vec<Turn>> = BTreeMap::new();
    // Connections are opened and caches filled before anything counts.
    for subject in &subjects {
        turn(setup, &servers[subject], scenario, Duration::from_millis(200))?;
    }
    let mut untranslated = Vec::new();
    let mut order: Vec<(Subject, Option<Scenario>)> =
        subjects.iter().map(|subject| (*subject, None)).collect();
    order.extend(scenario.untranslated().map(|own| (Subject::Gateway, Some(own))));
    for _ in 0..effort.rounds {
        for (subject, own) in &order {
            let turn = turn(setup, &servers[subject], own.as_ref().unwrap_or(scenario), effort.duration)
                .with_context(|| format!("failed to measure {} in {}", subject.title(), scenario.name))?;
            if own.is_some() { &mut untranslated } else { turns.entry(*subject).or_default() }.push(turn);
        }
        // There and back, so that a drift of the machine favours nobody.
        order.reverse();
    }
    Ok(Measured { scenario: scenario.clone(), turns, untranslated })
}

fn turn(setup: &Setup, server: &Server, scenario: &Scenario, duration: Duration) -> anyhow::Result<Turn> {
    let plan = Plan {
        address: server.address,
        key: server.key.clone(),
        client: scenario.client(),
        model: scenario.pair.map_or_else(|| server.model(scenario.translated).to_owned(), Pair::model),
        size: scenario.size,
        turns: scenario.turns,
        stream_marks: scenario.stream_marks(),
        connections: scenario.connections,
        awake: scenario.awake,
        rhythm: scenario.rhythm,
        // A paced stream lasts as long as its pace says: the streams are spread over that time.
        warm_up: scenario
            .stream
            .map_or(Duration::from_millis(100), |pace| pace * 100)
            .max(Duration::from_millis(100)),
        duration,
    };
    load(setup, server, &plan)
}

/// Sends `count` small requests.
///
/// # Errors
/// When a process fails or any request is answered wrongly.
pub(super) fn send(setup: &Setup, server: &Server, count: u64) -> anyhow::Result<()> {
    let plan = Plan {
        address: server.address,
        key: server.key.clone(),
        client: Protocol::Chat,
        model: server.model(false).to_owned(),
        size: 512,
        turns: 1,
        stream_marks: None,
        connections: 16,
        awake: false,
        rhythm: Rhythm::Count(count),
        warm_up: Duration::ZERO,
        duration: Duration::ZERO,
    };
    let report = load(setup, server, &plan)?.report;
    let error = report.first_error.unwrap_or_default();
    anyhow::ensure!(
        report.errors == 0,
        "{} of {count} requests failed, the first so: {error}",
        report.errors
    );
    Ok(())
}

fn load(setup: &Setup, server: &Server, plan: &Plan) -> anyhow::Result<Turn> {
    let before = server.pid().map(cpu::time_when_quiet).transpose()?;
    let threads_before = server.pid().map(cpu::threads).transpose()?.unwrap_or_default();
    let mut child = setup.spawn_part(&["load"], setup.cores.map(|cores| cores.load))?;
    subject::tell(&mut child, &serde_json::to_string(plan).context("failed to write the plan")?)?;
    let mut output = String::new();
    let mut stdout = child.stdout.take().context("failed to read the report")?;
    stdout.read_to_string(&mut output).context("failed to read the report")?;
    let status = child.wait().context("failed to wait for the load generator")?;
    anyhow::ensure!(status.success(), "the load generator ended with {status}");
    let report: Report = serde_json::from_str(&output).context("failed to read the report")?;
    let after = server.pid().map(cpu::time_when_quiet).transpose()?;
    let used = before.zip(after).map(|(before, after)| after.saturating_sub(before));
    let cpu_nanoseconds = used.map(|used| u64::try_from(used.as_nanos()).unwrap_or(u64::MAX));
    let mut threads = server.pid().map(cpu::threads).transpose()?.unwrap_or_default();
    for (name, used) in &mut threads {
        *used = used.saturating_sub(threads_before.get(name).copied().unwrap_or(0));
    }
    Ok(Turn { report, cpu_nanoseconds, threads })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scenario;

    fn turn(requests: u64, marks: u64, cpu_nanoseconds: Option<u64>) -> Turn {
        Turn {
            report: Report { requests, marks, ..Report::default() },
            cpu_nanoseconds,
            threads: BTreeMap::new(),
        }
    }

    #[test]
    fn processor_time_is_told_per_request_and_per_chunk() {
        let turn = turn(1000, 100_000, Some(25_000_000));
        assert_eq!(turn.cpu_per_request(), Some(25.0));
        assert_eq!(turn.cpu_per_chunk(), Some(0.25));
    }

    #[test]
    fn nothing_served_or_no_process_gives_no_figure() {
        assert_eq!(turn(0, 0, Some(1)).cpu_per_request(), None);
        assert_eq!(turn(10, 0, None).cpu_per_request(), None);
    }

    #[test]
    fn the_median_is_over_turns_of_one_subject() {
        let turns = [30_000, 10_000, 20_000].map(|nanoseconds| turn(1, 0, Some(nanoseconds))).to_vec();
        let measured = Measured {
            scenario: scenario::all().remove(0),
            turns: BTreeMap::from([(Subject::Floor, turns)]),
            untranslated: Vec::new(),
        };
        assert_eq!(measured.median(Subject::Floor, Turn::cpu_per_request), Some(20.0));
        assert_eq!(measured.median(Subject::Gateway, Turn::cpu_per_request), None);
    }
}
