//! Cold start: from starting the process to the first request served.
//!
//! Owns the repetition. Each start is with an empty store and a fresh process; the binary itself is in the page cache,
//! as it is when a service restarts.

use std::net::SocketAddr;
use std::time::Duration;

use super::histogram;
use super::subject::{Setup, Subject};

/// Milliseconds to the first request served, the median of `starts`.
///
/// # Errors
/// When a start fails.
pub(super) fn run(
    setup: &Setup,
    upstream: SocketAddr,
    subject: Subject,
    starts: usize,
) -> anyhow::Result<f64> {
    let mut times = Vec::with_capacity(starts);
    for _ in 0..starts {
        times.push(milliseconds(setup.start(subject, upstream)?.start));
    }
    Ok(histogram::median(&times).unwrap_or_default())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
