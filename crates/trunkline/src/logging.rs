//! Logs of the process, on standard error.
//!
//! Owns their form: JSON lines for machines, text for a terminal. Must not be used for the request log, which has its own store.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// One JSON object per line.
    Json,
    /// Text.
    Text,
}

/// Starts logging; `TRUNKLINE_LOG` sets levels, `info` when unset.
pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("TRUNKLINE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    // A second start (in tests) keeps the first one's settings.
    let _ = if json { builder.json().flatten_event(true).try_init() } else { builder.try_init() };
}
