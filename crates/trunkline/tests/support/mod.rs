//! What every end-to-end test needs: the real binary on a free port, simulators as providers, a small HTTP client.
//!
//! Owns processes, their configuration folders and the two client protocols as far as tests look at them. Must not know the
//! gateway's insides: everything is seen through sockets, files and the command line, as users see it.

mod answer;
mod client;
mod face;
mod process;

pub(crate) use answer::Answer;
pub(crate) use client::{connect_multiplexed, exchange, raw};
pub(crate) use face::Face;
pub(crate) use process::Gateway;

use std::time::{Duration, Instant};
use trunkline_sim::{DialectName, Rule, Script, SimConfig, Simulator};

/// The virtual key of [`config`].
pub(crate) const KEY: &str = "sk-test-0123456789abcdef";
/// How long anything may take before a test gives up on it. Far longer than it takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A provider in front of a simulator, in the configuration's `providers`.
pub(crate) fn provider(name: &str, dialect: DialectName, base_url: &str) -> String {
    let (preset, path) = match dialect {
        DialectName::OpenAi => ("openai", "/v1"),
        DialectName::Anthropic => ("anthropic", "/v1"),
        DialectName::Gemini => ("gemini", "/v1beta"),
        DialectName::Mistral => ("mistral", "/v1"),
        DialectName::Cohere => ("cohere", ""),
        DialectName::Tokens => panic!("a token service serves no models"),
        DialectName::Converse => ("bedrock", ""),
    };
    format!("  {name}: {{ preset: {preset}, url: \"{base_url}{path}\", key: sim-key-{name} }}\n")
}

/// A model of the catalogue for each dialect.
pub(crate) fn model(dialect: DialectName) -> &'static str {
    match dialect {
        DialectName::OpenAi => "gpt-4.1-mini",
        DialectName::Anthropic => "claude-sonnet-4-5",
        DialectName::Gemini => "gemini-2.5-flash",
        DialectName::Mistral => "mistral-small-latest",
        DialectName::Cohere => "command-a-03-2025",
        DialectName::Tokens => panic!("a token service serves no models"),
        DialectName::Converse => "anthropic.claude-sonnet-4-5-20250929-v1:0",
    }
}

/// A healthy simulator.
pub(crate) async fn simulator(dialect: DialectName) -> Simulator {
    Simulator::start(SimConfig::new(dialect)).await.unwrap()
}

/// A simulator whose faults are tied to credentials: a deployment with the key `fault-NAME.` meets that fault.
pub(crate) async fn faulty(dialect: DialectName, faults: &[trunkline_sim::Fault]) -> Simulator {
    let headers = ["authorization", "x-api-key", "x-goog-api-key"];
    let rule = |fault: &trunkline_sim::Fault| {
        headers.map(|header| Rule::always(*fault).for_header(header, &format!("fault-{fault}.")))
    };
    let script = Script { rules: faults.iter().flat_map(rule).collect(), ..Script::default() };
    Simulator::start(SimConfig::new(dialect).with_script(script)).await.unwrap()
}

/// Asks until there is an answer.
///
/// # Panics
/// When there is none in [`PATIENCE`].
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not happen in {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
