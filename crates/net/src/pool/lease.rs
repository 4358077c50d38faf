//! The right to use one connection, or one stream of it, for one request.
//!
//! Owns what happens when that right ends: read to its end, a connection returns to the pool; dropped before, an
//! HTTP/1.1 connection is closed at once and an HTTP/2 stream is reset by hyper while its connection lives on. Does not
//! decide who is next; that is the book's.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use tokio::task::AbortHandle;

use super::book::{ConnectionId, Protocol};
use super::origin_pool::OriginPool;
use crate::Origin;
use crate::driver::Nudge;
use crate::error::is_unprocessed;
use crate::request::RequestBody;

/// An HTTP/1.1 connection.
#[derive(Debug)]
pub(crate) struct Exclusive {
    pub(super) sender: http1::SendRequest<RequestBody>,
    /// Ends the connection's task, and with it the socket, without the politeness of a shutdown.
    pub(super) abort: AbortHandle,
    /// Asks the driver whether the connection is ready again.
    pub(super) nudge: Arc<Nudge>,
}

/// An HTTP/2 connection.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(super) sender: http2::SendRequest<RequestBody>,
    pub(super) nudge: Arc<Nudge>,
}

#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<OriginPool>,
    id: ConnectionId,
    handle: Handle,
}

#[derive(Debug)]
enum Handle {
    /// Not a byte has been sent on it in this lease.
    Unused(Exclusive),
    /// A response is under way on it.
    InUse(Exclusive),
    Shared(Shared),
    Ended,
}

/// How an exchange went.
pub(crate) enum Exchange {
    Response(Response<Incoming>),
    /// It was not processed; here it is again.
    Unprocessed {
        request: Box<Request<RequestBody>>,
        error: hyper::Error,
        /// It was sent, and the server said that it has not taken it.
        was_sent: bool,
    },
    Failed(hyper::Error),
    TimedOut(Duration),
}

impl Lease {
    pub(super) fn exclusive(pool: Arc<OriginPool>, id: ConnectionId, handle: Exclusive) -> Self {
        Self { pool, id, handle: Handle::Unused(handle) }
    }

    pub(super) fn shared(pool: Arc<OriginPool>, id: ConnectionId, handle: Shared) -> Self {
        Self { pool, id, handle: Handle::Shared(handle) }
    }

    pub(crate) fn origin(&self) -> &Origin {
        self.pool.origin()
    }

    pub(crate) fn protocol(&self) -> Protocol {
        match self.handle {
            Handle::Shared(_) => Protocol::Shared,
            _ => Protocol::Exclusive,
        }
    }

    /// True when the connection is known to have ended.
    pub(super) fn is_closed(&self) -> bool {
        match &self.handle {
            Handle::Unused(handle) | Handle::InUse(handle) => handle.sender.is_closed(),
            Handle::Shared(handle) => handle.sender.is_closed(),
            Handle::Ended => true,
        }
    }

    /// Sends the request and waits for the response headers.
    ///
    /// The common case is one plain future, made here and not in an async function, which would carry the request both as
    /// its argument and inside what it waits for; the others are boxed, so that nobody carries the room for them.
    pub(crate) fn exchange(
        &mut self,
        request: Request<RequestBody>,
        limit: Option<Duration>,
    ) -> impl Future<Output = Exchange> + Send + '_ {
        if let Handle::Unused(handle) = &self.handle {
            handle.nudge.hand_over();
            self.handle = match std::mem::replace(&mut self.handle, Handle::Ended) {
                Handle::Unused(handle) => Handle::InUse(handle),
                other => other,
            };
        }
        match (&mut self.handle, limit) {
            (Handle::InUse(handle), Some(limit)) => {
                let sending = handle.sender.try_send_request(request);
                let outcome = tokio::time::timeout(limit, sending)
                    .map(move |sent| sent.map_or(Exchange::TimedOut(limit), told));
                Either::Left(outcome)
            }
            (Handle::InUse(handle), None) => {
                Either::Right(handle.sender.try_send_request(request).map(told).boxed())
            }
            (Handle::Shared(handle), limit) => Either::Right(shared(handle, request, limit).boxed()),
            _ => unreachable!("a lease is used for one exchange"),
        }
    }

    /// The response has been read to its end.
    pub(crate) fn finish(mut self) {
        if let Handle::InUse(handle) = std::mem::replace(&mut self.handle, Handle::Ended) {
            self.pool.release_exclusive(self.id, handle);
        } else {
            self.pool.release_shared(self.id);
        }
    }

    /// The connection has turned out to be closed: nobody is to use it again.
    pub(crate) fn discard(mut self) {
        if let Handle::Shared(_) = std::mem::replace(&mut self.handle, Handle::Ended) {
            self.pool.discard_shared(self.id);
        }
        // An exclusive connection leaves the book when its task ends; nothing refers to it any more.
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.handle, Handle::Ended) {
            Handle::Unused(handle) => self.pool.release_exclusive(self.id, handle),
            Handle::InUse(handle) => handle.abort.abort(),
            Handle::Shared(_) => self.pool.release_shared(self.id),
            Handle::Ended => {}
        }
    }
}

type Sent = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>;

async fn shared(handle: &mut Shared, request: Request<RequestBody>, limit: Option<Duration>) -> Exchange {
    let spare = again(&request);
    let sending = handle.sender.try_send_request(request).map(told);
    let exchange = match limit {
        None => sending.await,
        Some(limit) => tokio::time::timeout(limit, sending).await.unwrap_or(Exchange::TimedOut(limit)),
    };
    match (exchange, spare) {
        (Exchange::Failed(error), Some(spare)) if is_unprocessed(&error) => {
            Exchange::Unprocessed { request: Box::new(spare), error, was_sent: true }
        }
        (exchange @ Exchange::Response(_), _) => {
            handle.nudge.ask_once().await;
            exchange
        }
        (exchange, _) => exchange,
    }
}

/// The same request once more: a server that shares a connection may leave it at any time, with requests on their way to it.
fn again(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let mut again = Request::new(request.body().again()?);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.version_mut() = request.version();
    again.headers_mut().clone_from(request.headers());
    Some(again)
}

fn told(sent: Sent) -> Exchange {
    match sent {
        Ok(response) => Exchange::Response(response),
        Err(mut error) => match error.take_message() {
            Some(request) => Exchange::Unprocessed {
                request: Box::new(request),
                error: error.into_error(),
                was_sent: false,
            },
            None => Exchange::Failed(error.into_error()),
        },
    }
}
