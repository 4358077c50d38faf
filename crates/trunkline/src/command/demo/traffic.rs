//! The stream of requests: so many a second, whatever becomes of the earlier ones.
//!
//! Owns the pace and the bound on open requests. Must not judge answers: it passes them on.

use super::client::{Answer, ask};
use super::prompts::prompt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// Requests open at the same time at the most; at this point the pace yields.
const MOST_OPEN: usize = 256;

/// The running stream. Stops when dropped; what was sent by then still comes to its end.
pub(super) struct Traffic {
    sent: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Traffic {
    /// Starts sending this many requests a second.
    pub(super) fn start(address: SocketAddr, rate: f64, answers: mpsc::Sender<Answer>) -> Self {
        let sent = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(send(address, rate, Arc::clone(&sent), answers));
        Self { sent, task }
    }

    /// Requests sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Sends no more and says how many were sent.
    pub(super) async fn stop(&mut self) -> u64 {
        self.task.abort();
        // Cancelled is how it ends; nothing is counted after this.
        let _ = (&mut self.task).await;
        self.sent()
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn send(address: SocketAddr, rate: f64, sent: Arc<AtomicU64>, answers: mpsc::Sender<Answer>) {
    let open = Arc::new(Semaphore::new(MOST_OPEN));
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Ok(place) = Arc::clone(&open).acquire_owned().await else { return };
        let number = sent.fetch_add(1, Ordering::Relaxed);
        let answers = answers.clone();
        tokio::spawn(async move {
            let answer = ask(address, prompt(number)).await;
            drop(place);
            // Nobody listens any more once the demo has ended.
            let _ = answers.send(answer).await;
        });
    }
}
