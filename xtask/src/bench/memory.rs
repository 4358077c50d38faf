//! Memory: idle, after many requests, with many streams open.
//!
//! Owns the three moments at which resident memory is read. Streams are measured in a fresh process: one that has
//! served fifty thousand requests has memory to spare, and the streams would look free.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::scenario::CHUNKS;
use super::subject::{Setup, Subject};
use super::{cpu, measure, probe};

/// Requests after which memory is read.
const REQUESTS: u64 = 50_000;
/// Streams open at the same time.
const STREAMS: usize = 2000;
/// Bytes of a large picture.
const PICTURE: usize = 20_000_000;
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
    /// What one request with a large picture adds at its peak, in sizes of the picture; passed on, and translated.
    pub(super) picture: [f64; 2],
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
    let picture = [picture(setup, upstream, subject, false)?, picture(setup, upstream, subject, true)?];
    Ok(Memory { idle, after_requests, per_stream, picture })
}

/// The first such request of a fresh process: one that has served them has memory to spare.
fn picture(setup: &Setup, upstream: SocketAddr, subject: Subject, translated: bool) -> anyhow::Result<f64> {
    let server = setup.start(subject, upstream)?;
    let pid = server.pid().context("failed to find the process")?;
    cpu::time_when_quiet(pid)?;
    let before = cpu::resident_bytes(pid)?;
    cpu::forget_peak(pid)?;
    probe::picture(server.address, &server.key, server.model(translated), PICTURE)?;
    let peak = cpu::peak_bytes(pid)?;
    Ok(peak.saturating_sub(before) as f64 / PICTURE as f64)
}

fn streams(setup: &Setup, upstream: SocketAddr, subject: Subject) -> anyhow::Result<f64> {
    probe::set_pace(upstream, SLOW, CHUNKS)?;
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
