//! `trunkline check` and `trunkline schema`.

use crate::configuration::{self, Origin};
use clap::Args;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `check`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A configuration file, or a folder of them.
    #[arg(value_name = "FILE")]
    path: PathBuf,
}

/// Reports every mistake.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let sources = Origin::Path(options.path.clone()).sources()?;
    let styled = std::io::stdout().is_terminal();
    match configuration::load(sources) {
        Ok(loaded) => {
            if !loaded.problems.is_empty() {
                print!("{}", loaded.problems.render(&loaded.sources, styled));
            }
            let snapshot = &loaded.snapshot;
            println!(
                "{} is valid: {} providers, {} deployments, {} routes, {} virtual keys",
                options.path.display(),
                snapshot.providers.len(),
                snapshot.fleet.len(),
                snapshot.routes.iter().count(),
                snapshot.keys.iter().count(),
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(invalid) => {
            print!("{}", invalid.problems.render(&invalid.sources, styled));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Prints the JSON Schema of configuration files.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn schema() -> anyhow::Result<ExitCode> {
    println!("{}", serde_json::to_string_pretty(&trunkline_config::json_schema())?);
    Ok(ExitCode::SUCCESS)
}
