//! Busy polling: looking for work instead of sleeping while there may be some.
//!
//! Owns when one thread of the runtime stays awake. A processor that has nothing to do halts, and to be woken from that takes tens
//! of microseconds in a virtual machine: more than the gateway takes for a request, and twice per request, because it waits for
//! the client and for the provider. Whoever has a core to spare buys that time with it. Must not know what the work is: a task
//! that is always ready keeps the runtime asking the operating system for events without ever blocking in it.

use crate::state::Gateway;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, yield_now};

/// What wakes the polling.
#[derive(Debug, Default)]
pub(crate) struct Polling {
    asleep: AtomicBool,
    wake: Notify,
}

/// The polling of a server; ends when dropped.
#[derive(Debug)]
pub(crate) struct Running(AbortHandle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Polling {
    /// A request has come. Where nothing polls, this is one look at a flag.
    ///
    /// It may miss a polling that is just falling asleep: that costs one request its microseconds and nothing else.
    pub(crate) fn stir(&self) {
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            self.wake.notify_one();
        }
    }

    /// The configuration has changed.
    pub(crate) fn look_again(&self) {
        self.wake.notify_one();
    }
}

/// Begins to poll whenever requests are open, and for `server.busy_poll` after the last of them.
pub(crate) fn begin(gateway: &Arc<Gateway>) -> Running {
    let gateway = Arc::clone(gateway);
    let task = tokio::spawn(async move {
        loop {
            // Requests wake only a polling that is wanted.
            let wanted = !gateway.generation().snapshot.server.busy_poll.is_zero();
            gateway.polling.asleep.store(wanted, Ordering::Relaxed);
            gateway.polling.wake.notified().await;
            let by_request = !gateway.polling.asleep.load(Ordering::Relaxed);
            if wanted && by_request {
                poll(&gateway).await;
            }
        }
    });
    Running(task.abort_handle())
}

async fn poll(gateway: &Gateway) {
    let mut linger = gateway.generation().snapshot.server.busy_poll;
    let mut quiet_since = None;
    while !linger.is_zero() {
        yield_now().await;
        if gateway.open_requests() > 0 {
            quiet_since = None;
            continue;
        }
        let now = Instant::now();
        if now.duration_since(*quiet_since.get_or_insert(now)) >= linger {
            return;
        }
        // It may have been changed meanwhile.
        linger = gateway.generation().snapshot.server.busy_poll;
    }
}
