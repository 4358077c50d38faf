//! Workspace chores: `cargo xtask tidy`, `test`, `conformance`, `catalogue`, `bench`, `dist`, `fuzz`.
//!
//! Owns what keeps the repository honest: the invariants as checks, the one command that runs every test, and the
//! benchmark. It must not hold anything the shipped binary needs: nothing depends on this crate. It is a program
//! rather than a folder of scripts so that a fresh clone needs nothing but Rust to run it.

mod bench;
mod catalogue;
mod dist;
mod fuzz;
mod suite;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Workspace chores of Trunkline.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, about)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Check the invariants of the repository: layers, purity, module docs, sizes, lists, links.
    Tidy,
    /// Run everything that must pass: format, lints, tidy, tests, documentation tests, official clients.
    Test(suite::Options),
    /// Run the official clients and frameworks against simulators and gateway, and check the matrix in the documentation.
    Conformance(suite::ConformanceOptions),
    /// Make the bundled model catalogue and the embedded lists of presets and models.
    Catalogue(catalogue::Arguments),
    /// Measure the gateway beside a plain reverse proxy and print the table of figures.
    Bench(bench::Options),
    /// Build the binary that ships: laid out by a training run of the benchmark's traffic.
    Dist(dist::Options),
    /// Fuzz every decoder, with coverage, for a minute each.
    Fuzz(fuzz::Options),
    /// One process of the benchmark; started by `bench`, not by hand.
    #[command(hide = true)]
    BenchPart {
        #[command(subcommand)]
        part: bench::Part,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Tidy => tidy::run(),
        Chore::Test(options) => suite::run(&options),
        Chore::Conformance(options) => suite::run_conformance(&options),
        Chore::Catalogue(arguments) => catalogue::run(&arguments).map(|()| ExitCode::SUCCESS),
        Chore::Bench(options) => bench::run(&options),
        Chore::Dist(options) => dist::run(&options),
        Chore::Fuzz(options) => fuzz::run(&options),
        Chore::BenchPart { part } => bench::run_part(part),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
