//! Waiting, but not for ever.
//!
//! Owns the one way to bound a wait. A timer is only made once there is something to wait for: most pieces of a body are
//! here when they are asked for.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

/// Waits until a moment.
///
/// # Errors
/// When the moment came first.
pub(crate) async fn until<F: Future>(limit: Instant, waiting: F) -> Result<F::Output, Elapsed> {
    let mut waiting = pin!(waiting);
    match std::future::poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context))).await {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => tokio::time::timeout_at(limit, waiting).await,
    }
}

/// Waits for a time.
///
/// # Errors
/// When the time was over first.
pub(crate) async fn during<F: Future>(limit: Duration, waiting: F) -> Result<F::Output, Elapsed> {
    let mut waiting = pin!(waiting);
    match std::future::poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context))).await {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => tokio::time::timeout(limit, waiting).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked_on<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(future)
    }

    #[test]
    fn what_is_ready_is_not_late_and_what_never_comes_is() {
        blocked_on(async {
            let past = Instant::now();
            assert_eq!(until(past, std::future::ready(1)).await.unwrap(), 1);
            assert!(until(past, std::future::pending::<()>()).await.is_err());
            assert_eq!(during(Duration::ZERO, std::future::ready(2)).await.unwrap(), 2);
            assert!(during(Duration::ZERO, std::future::pending::<()>()).await.is_err());
        });
    }

    #[test]
    fn what_comes_in_time_is_given() {
        blocked_on(async {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let waiting = tokio::join!(during(Duration::from_secs(60), receiver), async { sender.send(3) });
            assert_eq!(waiting.0.unwrap(), Ok(3));
        });
    }
}
