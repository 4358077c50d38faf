//! Memory: idle, after many requests, with many streams open.
//!
//! Owns the three moments at which resident memory is read. Streams are measured in a fresh process: one that has
//! served fifty thousand requests has memory to spare, and the streams would look free.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::subject::{Setup, Subject};
use super::{cpu, measure, probe};

/// Requests after which memory is read.
const REQUESTS: u64 = 50_000;
/// Streams open at the same time.
const STREAMS: usize = 2000;
/// Time between the events of an open stream: slow enough that none ends while it is being counted.
const SLOW: Duration = Duration::from_secs(2);

/// Memory of one subject, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Memory {
    /// After the first request, once quiet.
    pub(super) idle: u64,
    /// After fifty thousand requests, once quiet.
    pub(super) after_requests: u64,
    /// What each of two thousand open streams adds.
    pub(super) per_stream: f64,
}

/// Measures the memory of `subject`.
///
/// # Errors
/// When a process fails or a request is answered wrongly.
pub(super) fn run(setup: &Setup, upstream: SocketAddr, subject: Subject) -> anyhow::Result<Memory> {
    let server = setup.start(subject, upstream)?;
    let pid = server.pid().context("failed to find the process")?;
    cpu::time_when_quiet(pid)?;
    let idle = cpu::resident_bytes(pid)?;
    measure::send(setup, &server, REQUESTS)?;
    cpu::time_when_quiet(pid)?;
    let after_requests = cpu::resident_bytes(pid)?;
    drop(server);
    let per_stream = streams(setup, upstream, subject)?;
    Ok(Memory { idle, after_requests, per_stream })
}

fn streams(setup: &Setup, upstream: SocketAddr, subject: Subject) -> anyhow::Result<f64> {
    probe::set_pace(upstream, SLOW)?;
    let server = setup.start(subject, upstream)?;
    let pid = server.pid().context("failed to find the process")?;
    cpu::time_when_quiet(pid)?;
    let before = cpu::resident_bytes(pid)?;
    let (address, count) = (server.address.to_string(), STREAMS.to_string());
    let arguments = [
        "hold",
        "--address",
        &address,
        "--key",
        &server.key,
        "--model",
        server.model(false),
        "--count",
        &count,
    ];
    let mut holder = setup.spawn_part(&arguments, setup.cores.map(|cores| cores.load))?;
    let mut line = String::new();
    let output = holder.stdout.take().context("failed to read what the holder says")?;
    BufReader::new(output).read_line(&mut line).context("failed to read what the holder says")?;
    let during = cpu::resident_bytes(pid);
    drop(holder.stdin.take());
    holder.wait().context("failed to wait for the holder")?;
    anyhow::ensure!(line.trim() == format!("held {STREAMS}"), "failed to open {STREAMS} streams");
    Ok(during?.saturating_sub(before) as f64 / STREAMS as f64)
}
