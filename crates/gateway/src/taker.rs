//! A client's socket that does not wait for ever to be read from.
//!
//! Owns the bound on how long a client takes nothing of an answer, and the word for it. Must not know requests. Nobody asks an
//! answer's body for more while the socket is full, so none of the answer's own limits would ever be looked at: a client that
//! holds the connection and does not read would keep its call, its place and its limits for as long as it likes.

use crate::traffic::{Full, Traffic};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use trunkline_model::failure::{Failure, FailureClass};

/// Whether a client takes what it is sent: of a connection, or of one of the streams on it.
#[derive(Debug)]
pub(crate) struct Taking {
    patience: Duration,
    is_given_up: AtomicBool,
    is_full: AtomicBool,
    connection: Option<Arc<Self>>,
}

impl Taking {
    /// Of a connection, of which nothing may be taken for as long as `patience`.
    pub(crate) const fn new(patience: Duration) -> Self {
        Self {
            patience,
            is_given_up: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            connection: None,
        }
    }

    /// Of a stream on a connection.
    pub(crate) fn stream(connection: &Arc<Self>) -> Self {
        Self { connection: Some(Arc::clone(connection)), ..Self::new(connection.patience) }
    }

    /// How long nothing may be taken.
    pub(crate) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Nothing was taken for too long.
    pub(crate) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
    }

    /// Whether there are bytes that the socket did not take.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Acquire)
    }

    /// Why a request ends whose client is not waited for any more.
    pub(crate) fn failure(&self) -> Failure {
        let is_given_up = |taking: &Self| taking.is_given_up.load(Ordering::Acquire);
        if is_given_up(self) || self.connection.as_deref().is_some_and(is_given_up) {
            let message =
                format!("the client took nothing of its answer for {} ms", self.patience.as_millis());
            return Failure::new(FailureClass::ClientGone, message);
        }
        Failure::new(FailureClass::ClientGone, "the client went away")
    }
}

/// A socket whose writes fail once nothing could be written for some time.
#[derive(Debug)]
pub(crate) struct Taker<S> {
    socket: S,
    taking: Arc<Taking>,
    traffic: Arc<Traffic>,
    /// Runs while the socket is full; most never are, so there is none before.
    full: Option<(Pin<Box<Sleep>>, Full)>,
}

impl<S> Taker<S> {
    pub(crate) const fn new(socket: S, taking: Arc<Taking>, traffic: Arc<Traffic>) -> Self {
        Self { socket, taking, traffic, full: None }
    }

    fn looked_at<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.full.take().is_some() {
                self.taking.is_full.store(false, Ordering::Release);
            }
            return written;
        }
        let (patience, traffic) = (self.taking.patience, &self.traffic);
        let (timer, _) = self.full.get_or_insert_with(|| (Box::pin(sleep(patience)), traffic.full_socket()));
        self.taking.is_full.store(true, Ordering::Release);
        match timer.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                self.taking.give_up();
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Taker<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taker<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.looked_at(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.looked_at(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    fn taker(server: DuplexStream, patience: Duration) -> (Taker<DuplexStream>, Arc<Taking>, Arc<Traffic>) {
        let (taking, traffic) = (Arc::new(Taking::new(patience)), Arc::new(Traffic::default()));
        (Taker::new(server, Arc::clone(&taking), Arc::clone(&traffic)), taking, traffic)
    }

    #[tokio::test]
    async fn who_reads_is_served_and_who_never_does_is_not_waited_for() {
        let (mut client, server) = duplex(8);
        let (mut served, taking, traffic) = taker(server, Duration::from_millis(20));
        let stream = Taking::stream(&taking);
        assert_eq!(stream.failure().message, "the client went away");
        let writing = tokio::spawn(async move {
            let written = served.write_all(&[7; 64]).await;
            (written, served)
        });
        let mut piece = [0; 32];
        client.read_exact(&mut piece).await.unwrap();
        let (failed, served) = writing.await.unwrap();
        assert_eq!(failed.expect_err("nothing is read any more").kind(), io::ErrorKind::TimedOut);
        assert_eq!(stream.failure().message, "the client took nothing of its answer for 20 ms");
        assert!(taking.is_full() && !traffic.is_over(), "bytes are left that nobody took");
        drop(served);
        assert!(traffic.is_over());
        let (mut client, server) = duplex(8);
        let (mut served, taking, traffic) = taker(server, Duration::from_secs(60));
        let writing = tokio::spawn(async move { served.write_all(&[7; 64]).await });
        client.read_exact(&mut [0; 64]).await.unwrap();
        writing.await.unwrap().unwrap();
        assert!(!taking.is_full() && traffic.is_over());
    }
}
