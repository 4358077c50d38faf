//! A client's socket that does not wait for ever to be read from.
//!
//! Owns the bound on how long a client takes nothing of an answer. Must not know requests. Nobody asks an answer's body for more
//! while the socket is full, so none of the answer's own limits would ever be looked at: a client that holds the connection and
//! does not read would keep its call, its place and its limits for as long as it likes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A socket whose writes fail once nothing could be written for some time.
#[derive(Debug)]
pub(crate) struct Taker<S> {
    socket: S,
    patience: Duration,
    /// Runs while the socket is full; most never are, so there is none before.
    full: Option<Pin<Box<Sleep>>>,
}

impl<S> Taker<S> {
    pub(crate) const fn new(socket: S, patience: Duration) -> Self {
        Self { socket, patience, full: None }
    }

    fn looked_at<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.full = None;
            return written;
        }
        let patience = self.patience;
        let full = self.full.get_or_insert_with(|| Box::pin(sleep(patience)));
        match full.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn who_reads_is_served_and_who_never_does_is_not_waited_for() {
        let (mut client, server) = duplex(8);
        let mut taker = Taker::new(server, Duration::from_millis(20));
        let writing = tokio::spawn(async move { taker.write_all(&[7; 64]).await });
        let mut piece = [0; 32];
        client.read_exact(&mut piece).await.unwrap();
        let failed = writing.await.unwrap().expect_err("nothing is read any more");
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        let (mut client, server) = duplex(8);
        let mut taker = Taker::new(server, Duration::from_secs(60));
        let writing = tokio::spawn(async move { taker.write_all(&[7; 64]).await });
        client.read_exact(&mut [0; 64]).await.unwrap();
        writing.await.unwrap().unwrap();
    }
}
