//! A response body that plays a list of steps: wait, send, break.
//!
//! Owns timing and the telling of "all sent" from "the client went away" (a body dropped with steps left). What the
//! steps are is decided in `perform`.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::connection::{Control, Sever};
use crate::observe::Exchange;

/// One thing that a body does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Waits; zero lets the connection flush.
    Wait(Duration),
    /// Sends bytes.
    Send(Bytes),
    /// Sends bytes in an HTTP/1.1 chunk whose end is withheld.
    SendUnfinished(Bytes),
    /// Waits for ever.
    Hang,
    /// Ends the connection.
    Sever(Sever),
    /// Fails the body: HTTP/1.1 closes, HTTP/2 resets the stream.
    Break,
}

/// Filling of an unfinished chunk: never sent, but counted in the chunk's length.
const FILLING: usize = 64;
/// The line end behind an HTTP/1.1 chunk.
const CHUNK_END: usize = 2;

/// The body of every response.
#[derive(Debug)]
pub(crate) struct SimBody {
    steps: VecDeque<Step>,
    length: Option<u64>,
    sleep: Option<Pin<Box<Sleep>>>,
    control: Arc<Control>,
    exchange: Exchange,
}

impl SimBody {
    pub(crate) fn new(
        steps: VecDeque<Step>,
        length: Option<u64>,
        control: Arc<Control>,
        mut exchange: Exchange,
    ) -> Self {
        exchange.open();
        if steps.is_empty() {
            exchange.finish();
        }
        Self { steps, length, sleep: None, control, exchange }
    }

    fn send(&mut self, bytes: Bytes) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.exchange.wrote(bytes.len());
        if self.steps.is_empty() {
            // A body of known length is not asked again after its last byte.
            self.exchange.finish();
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl Body for SimBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        loop {
            if let Some(sleep) = &mut this.sleep {
                ready!(sleep.as_mut().poll(context));
                this.sleep = None;
            }
            match this.steps.pop_front() {
                None => {
                    this.exchange.finish();
                    return Poll::Ready(None);
                }
                Some(Step::Wait(Duration::ZERO)) => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::Wait(duration)) => {
                    this.sleep = Some(Box::pin(tokio::time::sleep_until(Instant::now() + duration)));
                }
                Some(Step::Send(bytes)) if bytes.is_empty() => {}
                Some(Step::Send(bytes)) => return this.send(bytes),
                Some(Step::SendUnfinished(bytes)) => {
                    this.control.withhold(FILLING + CHUNK_END);
                    let mut chunk = BytesMut::with_capacity(bytes.len() + FILLING);
                    chunk.extend_from_slice(&bytes);
                    chunk.resize(bytes.len() + FILLING, b' ');
                    return this.send(chunk.freeze());
                }
                Some(Step::Hang) => {
                    this.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
                Some(Step::Sever(how)) => {
                    this.exchange.sever();
                    this.control.sever(how);
                    this.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
                Some(Step::Break) => {
                    this.exchange.sever();
                    return Poll::Ready(Some(Err(io::Error::other("the script breaks this answer"))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
