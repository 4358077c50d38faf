//! `trunkline key`: virtual keys made and digested.

use crate::configuration;
use anyhow::Context;
use clap::{Args, Subcommand};
use std::io::Read;
use std::process::ExitCode;
use trunkline_config::Pepper;
use trunkline_model::secret::Secret;

/// Options of `key`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a new virtual key and print it with its digest.
    New,
    /// Read a key from standard input and print its digest.
    Digest,
}

/// Makes or digests a key. The pepper is `TRUNKLINE_KEY_SECRET`, as in `key_secret: "${TRUNKLINE_KEY_SECRET}"`.
///
/// # Errors
/// When standard input cannot be read.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let pepper =
        Pepper::new(&Secret::new(configuration::environment("TRUNKLINE_KEY_SECRET").unwrap_or_default()));
    match options.action {
        Action::New => {
            let key = format!("sk-trunk-{:032x}{:016x}", rand::random::<u128>(), rand::random::<u64>());
            println!("key:    {key}");
            println!("digest: {}", pepper.digest(&key));
        }
        Action::Digest => {
            let mut text = String::new();
            std::io::stdin()
                .take(4_096)
                .read_to_string(&mut text)
                .context("read the key from standard input")?;
            println!("{}", pepper.digest(text.trim()));
        }
    }
    Ok(ExitCode::SUCCESS)
}
