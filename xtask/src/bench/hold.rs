//! Opens many streams and keeps them open, so that the memory of each can be told.
//!
//! Owns the opening; who measures looks from outside. Every stream has sent its first content before the holding is
//! announced: a stream that only waits for its upstream holds less than one that is being relayed.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::load::Connection;
use super::traffic;

/// Streams being opened at the same time: fewer than a listen queue holds.
const AT_ONCE: usize = 64;
/// The longest wait for the first content of a stream.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens `count` streams, prints `held COUNT` and keeps reading them until standard input ends.
///
/// # Errors
/// When a stream cannot be opened.
pub(super) fn run(address: SocketAddr, key: &str, model: &str, count: usize) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start")?;
    let request: Arc<[u8]> = traffic::request(&address.to_string(), key, model, 512, true).into();
    runtime.block_on(async {
        let gate = Arc::new(Semaphore::new(AT_ONCE));
        let mut opening = JoinSet::new();
        for _ in 0..count {
            let (gate, request) = (Arc::clone(&gate), Arc::clone(&request));
            opening.spawn(async move {
                let _permit = gate.acquire().await.context("failed to wait for a turn")?;
                tokio::time::timeout(PATIENCE, open(address, &request)).await.context("no content in time")?
            });
        }
        let mut held = Vec::with_capacity(count);
        while let Some(stream) = opening.join_next().await {
            let stream = stream.context("failed to open a stream")??;
            held.push(tokio::spawn(drain(stream)));
        }
        let mut output = std::io::stdout();
        writeln!(output, "held {}", held.len()).and_then(|()| output.flush()).context("failed to say so")?;
        super::subject::end_with_parent();
        std::future::pending::<()>().await;
        Ok(())
    })
}

async fn open(address: SocketAddr, request: &[u8]) -> anyhow::Result<Connection> {
    let mut connection = Connection::open(address).await?;
    connection.send(request).await?;
    while connection.answer.marks == 0 {
        let done = connection.read().await?;
        let sample = || String::from_utf8_lossy(&connection.answer.sample).into_owned();
        ensure!(
            !done,
            "the stream ended before it was held: status {}: {}",
            connection.answer.status,
            sample()
        );
    }
    Ok(connection)
}

async fn drain(mut connection: Connection) {
    while matches!(connection.read().await, Ok(false)) {}
}
