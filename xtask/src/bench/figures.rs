//! From what was measured to the rows of the table.
//!
//! Owns the figures to reach, in one place, and how each follows from the turns. It must not know how a turn is run or
//! a table drawn.

use std::collections::BTreeMap;

use super::histogram::Quantiles;
use super::measure::{Measured, Turn};
use super::memory::Memory;
use super::pairs;
use super::subject::Subject;
use super::table::{Goal, Row};

const MEGABYTE: f64 = 1024.0 * 1024.0;
const KILOBYTE: f64 = 1024.0;

/// Everything that one run of the benchmark found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) scenarios: Vec<Measured>,
    pub(super) memory: BTreeMap<Subject, Memory>,
    /// Milliseconds.
    pub(super) start: BTreeMap<Subject, f64>,
}

/// The rows of the table, in its order; what was not run has no row.
pub(super) fn rows(found: &Found) -> Vec<Row> {
    let mut rows = Vec::new();
    for measured in &found.scenarios {
        match &*measured.scenario.name {
            "requests-0.5kB" => {
                rows.push(cpu(measured, "CPU per request, 0.5 kB, same dialect", Some(1.6)));
                rows.push(throughput(measured));
            }
            "requests-1kB" => rows.push(cpu(measured, "CPU per request, 1 kB, same dialect", None)),
            "requests-1kB-translated" => rows.push(cpu(measured, "CPU per request, 1 kB, translated", None)),
            "requests-10kB" => rows.push(cpu(measured, "CPU per request, 10 kB, same dialect", Some(1.6))),
            "requests-100kB" => rows.push(cpu(measured, "CPU per request, 100 kB, same dialect", Some(1.6))),
            "requests-0.5kB-translated" => {
                rows.push(cpu(measured, "CPU per request, 0.5 kB, translated", Some(2.2)))
            }
            "requests-10kB-translated" => {
                rows.push(cpu(measured, "CPU per request, 10 kB, translated", None))
            }
            "requests-100kB-translated" => {
                rows.push(cpu(measured, "CPU per request, 100 kB, translated", None))
            }
            "streams-paced" => {
                rows.push(chunk(measured, "CPU per chunk, paced, same dialect", Some(1.3)));
                rows.push(first_token(
                    measured,
                    "added time to first token, 64 paced streams, p50",
                    Some(0.5),
                ));
            }
            "streams-paced-translated" => {
                rows.push(chunk(measured, "CPU per chunk, paced, translated", Some(1.8)))
            }
            "streams-burst" => rows.push(chunk(measured, "CPU per chunk, burst, same dialect", None)),
            "streams-burst-translated" => {
                rows.push(chunk(measured, "CPU per chunk, burst, translated", None))
            }
            "streams-long" => rows.push(chunk(measured, "CPU per chunk, 2,000 chunks, same dialect", None)),
            "streams-long-translated" => {
                rows.push(chunk(measured, "CPU per chunk, 2,000 chunks, translated", None))
            }
            "latency-1" => rows.extend(latencies(measured, "1 connection", [Some(100.0), Some(200.0)])),
            "latency-1-polling" => {
                rows.extend(latencies(measured, "1 connection, busy polling", [Some(100.0), Some(200.0)]));
            }
            "latency-1-awake" => {
                rows.extend(latencies(measured, "1 connection, no core halts", [Some(100.0), Some(200.0)]));
            }
            "latency-16" => rows.extend(latencies(measured, "16 connections", [None, None])),
            "latency-open" => rows.extend(latencies(measured, "2,000 requests a second", [None, None])),
            _ => {}
        }
    }
    rows.extend(translations(found));
    rows.extend(pairs::rows(found));
    rows.extend(memory_rows(&found.memory));
    rows.extend(start_row(&found.start));
    rows
}

/// What went wrong while measuring: wrong answers make a figure worthless, whatever it says.
pub(super) fn problems(found: &Found) -> Vec<String> {
    let mut problems = Vec::new();
    for measured in &found.scenarios {
        for (subject, turns) in &measured.turns {
            let errors: u64 = turns.iter().map(|turn| turn.report.errors).sum();
            let first = turns.iter().find_map(|turn| turn.report.first_error.as_deref());
            if let Some(first) = first.filter(|_| errors > 0) {
                let (name, title) = (&measured.scenario.name, subject.title());
                problems
                    .push(format!("{name}: {errors} requests to {title} went wrong, the first so: {first}"));
            }
        }
    }
    problems
}

/// What the gateway's processor time per small request is made of, thread by thread, in microseconds, the most first:
/// the request's own work and the work behind it (the record) are told apart by the names of their threads.
pub(super) fn threads(found: &Found) -> Vec<(String, f64)> {
    let small = found.scenarios.iter().find(|measured| measured.scenario.name == "requests-0.5kB");
    let Some(turns) = small.and_then(|measured| measured.turns.get(&Subject::Gateway)) else {
        return Vec::new();
    };
    let requests: u64 = turns.iter().map(|turn| turn.report.requests).sum();
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, used) in turns.iter().flat_map(|turn| &turn.threads) {
        *sums.entry(name).or_default() += used;
    }
    let share = |used: u64| used as f64 / requests.max(1) as f64 / 1000.0;
    let mut shares: Vec<_> = sums.into_iter().map(|(name, used)| (name.to_owned(), share(used))).collect();
    shares.retain(|(_, microseconds)| *microseconds >= 0.05);
    shares.sort_by(|left, right| right.1.total_cmp(&left.1));
    shares
}

/// How far the floor's own processor time strayed between rounds, at worst, as a share of its median: what lies within
/// that is noise.
pub(super) fn noise(found: &Found) -> Option<f64> {
    let strays = found.scenarios.iter().filter_map(|measured| {
        let figure = |turn: &Turn| turn.cpu_per_chunk().filter(|_| measured.scenario.stream.is_some());
        let value = |turn: &Turn| figure(turn).or_else(|| turn.cpu_per_request());
        let values: Vec<f64> = measured.turns.get(&Subject::Floor)?.iter().filter_map(value).collect();
        let median = measured.median(Subject::Floor, value)?;
        let (low, high) =
            values.iter().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
        (values.len() > 1 && median > 0.0).then(|| (high - low) / median)
    });
    strays.max_by(f64::total_cmp)
}

/// What translating costs: the gateway's own processor time as a ratio to what it takes for the same in one dialect.
fn translations(found: &Found) -> Vec<Row> {
    let pairs = [
        ("requests-1kB", "1 kB request"),
        ("requests-10kB", "10 kB request"),
        ("requests-100kB", "100 kB request"),
        ("streams-paced", "paced chunk"),
        ("streams-burst", "burst chunk"),
        ("streams-long", "chunk of 2,000"),
    ];
    let used = |name: &str| {
        let measured = found.scenarios.iter().find(|measured| measured.scenario.name == name)?;
        let is_stream = measured.scenario.stream.is_some();
        let figure = |turn: &Turn| if is_stream { turn.cpu_per_chunk() } else { turn.cpu_per_request() };
        measured.median(Subject::Gateway, figure)
    };
    let ratio = |(name, what): (&str, &str)| {
        let ratio = used(&format!("{name}-translated"))? / used(name).filter(|same| *same > 0.0)?;
        let figure = format!("CPU translated to same dialect, {what}");
        Some(Row {
            figure,
            unit: "x",
            values: vec![(Subject::Gateway, ratio)],
            goal: Some(Goal::AtMost(1.5)),
        })
    };
    pairs.into_iter().filter_map(ratio).collect()
}

fn cpu(measured: &Measured, figure: &str, at_most: Option<f64>) -> Row {
    row(measured, figure, "us", at_most.map(Goal::RatioAtMost), Turn::cpu_per_request)
}

fn chunk(measured: &Measured, figure: &str, at_most: Option<f64>) -> Row {
    row(measured, figure, "us", at_most.map(Goal::RatioAtMost), Turn::cpu_per_chunk)
}

fn throughput(measured: &Measured) -> Row {
    let goal = Some(Goal::AtLeast(15_000.0));
    row(measured, "throughput on one core, 0.5 kB", "per s", goal, |turn| Some(turn.report.per_second))
}

fn first_token(measured: &Measured, figure: &str, at_most: Option<f64>) -> Row {
    let milliseconds = |turn: &Turn| Some(turn.report.first_token.p50 as f64 / 1e6);
    added(measured, figure, "ms", at_most, milliseconds)
}

fn latencies(measured: &Measured, load: &str, at_most: [Option<f64>; 2]) -> Vec<Row> {
    let quantile = |name: &str, at_most: Option<f64>, read: fn(&Quantiles) -> u64| {
        let figure = format!("added latency, {load}, {name}");
        added(measured, &figure, "us", at_most, move |turn| Some(read(&turn.report.latency) as f64 / 1e3))
    };
    vec![
        quantile("p50", at_most[0], |quantiles| quantiles.p50),
        quantile("p99", at_most[1], |quantiles| quantiles.p99),
    ]
}

fn row(
    measured: &Measured,
    figure: &str,
    unit: &'static str,
    goal: Option<Goal>,
    read: impl Fn(&Turn) -> Option<f64>,
) -> Row {
    let subjects = measured.turns.keys();
    let values = subjects.filter_map(|subject| Some((*subject, measured.median(*subject, &read)?))).collect();
    Row { figure: figure.to_owned(), unit, values, goal }
}

/// A row of differences to the direct way.
fn added(
    measured: &Measured,
    figure: &str,
    unit: &'static str,
    at_most: Option<f64>,
    read: impl Fn(&Turn) -> Option<f64>,
) -> Row {
    let mut row = row(measured, figure, unit, at_most.map(Goal::AtMost), read);
    let direct = row.value(Subject::Direct);
    row.values.retain(|(subject, _)| *subject != Subject::Direct);
    match direct {
        Some(direct) => row.values.iter_mut().for_each(|(_, value)| *value -= direct),
        None => row.values.clear(),
    }
    row
}

fn memory_rows(memory: &BTreeMap<Subject, Memory>) -> Vec<Row> {
    let row = |figure: &str, unit, limit, read: &dyn Fn(&Memory) -> f64| Row {
        figure: figure.to_owned(),
        unit,
        values: memory.iter().map(|(subject, memory)| (*subject, read(memory))).collect(),
        goal: Some(Goal::AtMost(limit)),
    };
    if memory.is_empty() {
        return Vec::new();
    }
    vec![
        row("memory, idle", "MB", 25.0, &|memory| memory.idle as f64 / MEGABYTE),
        row("memory after 50,000 requests", "MB", 50.0, &|memory| memory.after_requests as f64 / MEGABYTE),
        row("memory per open stream, 2,000 open", "kB", 40.0, &|memory| memory.per_stream / KILOBYTE),
        // The body itself and one copy of it.
        row("peak memory of a 20 MB picture, same dialect", "sizes", 2.0, &|memory| memory.picture[0]),
        row("peak memory of a 20 MB picture, translated", "sizes", 2.0, &|memory| memory.picture[1]),
    ]
}

fn start_row(start: &BTreeMap<Subject, f64>) -> Option<Row> {
    let values: Vec<_> = start.iter().map(|(subject, value)| (*subject, *value)).collect();
    let figure = "cold start to the first request served".to_owned();
    (!values.is_empty()).then_some(Row { figure, unit: "ms", values, goal: Some(Goal::AtMost(50.0)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::Report;
    use crate::bench::scenario;

    fn turn(p50: u64, cpu_nanoseconds: u64) -> Turn {
        let latency = Quantiles { p50, p99: 3 * p50, ..Quantiles::default() };
        let report = Report { requests: 10, marks: 10, latency, first_token: latency, ..Report::default() };
        let threads = BTreeMap::from([
            ("worker".to_owned(), cpu_nanoseconds * 2 / 3),
            ("record".to_owned(), cpu_nanoseconds / 3),
        ]);
        Turn { report, cpu_nanoseconds: Some(cpu_nanoseconds), threads }
    }

    fn found() -> Found {
        let measured = |scenario| Measured {
            scenario,
            turns: BTreeMap::from([
                (Subject::Direct, vec![turn(50_000, 0)]),
                (Subject::Floor, vec![turn(80_000, 100_000), turn(80_000, 120_000)]),
                (Subject::Gateway, vec![turn(140_000, 165_000)]),
            ]),
            untranslated: vec![turn(140_000, 150_000)],
        };
        let memory =
            Memory { idle: 20 << 20, after_requests: 40 << 20, per_stream: 30_720.0, picture: [1.1, 2.0] };
        Found {
            scenarios: scenario::all().into_iter().map(measured).collect(),
            memory: BTreeMap::from([(Subject::Gateway, memory)]),
            start: BTreeMap::from([(Subject::Gateway, 30.0)]),
        }
    }

    #[test]
    fn every_scenario_gives_rows_and_every_goal_stands_once() {
        let rows = rows(&found());
        assert_eq!(rows.len(), scenario::all().len() + 2 + 5 + 6 + 5 + 1);
        assert_eq!(rows.iter().filter(|row| row.goal.is_some()).count(), 18 + 6 + 2);
        let names: std::collections::BTreeSet<_> = rows.iter().map(|row| &row.figure).collect();
        assert_eq!(names.len(), rows.len());
    }

    #[test]
    fn added_latency_is_over_the_direct_way() {
        let rows = rows(&found());
        let added = rows.iter().find(|row| row.figure == "added latency, 1 connection, p50").unwrap();
        assert_eq!(added.values, [(Subject::Floor, 30.0), (Subject::Gateway, 90.0)]);
    }

    #[test]
    fn processor_time_is_told_by_thread_the_most_first() {
        assert_eq!(threads(&found()), [("worker".to_owned(), 11.0), ("record".to_owned(), 5.5)]);
        assert_eq!(threads(&Found::default()), []);
    }

    #[test]
    fn wrong_answers_are_told_and_noise_is_the_floors_own() {
        let mut found = found();
        assert_eq!(problems(&found), Vec::<String>::new());
        assert!((noise(&found).unwrap() - 20.0 / 110.0).abs() < 1e-9);
        let turns = found.scenarios[0].turns.get_mut(&Subject::Gateway).unwrap();
        turns[0].report.errors = 2;
        turns[0].report.first_error = Some("status 500".to_owned());
        assert_eq!(
            problems(&found),
            ["requests-0.5kB: 2 requests to trunkline went wrong, the first so: status 500"]
        );
    }
}
