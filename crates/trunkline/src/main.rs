//! The `trunkline` binary: command line, wiring, signals.
//!
//! Owns reading arguments, environment, files and clocks for the pure crates, and putting the parts together. Must not hold
//! logic that another crate could: everything here is glue.

#[macro_use]
mod out;

mod command;
mod configuration;
mod logging;
mod open_files;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What it is, in the words of a user.
const ABOUT: &str = "One line to every model: an LLM router and gateway";

/// Arguments.
#[derive(Debug, Parser)]
#[command(name = "trunkline", version, about = ABOUT, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve; without a file, with the providers whose API keys are in the environment.
    Serve(command::serve::Options),
    /// Watch it at work: simulated providers, requests, outages. Needs no key and no network.
    Demo(command::demo::Options),
    /// Report every mistake in a configuration, with its place and a hint.
    Check(command::check::Options),
    /// Print the JSON Schema of configuration files.
    Schema,
    /// Play every fault of the catalogue against a configuration; show what its clients would see.
    Drill(command::drill::Options),
    /// Show the decision for a request, offline; the same as the server's.
    Explain(command::explain::Options),
    /// Train a router from labelled prompts.
    Train(command::train::Options),
    /// Measure learned routing on public data, beside what is published and the controls.
    BenchRouter(command::bench_router::Options),
    /// Search the request log.
    Log(command::log::Options),
    /// Show how far batches are.
    Batches(command::batches::Options),
    /// Run policies against virtual providers: load, outages, limits, slow tails.
    Simulate(command::simulate::Options),
    /// Decide the request log again under another policy: cost, quality, latency, every changed decision.
    Replay(command::replay::Options),
    /// Ask a golden data set of deployments and routes: quality, cost, time, refusals, form, side by side.
    Eval(command::eval::Options),
    /// What routing saved, by route and week, and what deserves attention.
    Report(command::report::Options),
    /// List the known providers and what is configured of them.
    Providers(command::providers::Options),
    /// Bring in what was said of answers.
    Feedback(command::feedback::Options),
    /// Search the model catalogue.
    Models(command::models::Options),
    /// Make virtual keys and their digests.
    Key(command::key::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve(options) => command::serve::run(&options),
        Command::Demo(options) => command::demo::run(&options),
        Command::Check(options) => command::check::run(&options),
        Command::Schema => command::check::schema(),
        Command::Drill(options) => command::drill::run(&options),
        Command::Explain(options) => command::explain::run(&options),
        Command::Train(options) => command::train::run(&options),
        Command::BenchRouter(options) => command::bench_router::run(&options),
        Command::Log(options) => command::log::run(&options),
        Command::Batches(options) => command::batches::run(&options),
        Command::Simulate(options) => command::simulate::run(&options),
        Command::Replay(options) => command::replay::run(&options),
        Command::Eval(options) => command::eval::run(&options),
        Command::Report(options) => command::report::run(&options),
        Command::Providers(options) => command::providers::run(&options),
        Command::Feedback(options) => command::feedback::run(&options),
        Command::Models(options) => command::models::run(&options),
        Command::Key(options) => command::key::run(&options),
    };
    result.unwrap_or_else(|error| {
        // What is wrong with a configuration begins each of its mistakes with the word itself.
        let told = told(&error);
        let word = if told.starts_with("error: ") { "" } else { "error: " };
        eprintln!("{word}{}", told.trim_end());
        ExitCode::FAILURE
    })
}

/// An error and its causes, each said once: some errors say their cause themselves.
fn told(error: &anyhow::Error) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        // SQLite's own causes are their errors again, with a number.
        let words = cause.split_once(": ").filter(|(head, _)| head.starts_with("Error code"));
        let words = words.map_or(cause.as_str(), |(_, words)| words);
        let again = |before: &String| before.contains(words);
        if !said.iter().any(again) {
            said.push(cause);
        }
    }
    said.join(": ")
}
