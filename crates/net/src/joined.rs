//! A socket that is written to in one piece where the pieces are small.
//!
//! Owns the choice how several pieces are handed to the system. Must not know what is in them. A head and a short body as two
//! pieces take the slower of two ways through the kernel; copying a kilobyte into one costs a fraction of what that takes.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Pieces of together at most this many bytes are joined.
const SMALL: usize = 4_096;

/// A socket whose small writes are joined.
#[derive(Debug)]
pub struct Joined(TcpStream);

impl Joined {
    /// Wraps a socket.
    #[must_use]
    pub const fn new(socket: TcpStream) -> Self {
        Self(socket)
    }
}

impl AsyncRead for Joined {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Joined {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = Pin::new(&mut self.0);
        if let [only] = slices {
            return socket.poll_write(context, only);
        }
        let mut room = [MaybeUninit::uninit(); SMALL];
        match join(slices, ReadBuf::uninit(&mut room)) {
            Some(whole) => socket.poll_write(context, whole.filled()),
            None => socket.poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Copies the pieces behind each other; `None` when they do not fit.
fn join<'room>(slices: &[IoSlice<'_>], mut room: ReadBuf<'room>) -> Option<ReadBuf<'room>> {
    for slice in slices {
        if slice.len() > room.remaining() {
            return None;
        }
        room.put_slice(slice);
    }
    Some(room)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[test]
    fn what_fits_is_joined_and_what_does_not_is_left_alone() {
        let joined = |texts: &[&str]| {
            let slices: Vec<_> = texts.iter().map(|text| IoSlice::new(text.as_bytes())).collect();
            let mut room = [MaybeUninit::uninit(); 8];
            join(&slices, ReadBuf::uninit(&mut room)).map(|whole| whole.filled().to_vec())
        };
        assert_eq!(joined(&["abc", "", "defgh"]).as_deref(), Some(b"abcdefgh".as_slice()));
        assert_eq!(joined(&["abc", "defghi"]), None);
        assert_eq!(joined(&[]).as_deref(), Some(b"".as_slice()));
    }

    #[tokio::test]
    async fn pieces_of_any_size_arrive_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut joined = Joined::new(socket);
        let pieces: Vec<Vec<u8>> = [10, 500, 3_586, 3_587, 40_000, 1, 0, 7]
            .iter()
            .enumerate()
            .map(|(number, &length)| vec![number as u8; length])
            .collect();
        let expected = pieces.concat();
        let writing = async {
            for pair in pieces.chunks(2) {
                let mut slices = [IoSlice::new(&pair[0]), IoSlice::new(&pair[1])];
                let mut left = &mut slices[..];
                while left.iter().any(|slice| !slice.is_empty()) {
                    let written = joined.write_vectored(left).await.unwrap();
                    IoSlice::advance_slices(&mut left, written);
                }
            }
            joined.shutdown().await.unwrap();
        };
        let mut got = Vec::new();
        let (_, read) = tokio::join!(writing, peer.read_to_end(&mut got));
        read.unwrap();
        assert!(got == expected);
    }
}
