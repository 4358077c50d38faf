//! The body of a passed request, on its way up.
//!
//! Owns reading it piece by piece, as fast as the provider takes it, and what is known of it by the end: how much there was, the
//! model it names, whether it broke off. Only a body that must be signed is held, for the signature covers all of it.

use crate::accept;
use crate::patience;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use trunkline_config::Server;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_net::{Interrupted, RequestBody};
use trunkline_providers::upstream::Upstream;
use trunkline_wire::relayed;

/// Bytes kept of the beginning, where the model stands.
const HEAD: usize = 4 * 1024;

/// What is known of a body that passes.
#[derive(Debug, Default)]
pub(super) struct Upload {
    bytes: AtomicU64,
    broke_off: AtomicBool,
    was_slow: AtomicBool,
    head: Mutex<BytesMut>,
}

impl Upload {
    /// Bytes that passed so far.
    #[must_use]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The model the request names.
    #[must_use]
    pub(super) fn model(&self) -> Option<String> {
        relayed::model_told(&self.head.lock())
    }

    /// What to tell the client, and to record, where it was the client's body that ended too early.
    #[must_use]
    pub(super) fn failure(&self, silence: Duration) -> Option<(ClientError, Failure)> {
        if !self.broke_off.load(Ordering::Relaxed) {
            return None;
        }
        let mut class = FailureClass::ClientGone;
        let mut error =
            ClientError::new(ErrorCode::InvalidRequest, "the request body broke off before it was complete");
        if self.was_slow.load(Ordering::Relaxed) {
            error.message = format!(
                "the request body stopped for more than {} s before it was complete",
                silence.as_secs()
            );
            error.status = Some(408);
            class = FailureClass::BadRequest;
        }
        let failure = Failure::new(class, error.message.clone());
        Some((error, failure))
    }

    fn passed(&self, piece: &Bytes) {
        let before = self.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        if before < HEAD as u64 {
            let mut head = self.head.lock();
            let room = HEAD.saturating_sub(head.len());
            head.extend_from_slice(&piece[..piece.len().min(room)]);
        }
    }

    fn broke(&self, was_slow: bool) {
        self.was_slow.store(was_slow, Ordering::Relaxed);
        self.broke_off.store(true, Ordering::Relaxed);
    }
}

/// The body to send.
///
/// # Errors
/// For one that must be held: too large, cut or too slow.
pub(super) async fn body(
    server: &Server,
    upstream: &Upstream,
    body: Incoming,
    headers: &HeaderMap,
    upload: &Arc<Upload>,
) -> Result<RequestBody, ClientError> {
    if body.is_end_stream() {
        return Ok(RequestBody::empty());
    }
    if upstream.signing.as_ref().is_some_and(|signing| signing.reads_body()) {
        let whole = accept::read_body(body, headers, server.body_limit, server.client_timeout).await?;
        upload.passed(&whole);
        return Ok(RequestBody::from(whole));
    }
    let length = body.size_hint().exact();
    Ok(RequestBody::streamed(pieces(body, server.client_timeout, Arc::clone(upload)), length))
}

fn pieces(
    body: Incoming,
    silence: Duration,
    upload: Arc<Upload>,
) -> impl futures_util::Stream<Item = Result<Bytes, Interrupted>> + Send + 'static {
    stream::unfold(Some((body, upload)), move |state| async move {
        let (mut body, upload) = state?;
        loop {
            match patience::during(silence, body.frame()).await {
                Ok(None) => return None,
                Ok(Some(Ok(frame))) => {
                    // Trailers are not passed on.
                    let Ok(piece) = frame.into_data() else { continue };
                    upload.passed(&piece);
                    return Some((Ok(piece), Some((body, upload))));
                }
                Ok(Some(Err(_))) => upload.broke(false),
                Err(_) => upload.broke(true),
            }
            return Some((Err(Interrupted), None));
        }
    })
}
