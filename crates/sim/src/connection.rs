//! One TCP connection as the simulator holds it: a socket that can be made to break.
//!
//! Owns the byte-level tricks: withholding the end of what is written, so that a cut falls inside a chunk, and closing
//! with FIN or RST. It must not know HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::server::TlsStream;

/// How a connection ends on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sever {
    /// FIN.
    Close,
    /// RST.
    Reset,
    /// HTTP/2: GOAWAY, then FIN.
    GoAway,
}

/// Orders from a request's body to its connection.
#[derive(Debug, Default)]
pub(crate) struct Control {
    withheld: AtomicUsize,
    reset: AtomicBool,
    pub(crate) going_away: AtomicBool,
    severed: Notify,
}

impl Control {
    /// From now on the last `length` bytes written stay here.
    pub(crate) fn withhold(&self, length: usize) {
        self.withheld.store(length, Ordering::Release);
    }

    /// Ends the connection.
    pub(crate) fn sever(&self, how: Sever) {
        self.reset.store(how == Sever::Reset, Ordering::Release);
        self.going_away.store(how == Sever::GoAway, Ordering::Release);
        self.severed.notify_one();
    }

    /// Resolves once the connection is to end.
    pub(crate) async fn severed(&self) {
        self.severed.notified().await;
    }
}

/// Clear text or TLS over TCP.
#[derive(Debug)]
pub(crate) enum Socket {
    Clear(TcpStream),
    Secured(Box<TlsStream<TcpStream>>),
}

impl Socket {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Clear(stream) => stream,
            Self::Secured(stream) => stream.get_ref().0,
        }
    }
}

/// A socket under a [`Control`].
#[derive(Debug)]
pub(crate) struct Wire {
    socket: Socket,
    control: Arc<Control>,
    held: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(socket: Socket, control: Arc<Control>) -> Self {
        Self { socket, control, held: Vec::new() }
    }

    /// Writes what is held beyond the part to withhold.
    fn drain(&mut self, context: &mut Context<'_>, withheld: usize) -> Poll<io::Result<()>> {
        while self.held.len() > withheld {
            let ready = self.held.len() - withheld;
            let written = ready!(write(&mut self.socket, context, &self.held[..ready]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.control.reset.load(Ordering::Acquire) {
            // A socket that is gone already cannot be reset, and need not be.
            let _ = self.socket.tcp().set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Clear(stream) => Pin::new(stream).poll_read(context, buffer),
            Socket::Secured(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.control.withheld.load(Ordering::Acquire) == 0 {
            return write(&mut this.socket, context, buffer);
        }
        this.held.extend_from_slice(buffer);
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let withheld = this.control.withheld.load(Ordering::Acquire);
        ready!(this.drain(context, withheld))?;
        match &mut this.socket {
            Socket::Clear(stream) => Pin::new(stream).poll_flush(context),
            Socket::Secured(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Clear(stream) => Pin::new(stream).poll_shutdown(context),
            Socket::Secured(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.control.withheld.load(Ordering::Acquire) == 0 {
            return match &mut this.socket {
                Socket::Clear(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
                Socket::Secured(stream) => Pin::new(stream.as_mut()).poll_write_vectored(context, buffers),
            };
        }
        for buffer in buffers {
            this.held.extend_from_slice(buffer);
        }
        Poll::Ready(Ok(buffers.iter().map(|buffer| buffer.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        matches!(self.socket, Socket::Clear(_))
    }
}

fn write(socket: &mut Socket, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
    match socket {
        Socket::Clear(stream) => Pin::new(stream).poll_write(context, buffer),
        Socket::Secured(stream) => Pin::new(stream.as_mut()).poll_write(context, buffer),
    }
}
