//! Every pair of client and provider protocol beside the same-dialect way of that client.
//!
//! Owns the list of pairs, their scenarios and their rows. It must not know how a turn is run. The gateway alone takes part: what
//! is to be reached is told as a ratio to the gateway's own figure for the same client without translation.

use serde::Serialize;

use super::figures::Found;
use super::load::Rhythm;
use super::measure::Turn;
use super::protocols::{Prompt, Protocol};
use super::scenario::{CHUNKS, Group, LONG_CHUNKS, Scenario};
use super::subject::Subject;
use super::table::{Goal, Row};
use super::traffic::MODEL;

/// Connections of each scenario.
const BUSY: usize = 16;
/// What translation may cost at the most, as a ratio to none.
const AT_MOST: f64 = 1.5;

/// A provider that the gateway is configured with; the upstream plays all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Provider {
    /// An OpenAI-compatible one: chat completions only.
    Compatible,
    /// OpenAI itself: the responses API too.
    OpenAi,
    /// Anthropic.
    Anthropic,
    /// Gemini.
    Gemini,
    /// Mistral, whose chat completions differ in fields only.
    Mistral,
    /// Bedrock, with an API key: its streams are binary.
    Converse,
    /// Cohere.
    Cohere,
}

impl Provider {
    const ALL: [Self; 7] = [
        Self::Compatible,
        Self::OpenAi,
        Self::Anthropic,
        Self::Gemini,
        Self::Mistral,
        Self::Converse,
        Self::Cohere,
    ];

    /// Its name in the gateway's configuration.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Compatible => "up-openai",
            Self::OpenAi => "up-responses",
            Self::Anthropic => "up-anthropic",
            Self::Gemini => "up-gemini",
            Self::Mistral => "up-mistral",
            Self::Converse => "up-converse",
            Self::Cohere => "up-cohere",
        }
    }
}

/// A client's protocol and the provider behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Pair {
    pub(super) client: Protocol,
    pub(super) provider: Provider,
}

impl Pair {
    /// The pair of that client in which nothing is translated.
    pub(super) const fn untranslated(client: Protocol) -> Self {
        let provider = match client {
            Protocol::Chat => Provider::Compatible,
            Protocol::Responses => Provider::OpenAi,
            Protocol::Messages => Provider::Anthropic,
            Protocol::Contents => Provider::Gemini,
        };
        Self { client, provider }
    }

    /// Every pair, each client's untranslated one first. OpenAI itself stands in for the responses API alone: what else it takes
    /// is what the compatible one takes.
    pub(super) fn all() -> Vec<Self> {
        let others = |client: Protocol| {
            let own = Self::untranslated(client);
            Provider::ALL
                .into_iter()
                .filter(move |provider| *provider != own.provider && *provider != Provider::OpenAi)
                .map(move |provider| Self { client, provider })
        };
        Protocol::ALL
            .into_iter()
            .flat_map(|client| std::iter::once(Self::untranslated(client)).chain(others(client)))
            .collect()
    }

    /// Whether nothing is translated.
    pub(super) fn is_untranslated(self) -> bool {
        self == Self::untranslated(self.client)
    }

    /// What the client asks for.
    pub(super) fn model(self) -> String {
        format!("{}/{MODEL}", self.provider.name())
    }

    fn name(self) -> String {
        format!("{}-{}", self.client.name(), self.provider.name())
    }
}

/// What is measured of each pair: the name, what the request says, and the chunks of a stream.
const SHAPES: [(&str, Prompt, usize); 6] = [
    ("1 kB request", Prompt::of(1024), 0),
    ("10 kB request", Prompt::of(10 * 1024), 0),
    ("100 kB request", Prompt::of(100 * 1024), 0),
    ("100 kB request in a hundred turns", Prompt::MANY_TURNS, 0),
    ("chunk of 100", Prompt::of(512), CHUNKS),
    ("chunk of 2,000", Prompt::of(512), LONG_CHUNKS),
];

/// The scenarios of all pairs.
pub(super) fn scenarios() -> Vec<Scenario> {
    let of = |pair: Pair| {
        SHAPES.into_iter().map(move |(what, prompt, chunks)| Scenario {
            name: name(pair, what).into(),
            size: prompt.size,
            turns: prompt.turns,
            stream: (chunks > 0).then_some(std::time::Duration::ZERO),
            chunks,
            translated: !pair.is_untranslated(),
            pair: Some(pair),
            connections: BUSY,
            rhythm: Rhythm::Closed,
            polling: false,
            awake: false,
            group: Group::Pairs,
        })
    };
    Pair::all().into_iter().flat_map(of).collect()
}

fn name(pair: Pair, what: &str) -> String {
    format!("pair-{}-{}", pair.name(), what.replace([' ', ','], "-"))
}

/// The rows: what each client costs untranslated, then every translated pair as a ratio to it. Both take turns, and it is the
/// ratios of the rounds whose median is told: the machine has other figures a minute later.
pub(super) fn rows(found: &Found) -> Vec<Row> {
    let measured = |pair: Pair, what: &str| {
        let name = name(pair, what);
        found.scenarios.iter().find(|measured| measured.scenario.name == name)
    };
    let mut rows = Vec::new();
    for pair in Pair::all() {
        for (what, _, chunks) in SHAPES {
            let Some(measured) = measured(pair, what) else { continue };
            if pair.is_untranslated() {
                let Some(used) = measured.median(Subject::Gateway, Turn::cpu_per_request) else { continue };
                rows.push(Row {
                    figure: format!("CPU per {what}, {}, same dialect", pair.client.name()),
                    unit: "us",
                    values: vec![(Subject::Gateway, used / chunks.max(1) as f64)],
                    goal: None,
                });
            } else if let Some(ratio) = measured.median_to_untranslated(Turn::cpu_per_request) {
                let (client, provider) = (pair.client.name(), pair.provider.name());
                rows.push(Row {
                    figure: format!("CPU to same dialect, {what}, {client} to {provider}"),
                    unit: "x",
                    values: vec![(Subject::Gateway, ratio)],
                    goal: Some(Goal::AtMost(AT_MOST)),
                });
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::Report;
    use crate::bench::measure::Measured;
    use std::collections::BTreeMap;

    #[test]
    fn every_client_has_its_own_way_and_every_other_provider() {
        let all = Pair::all();
        assert_eq!(all.len(), 4 * 6 + 1);
        for client in Protocol::ALL {
            assert_eq!(all.iter().find(|pair| pair.client == client), Some(&Pair::untranslated(client)));
        }
        let scenarios = scenarios();
        let names: std::collections::BTreeSet<_> = scenarios.iter().map(|scenario| &scenario.name).collect();
        assert_eq!((names.len(), scenarios.len()), (25 * SHAPES.len(), 25 * SHAPES.len()));
        assert!(
            scenarios
                .iter()
                .all(|scenario| scenario.subjects(&[Subject::Floor, Subject::Gateway]) == [Subject::Gateway])
        );
    }

    #[test]
    fn a_pair_is_told_as_a_ratio_to_its_clients_own_way() {
        let measured = |scenario: Scenario| {
            // A machine that grows slower and slower: each round is judged for itself.
            let turn = |cost: u64| {
                let report = Report { requests: 10, marks: 10, ..Report::default() };
                Turn { report, cpu_nanoseconds: Some(cost), threads: BTreeMap::new() }
            };
            let cost = if scenario.translated { 130_000 } else { 100_000 };
            let untranslated =
                scenario.untranslated().map(|_| vec![turn(100_000), turn(200_000), turn(700_000)]);
            let turns = vec![turn(cost), turn(2 * cost), turn(7 * cost)];
            let turns = BTreeMap::from([(Subject::Gateway, turns)]);
            Measured { scenario, turns, untranslated: untranslated.unwrap_or_default() }
        };
        let found = Found { scenarios: scenarios().into_iter().map(measured).collect(), ..Found::default() };
        let rows = rows(&found);
        assert_eq!(rows.len(), 25 * SHAPES.len());
        let ratios: Vec<f64> = rows.iter().filter(|row| row.unit == "x").map(|row| row.values[0].1).collect();
        assert_eq!(ratios.len(), 21 * SHAPES.len());
        assert!(ratios.iter().all(|ratio| (ratio - 1.3).abs() < 1e-9));
    }
}
