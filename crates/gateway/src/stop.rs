//! The end of a drain: what is still open is told why it ends.
//!
//! Owns the moment when the drain deadline has passed, and the words for it. Every connection is woken then, once; whoever waits
//! inside it looks at a flag each time it is woken anyway, so that no request pays for a stop that hardly any of them sees.
//! Must not know what waits, nor in which protocol it is told.

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::sync::watch;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::failure::{Failure, FailureClass};

const MESSAGE: &str = "the gateway was stopped before the answer was complete; send the request again";

/// Whether the drain deadline has passed.
#[derive(Debug)]
pub(crate) struct Stop {
    has_come: AtomicBool,
    bell: watch::Sender<()>,
}

/// The drain deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

impl Default for Stop {
    fn default() -> Self {
        Self { has_come: AtomicBool::new(false), bell: watch::Sender::new(()) }
    }
}

impl Stop {
    /// From here on everything that waits ends, with an error for whoever waits for it.
    pub(crate) fn come(&self) {
        self.has_come.store(true, Ordering::Release);
        self.bell.send_replace(());
    }

    /// Whether it has come.
    #[must_use]
    pub(crate) fn has_come(&self) -> bool {
        self.has_come.load(Ordering::Acquire)
    }

    /// What wakes a task when it comes.
    pub(crate) fn bell(&self) -> Bell {
        Bell(self.bell.subscribe())
    }

    /// Waits for it. Nothing is woken by this: the task is, by its [`Bell`].
    pub(crate) async fn seen(&self) {
        poll_fn(|_| if self.has_come() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Waits for something, but not past the stop; nothing is woken by this either. Ends with [`Stopped`] when the stop came first.
    pub(crate) const fn before<F: Future>(&self, waiting: F) -> Before<'_, F> {
        Before { waiting, stop: self }
    }
}

pin_project! {
    /// Something that is waited for, but not past the stop. By hand, because an `async` function carries what it is given twice, and
    /// this is given whole requests.
    pub(crate) struct Before<'a, F> {
        #[pin]
        waiting: F,
        stop: &'a Stop,
    }
}

impl<F: Future> Future for Before<'_, F> {
    type Output = Result<F::Output, Stopped>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.waiting.poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if this.stop.has_come() => Poll::Ready(Err(Stopped)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Stopped {
    /// What an attempt that was under way ended with: nobody's fault, and its deadline is over.
    pub(crate) fn failure(self) -> Failure {
        Failure::new(FailureClass::TotalTimeout, MESSAGE)
    }

    /// What the client is told.
    pub(crate) fn error(self) -> ClientError {
        ClientError::new(ErrorCode::Overloaded, MESSAGE)
    }
}

/// Wakes tasks when the stop comes. As the executor of HTTP/2 connections it wakes the task of each of their streams.
#[derive(Clone, Debug)]
pub(crate) struct Bell(watch::Receiver<()>);

impl Bell {
    /// A task of its own, woken when the stop comes.
    pub(crate) fn waking<F: Future>(&self, inner: F) -> Waking<F> {
        let mut bell = self.0.clone();
        let rings = async move {
            // Whether it rang or there is nobody left to ring it: the task looks for itself.
            let _ = bell.changed().await;
        };
        Waking { inner, rings: Some(Box::pin(rings)), waits: false }
    }
}

impl<F> Executor<F> for Bell
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(self.waking(future));
    }
}

pin_project! {
    /// A task's outermost future.
    pub(crate) struct Waking<F> {
        #[pin]
        inner: F,
        rings: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
        waits: bool,
    }
}

impl<F: Future> Future for Waking<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        // Once is enough: a task is woken through the same waker all its life.
        if !std::mem::replace(this.waits, true)
            && let Some(rings) = this.rings
            && rings.as_mut().poll(context).is_ready()
        {
            *this.rings = None;
        }
        this.inner.poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    #[tokio::test]
    async fn whoever_waits_is_woken_and_told() {
        let stop = Arc::new(Stop::default());
        let (bell, inside) = (stop.bell(), Arc::clone(&stop));
        let task =
            tokio::spawn(bell.waking(async move { inside.before(std::future::pending::<()>()).await }));
        tokio::task::yield_now().await;
        assert!(!task.is_finished());
        stop.come();
        let told = tokio::time::timeout(Duration::from_secs(60), task).await.unwrap().unwrap();
        assert_eq!(told, Err(Stopped));
    }

    #[tokio::test]
    async fn what_is_ready_is_not_lost_and_who_comes_late_is_told() {
        let stop = Stop::default();
        stop.come();
        assert_eq!(stop.before(std::future::ready(1)).await, Ok(1));
        assert_eq!(stop.bell().waking(stop.before(std::future::pending::<()>())).await, Err(Stopped));
    }
}
