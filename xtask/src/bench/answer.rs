//! Reads one HTTP/1.1 answer from pieces of bytes, as cheaply as it can be done without cheating.
//!
//! Owns the end of an answer (by length or by chunks), its status, the number of content marks in it and a sample of
//! its body for error messages. It must not allocate per piece: the load generator shares a core with the upstream,
//! and what it spends is missing from what it can send. It reads only what the servers of the benchmark send.

/// The byte that stands once in every content chunk of the upstream's answers and nowhere else in them.
pub(super) const MARK: u8 = b'~';
/// Bytes of the body kept for error messages.
const SAMPLE: usize = 1024;
/// A head longer than this is not an answer of any server here.
const LONGEST_HEAD: usize = 64 * 1024;

/// An answer being read.
#[derive(Debug, Default)]
pub(super) struct Answer {
    state: State,
    line: Vec<u8>,
    /// Status code; 0 until the head is complete.
    pub(super) status: u16,
    /// Content marks seen in the body.
    pub(super) marks: u64,
    /// True when the server will close the connection.
    pub(super) close: bool,
    /// The beginning of the body.
    pub(super) sample: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    Length(usize),
    ChunkSize,
    ChunkData(usize),
    /// The line end after a chunk's data.
    ChunkEnd,
    Trailer,
    Done,
}

/// The bytes are no answer that this reader knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an HTTP/1.1 answer with a length or chunks")]
pub(super) struct Unreadable;

impl Answer {
    /// Takes the next bytes. Returns true once the answer is complete; bytes after its end are an error.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<bool, Unreadable> {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Head => self.head(bytes)?,
                State::Length(left) => self.length(bytes, left),
                State::ChunkSize | State::ChunkEnd | State::Trailer => self.chunk_line(bytes)?,
                State::ChunkData(left) => self.chunk_data(bytes, left),
                State::Done => return Err(Unreadable),
            };
        }
        Ok(self.state == State::Done)
    }

    /// Makes ready for the next answer on the same connection.
    pub(super) fn reset(&mut self) {
        self.state = State::Head;
        self.line.clear();
        self.status = 0;
        self.marks = 0;
        self.close = false;
        self.sample.clear();
    }

    fn head<'bytes>(&mut self, bytes: &'bytes [u8]) -> Result<&'bytes [u8], Unreadable> {
        let before = self.line.len();
        self.line.extend_from_slice(bytes);
        let from = before.saturating_sub(3);
        let Some(at) = memchr::memmem::find(&self.line[from..], b"\r\n\r\n") else {
            return if self.line.len() > LONGEST_HEAD { Err(Unreadable) } else { Ok(&[]) };
        };
        let end = from + at + 4;
        self.line.truncate(end);
        self.state = self.read_head()?;
        self.line.clear();
        Ok(&bytes[end - before..])
    }

    fn read_head(&mut self) -> Result<State, Unreadable> {
        let text = std::str::from_utf8(&self.line).map_err(|_| Unreadable)?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        self.status = status.ok_or(Unreadable)?;
        let mut state = None;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                let length = value.parse().map_err(|_| Unreadable)?;
                state = Some(if length == 0 { State::Done } else { State::Length(length) });
            } else if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked")
            {
                state = Some(State::ChunkSize);
            } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
                self.close = true;
            }
        }
        state.ok_or(Unreadable)
    }

    fn length<'bytes>(&mut self, bytes: &'bytes [u8], left: usize) -> &'bytes [u8] {
        let (taken, rest) = bytes.split_at(left.min(bytes.len()));
        self.body(taken);
        self.state = if taken.len() == left { State::Done } else { State::Length(left - taken.len()) };
        rest
    }

    fn chunk_data<'bytes>(&mut self, bytes: &'bytes [u8], left: usize) -> &'bytes [u8] {
        let (taken, rest) = bytes.split_at(left.min(bytes.len()));
        self.body(taken);
        self.state = if taken.len() == left { State::ChunkEnd } else { State::ChunkData(left - taken.len()) };
        rest
    }

    fn chunk_line<'bytes>(&mut self, bytes: &'bytes [u8]) -> Result<&'bytes [u8], Unreadable> {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.line.extend_from_slice(bytes);
            return if self.line.len() > LONGEST_HEAD { Err(Unreadable) } else { Ok(&[]) };
        };
        self.line.extend_from_slice(&bytes[..end]);
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        self.state = match self.state {
            State::ChunkSize => match chunk_size(line).ok_or(Unreadable)? {
                0 => State::Trailer,
                size => State::ChunkData(size),
            },
            State::ChunkEnd => State::ChunkSize,
            _ if line.is_empty() => State::Done,
            _ => State::Trailer,
        };
        self.line.clear();
        Ok(&bytes[end + 1..])
    }

    fn body(&mut self, bytes: &[u8]) {
        self.marks += bytes.iter().filter(|byte| **byte == MARK).count() as u64;
        let room = SAMPLE.saturating_sub(self.sample.len()).min(bytes.len());
        self.sample.extend_from_slice(&bytes[..room]);
    }
}

fn chunk_size(line: &[u8]) -> Option<usize> {
    let digits = line.split(|byte| *byte == b';').next()?;
    usize::from_str_radix(std::str::from_utf8(digits).ok()?.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY_LENGTH: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nconnection: close\r\n\r\n~a~bc";
    const BY_CHUNKS: &[u8] =
        b"HTTP/1.1 429 Too Many\r\ntransfer-encoding: chunked\r\n\r\n3\r\na~b\r\nA;x=y\r\n0123456~\r\n\r\n0\r\n\r\n";

    fn read(pieces: &[&[u8]]) -> (bool, Answer) {
        let mut answer = Answer::default();
        let mut done = false;
        for piece in pieces {
            done = answer.feed(piece).unwrap();
        }
        (done, answer)
    }

    #[test]
    fn answers_by_length_and_by_chunks_are_read_to_their_end() {
        let (done, answer) = read(&[BY_LENGTH]);
        assert_eq!((done, answer.status, answer.marks, answer.close), (true, 200, 2, true));
        assert_eq!(answer.sample, b"~a~bc");
        let (done, answer) = read(&[BY_CHUNKS]);
        assert_eq!((done, answer.status, answer.marks, answer.close), (true, 429, 2, false));
    }

    #[test]
    fn the_reading_does_not_depend_on_where_the_pieces_are_cut() {
        for whole in [BY_LENGTH, BY_CHUNKS] {
            let (_, expected) = read(&[whole]);
            for cut in 1..whole.len() {
                for second in cut..whole.len() {
                    let (done, answer) = read(&[&whole[..cut], &whole[cut..second], &whole[second..]]);
                    assert!(done);
                    assert_eq!((answer.status, answer.marks), (expected.status, expected.marks));
                    assert_eq!(answer.sample, expected.sample);
                }
            }
        }
    }

    #[test]
    fn an_answer_cut_short_is_not_complete() {
        for whole in [BY_LENGTH, BY_CHUNKS] {
            for cut in 0..whole.len() {
                assert!(!read(&[&whole[..cut]]).0);
            }
        }
    }

    #[test]
    fn nonsense_and_bytes_after_the_end_are_errors() {
        assert_eq!(Answer::default().feed(b"SSH-2.0\r\n\r\n"), Err(Unreadable));
        assert_eq!(Answer::default().feed(b"HTTP/1.1 200 OK\r\n\r\n"), Err(Unreadable));
        let (_, mut answer) = read(&[BY_LENGTH]);
        assert_eq!(answer.feed(b"x"), Err(Unreadable));
        answer.reset();
        assert_eq!(answer.feed(BY_CHUNKS), Ok(true));
    }
}
