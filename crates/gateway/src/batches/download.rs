//! Files and results on their way out, piece by piece.
//!
//! Owns the streams. Must not hold a file in memory. A file's length is told beforehand, so that a download that broke off is not
//! taken for the whole.

use super::look;
use crate::body::AnswerBody;
use bytes::Bytes;
use futures_util::stream;
use http::Response;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use trunkline_model::error::ClientError;
use trunkline_store::{Batches, FilePiece, Results, StoredFile};

/// The content of a file.
pub(super) fn file(store: Batches, file: StoredFile) -> Response<AnswerBody> {
    let length = HeaderValue::from(file.bytes);
    let name: String =
        file.name.chars().filter(|letter| letter.is_ascii_graphic() && *letter != '"').collect();
    let mut response = pieces("application/octet-stream", move |from| {
        let (store, file) = (store.clone(), file.clone());
        look(move || store.piece(&file, from))
    });
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, length);
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    response
}

/// The results of a batch of messages, of this many bytes in all.
pub(super) fn results(store: Batches, batch: String, length: u64) -> Response<AnswerBody> {
    let mut response = pieces("application/x-jsonl", move |from| {
        let (store, batch) = (store.clone(), batch.clone());
        look(move || store.results(&batch, Results::All, from))
    });
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn pieces<R, F>(content_type: &'static str, read: R) -> Response<AnswerBody>
where
    R: Fn(u64) -> F + Send + 'static,
    F: Future<Output = Result<FilePiece, ClientError>> + Send,
{
    let stream = stream::unfold((read, Some(0)), |(read, next)| async move {
        let piece = match read(next?).await {
            Ok(piece) => piece,
            Err(error) => {
                tracing::error!(error = error.message, "a download broke off");
                return None;
            }
        };
        let data: Bytes = piece.data;
        // The end is the piece without a successor; what is in it goes out all the same.
        if piece.next.is_none() && data.is_empty() {
            return None;
        }
        Some((data, (read, piece.next)))
    });
    let mut response = Response::new(AnswerBody::Streamed(Box::pin(stream)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
