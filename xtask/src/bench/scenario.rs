//! What is measured: sizes, dialects, streams, rhythms.
//!
//! Owns the list of scenarios and which subjects take part in each. It must not know how they are run or shown. The
//! floor takes part in all of them, translated ones included, because every figure is told as a ratio to it.

use std::borrow::Cow;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::load::Rhythm;
use super::pairs::Pair;
use super::protocols::Protocol;
use super::subject::Subject;

/// A part of the table that can be asked for by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// Processor time per request, and throughput on one core.
    Requests,
    /// Processor time per chunk, and time to the first token.
    Streams,
    /// Latency added at 1 and 16 connections, and in an open loop.
    Latency,
    /// Memory when idle, after many requests, with many streams open.
    Memory,
    /// Time from starting the process to the first request served.
    Start,
    /// Each pair of client and provider protocol; only when asked for, because there are many.
    Pairs,
    /// What the codecs of each pair take, counted without servers; only when asked for, and alone.
    Codecs,
}

/// Content events of a stream, where nothing else is said.
pub(super) const CHUNKS: usize = 100;
/// Content events of a stream as long as a long answer.
pub(super) const LONG_CHUNKS: usize = 2_000;
/// Time between two events of a paced stream.
pub(super) const PACE: Duration = Duration::from_millis(5);
/// Connections of the scenarios that measure processor time.
const BUSY: usize = 16;
/// Streams at the same time.
const STREAMS: usize = 64;
/// Requests a second of the open loop: a rate at which no subject is near its limit.
pub(super) const OPEN_RATE: f64 = 2000.0;

/// One thing to run against several subjects.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Scenario {
    /// Name in the JSON file.
    pub(super) name: Cow<'static, str>,
    /// Bytes of a request's body.
    pub(super) size: usize,
    /// Turns that a request of the pairs is said in.
    pub(super) turns: usize,
    /// Time between the events of a stream; none when the answer is not streamed.
    pub(super) stream: Option<Duration>,
    /// Content events of a stream.
    pub(super) chunks: usize,
    /// Whether the upstream speaks another dialect than the client.
    pub(super) translated: bool,
    /// The client's protocol and the provider, where it is not chat completions to one of the two that all subjects serve.
    pub(super) pair: Option<Pair>,
    pub(super) connections: usize,
    #[serde(skip)]
    pub(super) rhythm: Rhythm,
    /// Whether the servers keep their core awake between two events.
    pub(super) polling: bool,
    /// Whether what measures keeps its core awake too.
    pub(super) awake: bool,
    #[serde(skip)]
    pub(super) group: Group,
}

impl Scenario {
    /// Which of `present` take part. What only passes bytes on cannot translate, so its figures for the same dialect
    /// are the reference there.
    pub(super) fn subjects(&self, present: &[Subject]) -> Vec<Subject> {
        let takes_part = |subject: &Subject| match subject {
            Subject::Gateway if self.pair.is_some() => true,
            _ if self.pair.is_some() => false,
            Subject::Floor | Subject::Gateway => true,
            Subject::Direct => !self.translated,
            Subject::FloorReading => !self.translated && self.group == Group::Requests,
            // It has no such setting.
            Subject::Nginx => !self.translated && !self.polling,
        };
        present.iter().copied().filter(takes_part).collect()
    }

    /// Of a translated pair, the same as its client has it untranslated.
    pub(super) fn untranslated(&self) -> Option<Self> {
        let pair = self.pair.filter(|pair| !pair.is_untranslated())?;
        Some(Self { pair: Some(Pair::untranslated(pair.client)), translated: false, ..self.clone() })
    }

    /// The protocol of the client.
    pub(super) fn client(&self) -> Protocol {
        self.pair.map_or(Protocol::Chat, |pair| pair.client)
    }

    /// The content marks that a whole stream has.
    pub(super) fn stream_marks(&self) -> Option<u64> {
        self.stream.map(|_| self.chunks as u64 * self.client().marks_per_chunk())
    }
}

/// Every scenario, in the order of the table.
pub(super) fn all() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    let sizes = [
        (512, "requests-0.5kB", "requests-0.5kB-translated"),
        (1024, "requests-1kB", "requests-1kB-translated"),
        (10 * 1024, "requests-10kB", "requests-10kB-translated"),
        (100 * 1024, "requests-100kB", "requests-100kB-translated"),
    ];
    for (size, same, translated) in sizes {
        scenarios.push(request(same, size, false));
        scenarios.push(request(translated, size, true));
    }
    scenarios.push(stream("streams-paced", PACE, false));
    scenarios.push(stream("streams-paced-translated", PACE, true));
    scenarios.push(stream("streams-burst", Duration::ZERO, false));
    scenarios.push(stream("streams-burst-translated", Duration::ZERO, true));
    scenarios.push(long_stream("streams-long", false));
    scenarios.push(long_stream("streams-long-translated", true));
    scenarios.push(latency("latency-1", 1, Rhythm::Closed));
    scenarios.push(Scenario { polling: true, ..latency("latency-1-polling", 1, Rhythm::Closed) });
    scenarios.push(Scenario { polling: true, awake: true, ..latency("latency-1-awake", 1, Rhythm::Closed) });
    scenarios.push(latency("latency-16", BUSY, Rhythm::Closed));
    scenarios.push(latency("latency-open", STREAMS, Rhythm::Open(OPEN_RATE)));
    scenarios
}

fn request(name: &'static str, size: usize, translated: bool) -> Scenario {
    let rhythm = Rhythm::Closed;
    let (stream, chunks) = (None, 0);
    Scenario {
        name: name.into(),
        size,
        turns: 1,
        stream,
        chunks,
        translated,
        pair: None,
        connections: BUSY,
        rhythm,
        polling: false,
        awake: false,
        group: Group::Requests,
    }
}

fn stream(name: &'static str, pace: Duration, translated: bool) -> Scenario {
    // A burst keeps every core busy: as many at once as for requests, so that queues do not stand in for work.
    let connections = if pace.is_zero() { BUSY } else { STREAMS };
    let rhythm = Rhythm::Closed;
    let (size, stream, chunks) = (512, Some(pace), CHUNKS);
    Scenario {
        name: name.into(),
        size,
        turns: 1,
        stream,
        chunks,
        translated,
        pair: None,
        connections,
        rhythm,
        polling: false,
        awake: false,
        group: Group::Streams,
    }
}

/// Streams as long as a long answer.
fn long_stream(name: &'static str, translated: bool) -> Scenario {
    Scenario { chunks: LONG_CHUNKS, ..stream(name, Duration::ZERO, translated) }
}

fn latency(name: &'static str, connections: usize, rhythm: Rhythm) -> Scenario {
    let (size, stream, chunks) = (512, None, 0);
    Scenario {
        name: name.into(),
        size,
        turns: 1,
        stream,
        chunks,
        translated: false,
        pair: None,
        connections,
        rhythm,
        polling: false,
        awake: false,
        group: Group::Latency,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_the_floor_is_in_every_scenario() {
        let all = all();
        let names: std::collections::BTreeSet<_> = all.iter().map(|scenario| &scenario.name).collect();
        assert_eq!(names.len(), all.len());
        for scenario in &all {
            let subjects = scenario.subjects(Subject::value_variants());
            assert!(
                subjects.contains(&Subject::Floor) && subjects.contains(&Subject::Gateway),
                "{}",
                scenario.name
            );
        }
    }

    #[test]
    fn what_cannot_translate_does_not_take_part_in_translation() {
        let translated = request("t", 512, true);
        assert_eq!(translated.subjects(Subject::value_variants()), [Subject::Floor, Subject::Gateway]);
    }
}
