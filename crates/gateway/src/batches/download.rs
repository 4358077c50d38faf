//! Files and results on their way out, piece by piece.
//!
//! Owns the streams, whole or from one byte to another. Must not hold a file in memory. A file's length is told beforehand, so that a
//! download that broke off is not taken for the whole, and can be gone on with.

use super::look;
use crate::body::AnswerBody;
use bytes::Bytes;
use futures_util::stream;
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, IF_RANGE,
    RANGE,
};
use http::{HeaderMap, Response, StatusCode};
use std::ops::Range;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_store::{Batches, FilePiece, Results, StoredFile};

/// The content of a file, or the part of it that the headers ask for.
///
/// # Errors
/// When the file has no such part.
pub(super) fn file(
    store: Batches,
    file: StoredFile,
    asked: &HeaderMap,
) -> Result<Response<AnswerBody>, ClientError> {
    let part = part(asked, file.bytes)?;
    let length = file.bytes;
    let name: String =
        file.name.chars().filter(|letter| letter.is_ascii_graphic() && *letter != '"').collect();
    let read = move |from| {
        let (store, file) = (store.clone(), file.clone());
        look(move || store.piece(&file, from))
    };
    let mut response = pieces("application/octet-stream", part.as_ref(), length, read);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// The results of a batch of messages, of this many bytes in all, or the part of them that the headers ask for.
///
/// # Errors
/// When there is no such part.
pub(super) fn results(
    store: Batches,
    batch: String,
    length: u64,
    asked: &HeaderMap,
) -> Result<Response<AnswerBody>, ClientError> {
    let part = part(asked, length)?;
    let read = move |from| {
        let (store, batch) = (store.clone(), batch.clone());
        look(move || store.results(&batch, Results::All, from))
    };
    Ok(pieces("application/x-jsonl", part.as_ref(), length, read))
}

/// The one range of bytes that is asked for (RFC 9110, section 14.2); `None` for the whole. Several at once, other units and
/// conditions are not heeded, as the standard allows.
///
/// # Errors
/// When there is nothing in the range.
fn part(asked: &HeaderMap, length: u64) -> Result<Option<Range<u64>>, ClientError> {
    let Some(range) = asked.get(RANGE).and_then(|value| value.to_str().ok()) else { return Ok(None) };
    if asked.contains_key(IF_RANGE) {
        return Ok(None);
    }
    match range_of(range, length) {
        Some(part) if part.is_empty() => {
            let message = format!("range: there are {length} bytes, and none in `{range}`");
            let error = ClientError::new(ErrorCode::InvalidRequest, message).at("range");
            Err(ClientError { status: Some(StatusCode::RANGE_NOT_SATISFIABLE.as_u16()), ..error })
        }
        part => Ok(part),
    }
}

/// Reads one range of bytes; one that begins behind the end is empty.
fn range_of(text: &str, length: u64) -> Option<Range<u64>> {
    let number = |digits: &str| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    let (unit, range) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    if first.is_empty() {
        let suffix: u64 = number(last)?;
        return Some(length.saturating_sub(suffix)..length);
    }
    let first: u64 = number(first)?;
    let end = if last.is_empty() { length } else { number(last)?.saturating_add(1) };
    (last.is_empty() || first < end).then(|| first.min(length)..end.min(length))
}

fn pieces<R, F>(
    content_type: &'static str,
    part: Option<&Range<u64>>,
    length: u64,
    read: R,
) -> Response<AnswerBody>
where
    R: Fn(u64) -> F + Send + 'static,
    F: Future<Output = Result<FilePiece, ClientError>> + Send,
{
    let wanted = part.cloned().unwrap_or(0..length);
    let left = wanted.clone();
    let stream = stream::unfold((read, Some(0), 0, left), |(read, mut next, mut at, left)| async move {
        while at < left.end {
            let piece = match read(next?).await {
                Ok(piece) => piece,
                Err(error) => {
                    tracing::error!(error = error.message, "a download broke off");
                    return None;
                }
            };
            // The end is the piece without a successor; what is in it goes out all the same.
            next = piece.next;
            let data = within(&piece.data, at, &left);
            at += piece.data.len() as u64;
            if !data.is_empty() {
                return Some((data, (read, next, at, left)));
            }
        }
        None
    });
    let mut response = Response::new(AnswerBody::Streamed(Box::pin(stream)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(wanted.end - wanted.start));
    if let Some(Range { start, end }) = part
        && let Ok(value) = HeaderValue::from_str(&format!("bytes {start}-{}/{length}", end.saturating_sub(1)))
    {
        headers.insert(CONTENT_RANGE, value);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

/// What of a piece that begins at a byte is wanted.
fn within(data: &Bytes, at: u64, wanted: &Range<u64>) -> Bytes {
    let place = |byte: u64| usize::try_from(byte.saturating_sub(at)).unwrap_or(usize::MAX).min(data.len());
    let (start, end) = (place(wanted.start), place(wanted.end));
    data.slice(start.min(end)..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_bytes_is_read_and_all_else_is_the_whole() {
        for (text, expected) in [
            ("bytes=0-0", Some(0..1)),
            ("bytes=2-4", Some(2..5)),
            ("Bytes=2-", Some(2..10)),
            ("bytes=2-99", Some(2..10)),
            ("bytes=-3", Some(7..10)),
            ("bytes=-99", Some(0..10)),
            ("bytes=-0", Some(10..10)),
            ("bytes=10-", Some(10..10)),
            ("bytes=99-100", Some(10..10)),
            ("bytes=0-18446744073709551615", Some(0..10)),
            ("bytes=4-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=-", None),
            ("bytes=+1-2", None),
            ("lines=1-2", None),
            ("1-2", None),
        ] {
            assert_eq!(range_of(text, 10), expected, "{text}");
        }
    }

    #[test]
    fn pieces_are_cut_to_what_is_wanted() {
        let piece = Bytes::from_static(b"0123456789");
        let cut = |at, wanted: Range<u64>| within(&piece, at, &wanted);
        assert_eq!(cut(0, 0..10), piece);
        assert_eq!(cut(100, 103..105), &b"34"[..]);
        assert_eq!(cut(100, 0..102), &b"01"[..]);
        assert_eq!(cut(100, 108..500), &b"89"[..]);
        assert!(cut(100, 0..100).is_empty() && cut(100, 110..120).is_empty());
    }
}
