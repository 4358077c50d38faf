//! A stream whose client takes nothing of it.
//!
//! Owns the bound on how long an answer waits for room in its client's window. Must not know what is in it. While the window of
//! a stream is full nobody asks its body for more, and the socket is not full at all, so none of the other limits is looked at.
//! The stream's task is: a body that has given a piece and is not asked for the next when the task goes to rest waits for room.
//!
//! Streams that flow pay two stores for each piece. The timer exists from the first time that one waits, and is moved when it
//! fires, not for every piece.

use super::presence::{Presence, Visit};
use crate::stop::Bell;
use crate::taker::Taking;
use hyper::rt::Executor;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use tokio::time::{Duration, Instant, Sleep, sleep_until};

/// A stream that waits this long for room is slow: it gets small pieces, so that little steps show.
const SLOW: Duration = Duration::from_secs(1);

/// What the body of a stream and its task know of each other.
#[derive(Debug)]
pub(super) struct Flow {
    taking: Arc<Taking>,
    /// A piece was given and the next not asked for.
    is_waiting: AtomicBool,
    /// Pieces given, around the clock of its number.
    pieces: AtomicU32,
    is_slow: AtomicBool,
}

impl Flow {
    pub(super) fn new(taking: Taking) -> Self {
        Self {
            taking: Arc::new(taking),
            is_waiting: AtomicBool::new(false),
            pieces: AtomicU32::new(0),
            is_slow: AtomicBool::new(false),
        }
    }

    /// Whether the client takes the stream.
    pub(super) const fn taking(&self) -> &Arc<Taking> {
        &self.taking
    }

    /// The body is asked for a piece: what it gave before has gone where there was room for it.
    pub(super) fn asked(&self) {
        self.is_waiting.store(false, Ordering::Relaxed);
    }

    /// The body gives a piece.
    pub(super) fn gave(&self) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
        self.is_waiting.store(true, Ordering::Relaxed);
    }

    /// Whether its client is slow.
    pub(super) fn is_slow(&self) -> bool {
        self.is_slow.load(Ordering::Relaxed)
    }
}

/// Makes the tasks of a connection's streams: each is woken for the stop and watched while it waits for room.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    bell: Bell,
    presence: Arc<Presence>,
}

impl Streams {
    pub(super) const fn new(bell: Bell, presence: Arc<Presence>) -> Self {
        Self { bell, presence }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        match self.presence.begin() {
            Some((flow, visit)) => self.bell.execute(Watched::new(future, flow, visit)),
            None => self.bell.execute(future),
        }
    }
}

pin_project! {
    /// A stream's task. It ends early, which resets the stream, when nothing was taken of it for too long.
    struct Watched<F> {
        #[pin]
        inner: F,
        flow: Arc<Flow>,
        // When it began to wait for room, and behind which piece.
        waits: Option<(Instant, u32)>,
        timer: Option<Pin<Box<Sleep>>>,
        _visit: Visit,
    }
}

impl<F> Watched<F> {
    const fn new(inner: F, flow: Arc<Flow>, visit: Visit) -> Self {
        Self { inner, flow, waits: None, timer: None, _visit: visit }
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.inner.poll(context).is_ready() {
            return Poll::Ready(());
        }
        let flow = this.flow;
        if !flow.is_waiting.load(Ordering::Relaxed) {
            *this.waits = None;
            return Poll::Pending;
        }
        let pieces = flow.pieces.load(Ordering::Relaxed);
        let since = match *this.waits {
            Some((since, behind)) if behind == pieces => since,
            _ => {
                let now = Instant::now();
                *this.waits = Some((now, pieces));
                now
            }
        };
        let patience = flow.taking.patience();
        let first = since + SLOW.min(patience);
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(first)));
        if timer.deadline() > first && !flow.is_slow() {
            timer.as_mut().reset(first);
        }
        while timer.as_mut().poll(context).is_ready() {
            match look(since.elapsed(), patience) {
                Look::GiveUp => {
                    flow.taking.give_up();
                    return Poll::Ready(());
                }
                Look::Again { after, is_slow } => {
                    flow.is_slow.fetch_or(is_slow, Ordering::Relaxed);
                    timer.as_mut().reset(since + after);
                }
            }
        }
        Poll::Pending
    }
}

/// What becomes of a stream that waits for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// It is looked at again when it has waited for so long.
    Again { after: Duration, is_slow: bool },
    /// It is given up.
    GiveUp,
}

/// Looks at a stream that has waited for so long.
fn look(waited: Duration, patience: Duration) -> Look {
    let slow = SLOW.min(patience);
    if waited >= patience {
        Look::GiveUp
    } else if waited >= slow {
        Look::Again { after: patience, is_slow: true }
    } else {
        Look::Again { after: slow, is_slow: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::Stop;
    use std::future::poll_fn;
    use tokio::sync::mpsc;

    struct Case {
        flow: Arc<Flow>,
        presence: Arc<Presence>,
        /// Room for this many pieces comes, and then a piece more to wait, or none.
        room: mpsc::UnboundedSender<(u32, bool)>,
    }

    /// A stream that gives a piece for each room it has.
    fn stream(patience: Duration) -> Case {
        let presence = Arc::new(Presence::new());
        let flow = Arc::new(Flow::new(Taking::new(patience)));
        let (room, mut comes) = mpsc::unbounded_channel();
        let inside = Arc::clone(&flow);
        let future = poll_fn(move |context| {
            while let Poll::Ready(Some((pieces, waits))) = comes.poll_recv(context) {
                for _ in 0..pieces {
                    inside.asked();
                    inside.gave();
                }
                inside.asked();
                if waits {
                    inside.gave();
                }
            }
            Poll::<()>::Pending
        });
        presence.announce(Arc::clone(&flow));
        Streams::new(Stop::default().bell(), Arc::clone(&presence)).execute(future);
        Case { flow, presence, room }
    }

    #[tokio::test]
    async fn a_stream_of_which_nothing_is_taken_is_given_up() {
        let case = stream(Duration::from_millis(20));
        case.room.send((3, true)).unwrap();
        // Its task and all it held are gone.
        case.room.closed().await;
        assert!(case.presence.is_empty());
        assert!(case.flow.taking().failure().message.contains("took nothing"));
    }

    #[tokio::test]
    async fn a_stream_whose_provider_is_silent_waits_for_nobody() {
        let case = stream(Duration::from_millis(1));
        case.room.send((3, false)).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!case.presence.is_empty() && !case.room.is_closed());
        assert!(case.flow.taking().failure().message.contains("went away"));
    }

    #[test]
    fn it_is_slow_before_it_is_given_up() {
        let seconds = Duration::from_secs;
        let looks = [0, 1, 29, 30, 31].map(|waited| look(seconds(waited), seconds(30)));
        let again = |after, is_slow| Look::Again { after: seconds(after), is_slow };
        let expected = [again(1, false), again(30, true), again(30, true), Look::GiveUp, Look::GiveUp];
        assert_eq!(looks, expected);
        assert_eq!(look(Duration::ZERO, Duration::ZERO), Look::GiveUp);
    }
}
