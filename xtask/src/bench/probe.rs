//! One request at a time, for everything that is not load: is it up, set the pace, does it answer.
//!
//! Owns a blocking client of a few lines. It must not be used for timing anything but a start.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

use super::answer::Answer;
use super::{mock, traffic};

const PATIENCE: Duration = Duration::from_secs(10);

/// Sends one request and returns the answer.
///
/// # Errors
/// When the server cannot be reached or does not answer in time.
pub(super) fn ask(address: SocketAddr, request: &[u8]) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).context("failed to connect")?;
    stream.set_read_timeout(Some(PATIENCE)).context("failed to set a time-out")?;
    stream.set_nodelay(true).context("failed to set TCP_NODELAY")?;
    stream.write_all(request).context("failed to send")?;
    let mut answer = Answer::default();
    let mut buffer = [0; 16 * 1024];
    loop {
        let length = stream.read(&mut buffer).context("failed to receive")?;
        anyhow::ensure!(length > 0, "the connection was closed within an answer");
        if answer.feed(&buffer[..length]).context("failed to read the answer")? {
            return Ok(answer);
        }
    }
}

/// Sends one request with a picture of `size` bytes and expects it to be answered rightly.
///
/// # Errors
/// When it is not, with what was answered instead.
pub(super) fn picture(address: SocketAddr, key: &str, model: &str, size: usize) -> anyhow::Result<()> {
    let answer = ask(address, &traffic::picture_request(&address.to_string(), key, model, size))?;
    let said = String::from_utf8_lossy(&answer.sample);
    anyhow::ensure!(answer.status == 200, "status {} for a picture: {}", answer.status, said.trim());
    Ok(())
}

/// Sends one small chat completion and expects it to be answered rightly.
///
/// # Errors
/// When it is not, with what was answered instead.
pub(super) fn chat(address: SocketAddr, key: &str, model: &str) -> anyhow::Result<()> {
    let answer = ask(address, &traffic::request(&address.to_string(), key, model, 512, false))?;
    let said = String::from_utf8_lossy(&answer.sample);
    anyhow::ensure!(answer.status == 200, "status {} for model {model}: {}", answer.status, said.trim());
    Ok(())
}

/// Sets the time between the events of the upstream's streams, zero for a burst, and how many of them carry content.
///
/// # Errors
/// When the upstream does not answer.
pub(super) fn set_pace(upstream: SocketAddr, pace: Duration, chunks: usize) -> anyhow::Result<()> {
    let path = format!("{}{}/{chunks}", mock::PACE_PATH, pace.as_micros());
    let request = format!("POST {path} HTTP/1.1\r\nhost: {upstream}\r\ncontent-length: 0\r\n\r\n");
    let answer = ask(upstream, request.as_bytes()).context("failed to set the upstream's pace")?;
    anyhow::ensure!(answer.status == 200, "the upstream refused a pace with status {}", answer.status);
    Ok(())
}
