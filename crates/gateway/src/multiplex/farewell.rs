//! The end of a socket that its client still writes to.
//!
//! Owns the moment between the last byte to a client and the end of its socket. Must not know frames. A client of HTTP/2 writes
//! while it reads (it grants room, it answers pings); bytes that come to a socket which is gone make the system throw away what
//! the client has not read yet. So the writing half ends first, and what comes is read until the client has gone too, or is
//! silent, or has talked for long enough.

use super::presence::Presence;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Duration, Instant, Sleep, sleep};

/// A client that says nothing for this long after the last byte to it has read it, or never will.
const SILENCE: Duration = Duration::from_secs(2);
/// Nobody is listened to for longer than this.
const LONGEST: Duration = Duration::from_secs(30);

/// A socket that is left in good order.
#[derive(Debug)]
pub(super) struct Farewell<S> {
    socket: S,
    presence: Arc<Presence>,
    patience: Patience,
    /// Runs from the end of the writing half.
    silence: Option<(Pin<Box<Sleep>>, Instant)>,
}

/// How long a client is listened to.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// While it says nothing.
    silence: Duration,
    /// Whatever it says.
    longest: Duration,
}

impl<S> Farewell<S> {
    pub(super) const fn new(socket: S, presence: Arc<Presence>) -> Self {
        let patience = Patience { silence: SILENCE, longest: LONGEST };
        Self { socket, presence, patience, silence: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Farewell<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if read.is_ready() {
            self.presence.heard();
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Farewell<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let (silence, last) = match &mut this.silence {
            Some(silence) => silence,
            None => {
                ready!(Pin::new(&mut this.socket).poll_shutdown(context))?;
                let last = Instant::now() + this.patience.longest;
                this.silence.insert((Box::pin(sleep(this.patience.silence)), last))
            }
        };
        let mut room = [0; 1_024];
        loop {
            let mut buffer = ReadBuf::new(&mut room);
            match Pin::new(&mut this.socket).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    let now = Instant::now();
                    if now >= *last {
                        return Poll::Ready(Ok(()));
                    }
                    silence.as_mut().reset((now + this.patience.silence).min(*last));
                }
                // It has gone; how does not matter any more.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return silence.as_mut().poll(context).map(Ok),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    async fn left(
        silence: Duration,
        longest: Duration,
        client: impl AsyncFnOnce(&mut DuplexStream) -> bool,
    ) -> DuplexStream {
        let (mut other, server) = duplex(8);
        let mut socket = Farewell {
            patience: Patience { silence, longest },
            ..Farewell::new(server, Arc::new(Presence::new()))
        };
        let leaving = tokio::spawn(async move {
            socket.shutdown().await.unwrap();
        });
        assert_eq!(other.read(&mut [0; 8]).await.unwrap(), 0, "the end comes at once");
        if client(&mut other).await {
            other.shutdown().await.unwrap();
        }
        leaving.await.unwrap();
        other
    }

    #[tokio::test]
    async fn who_still_says_something_is_listened_to_until_it_goes() {
        left(Duration::from_secs(600), Duration::from_secs(600), async |client| {
            // Far more than fits between the two.
            client.write_all(&[7; 4_096]).await.unwrap();
            true
        })
        .await;
    }

    #[tokio::test]
    async fn who_stays_and_is_silent_is_left() {
        let mut client = left(Duration::from_millis(20), Duration::from_secs(600), async |_| false).await;
        assert!(client.write_all(&[7; 64]).await.is_err(), "nobody is there");
    }

    #[tokio::test]
    async fn who_never_stops_talking_is_left_too() {
        left(Duration::from_secs(600), Duration::from_millis(20), async |client| {
            while client.write_all(&[7; 64]).await.is_ok() {
                tokio::task::yield_now().await;
            }
            false
        })
        .await;
    }
}
