//! Responses that run on when nobody waits for them.
//!
//! Owns the detached tasks, their bound, what can be seen of them while they run, their cancellation, and the wait for them at a
//! stop. Must not know how an answer is made: it drives the same stages as every request. What becomes of a response is kept in the
//! store: also that the gateway's stop ended it. What a killed process left unfinished is told as failed by the next one.

use super::events::{Events, behind};
use super::keep::{Keeper, Served, keep, status_of};
use super::turn::Turn;
use crate::admit::Admitted;
use crate::body::AnswerBody;
use crate::case::Case;
use crate::limit_headers;
use crate::pipeline;
use crate::respond;
use crate::state::Gateway;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::request::VectorEncoding;
use trunkline_wire::codec::EncodeContext;
use trunkline_wire::responses::{begun, failed};

/// Most responses running at the same time.
const AT_ONCE: usize = 256;
/// Most responses running or waiting for their turn.
const MOST: usize = 2_048;
/// How long the events of a finished stream can still be read from where a client left off.
const AFTERGLOW: Duration = Duration::from_secs(60);

/// The responses that run in the background.
pub(crate) struct Running {
    live: Mutex<HashMap<(String, String), Arc<Live>>>,
    places: Arc<Semaphore>,
    /// How many are not over, for the stop that waits for them.
    unfinished: Arc<watch::Sender<usize>>,
}

impl Default for Running {
    fn default() -> Self {
        Self {
            live: Mutex::new(HashMap::new()),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            unfinished: Arc::new(watch::Sender::new(0)),
        }
    }
}

/// One response counts as not over for as long as this lives.
struct Unfinished(Arc<watch::Sender<usize>>);

impl Unfinished {
    fn begin(running: &Running) -> Self {
        running.unfinished.send_modify(|number| *number += 1);
        Self(Arc::clone(&running.unfinished))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.send_modify(|number| *number -= 1);
    }
}

/// One of them.
pub(crate) struct Live {
    events: Mutex<Events>,
    /// Counts changes of the events, for those who wait for more.
    changes: watch::Sender<u64>,
    task: Mutex<Option<AbortHandle>>,
    keeper: Keeper,
    object: Mutex<Bytes>,
    is_streamed: bool,
    is_cancelled: AtomicBool,
}

impl Running {
    /// One that runs, or has just stopped.
    pub(crate) fn find(&self, owner: &str, id: &str) -> Option<Arc<Live>> {
        self.live.lock().get(&(owner.to_owned(), id.to_owned())).cloned()
    }

    /// Forgets one: nobody can look at it any more, and its place is free.
    pub(crate) fn forget(&self, owner: &str, id: &str) {
        let Some(live) = self.live.lock().remove(&(owner.to_owned(), id.to_owned())) else { return };
        // What is left of its task is the time in which it could be looked at.
        live.abort();
    }

    /// Waits until all are over.
    pub(crate) async fn settled(&self) {
        // The sender is here: it cannot be gone.
        let _ = self.unfinished.subscribe().wait_for(|number| *number == 0).await;
    }
}

/// Detaches an admitted request and answers with what there is of it.
#[must_use]
pub(crate) fn start(gateway: &Arc<Gateway>, admitted: Box<Admitted>, case: Case) -> Response<AnswerBody> {
    let request_id = case.id();
    let dialect = admitted.dialect;
    let named = admitted.turn.clone().and_then(|turn| Some((turn.id.clone()?, turn)));
    let Some((id, turn)) = named else {
        let error = ClientError::new(ErrorCode::Internal, "a request in the background has no id");
        return refuse(case, &error);
    };
    let context = EncodeContext {
        request_id,
        created: crate::clock::unix_seconds(),
        model: admitted.envelope.shape.model.clone(),
        stream_usage: true,
        encoding: VectorEncoding::Float,
        embedding_form: Default::default(),
        echo: Some(Arc::clone(&turn.echo)),
    };
    let object = failed(&begun(&context), "queued", None).unwrap_or_default();
    let live = Arc::new(Live {
        events: Mutex::new(Events::default()),
        changes: watch::Sender::new(0),
        task: Mutex::new(None),
        keeper: Keeper::new(gateway.responses.clone(), Arc::clone(&turn), Served::default()),
        object: Mutex::new(object.clone()),
        is_streamed: admitted.envelope.shape.delivery.is_stream(),
        is_cancelled: AtomicBool::new(false),
    });
    let key = (turn.owner.clone(), id);
    {
        let mut running = gateway.running.live.lock();
        if running.len() >= MOST && !make_room(&mut running) {
            drop(running);
            let message = format!(
                "{MOST} responses run in the background already, the most there may be; try again later"
            );
            let error = ClientError::new(ErrorCode::Overloaded, message)
                .with_retry_after(Some(Duration::from_secs(10)));
            return refuse(case, &error);
        }
        running.insert(key.clone(), Arc::clone(&live));
    }
    live.keeper.put(object.clone(), "queued");
    let mut limits = HeaderMap::new();
    limit_headers::put(&mut limits, &admitted.generation, &case);
    let seat = Seat { gateway: Arc::clone(gateway), live: Arc::clone(&live), key };
    let unfinished = Unfinished::begin(&gateway.running);
    let task = gateway.stop.bell().waking(run(admitted, case, turn, seat, unfinished));
    let task = tokio::spawn(task);
    *live.task.lock() = Some(task.abort_handle());
    let mut response = if live.is_streamed {
        follow(live, 0)
    } else {
        let mut response = Response::new(AnswerBody::text(object));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
    response.headers_mut().extend(limits);
    respond::identify(response.headers_mut(), dialect, request_id);
    response
}

/// Lets one go that is over: what it said is in the store.
fn make_room(running: &mut HashMap<(String, String), Arc<Live>>) -> bool {
    let Some(key) = running.iter().find(|(_, live)| live.is_over()).map(|(key, _)| key.clone()) else {
        return false;
    };
    if let Some(live) = running.remove(&key) {
        live.abort();
    }
    true
}

fn refuse(case: Case, error: &ClientError) -> Response<AnswerBody> {
    let response = respond::error(case.record.client, case.id(), error);
    case.refused(error);
    response
}

async fn run(admitted: Box<Admitted>, case: Case, turn: Arc<Turn>, seat: Seat, unfinished: Unfinished) {
    let Seat { gateway, live, .. } = &seat;
    let mut place = None;
    let its_turn = async {
        place = Arc::clone(&gateway.running.places).acquire_owned().await.ok();
        live.became("in_progress", None);
    };
    match pipeline::perform_detached(gateway, admitted, case, its_turn).await {
        Ok((served, response)) => {
            let keeper = Keeper::new(gateway.responses.clone(), turn, served);
            live.drain(keep(keeper, response)).await;
        }
        Err(error) => live.fail(&error),
    }
    drop(place);
    live.over();
    drop(unfinished);
    if live.is_streamed {
        tokio::time::sleep(AFTERGLOW).await;
    }
}

/// A response's place among those that run; given back however its task ends.
struct Seat {
    gateway: Arc<Gateway>,
    live: Arc<Live>,
    key: (String, String),
}

impl Drop for Seat {
    fn drop(&mut self) {
        // All else that writes of this response is gone by now: this is the last word.
        if !self.live.is_over() {
            if self.live.is_cancelled.load(Ordering::Acquire) {
                self.live.end("cancelled", None);
            } else {
                let message = "the gateway stopped before the response was complete";
                self.live.end("failed", Some(("server_error", message)));
            }
            self.live.over();
        }
        self.gateway.running.live.lock().remove(&self.key);
    }
}

impl Live {
    /// The object as it is now.
    pub(crate) fn object(&self) -> Bytes {
        self.object.lock().clone()
    }

    /// Whether nothing more will come of it.
    pub(crate) fn is_over(&self) -> bool {
        self.events.lock().is_over
    }

    /// Whether its events can be looked at.
    pub(crate) fn is_streamed(&self) -> bool {
        self.is_streamed
    }

    /// Ends it, and waits until its task wrote the last of it. Tells what became of it: what is over already stays as it ended.
    pub(crate) async fn cancel(&self) -> Bytes {
        let mut changes = self.changes.subscribe();
        if !self.is_over() {
            self.is_cancelled.store(true, Ordering::Release);
            self.abort();
        }
        while !self.is_over() && changes.changed().await.is_ok() {}
        self.object()
    }

    fn abort(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }

    fn became(&self, status: &str, error: Option<(&str, &str)>) {
        let mut object = self.object.lock();
        if let Some(changed) = failed(&object, status, error) {
            *object = changed;
        }
        self.keeper.put(object.clone(), status);
    }

    fn fail(&self, error: &ClientError) {
        let code = match error.code {
            ErrorCode::RateLimited | ErrorCode::UpstreamRateLimited => "rate_limit_exceeded",
            ErrorCode::InvalidRequest | ErrorCode::ContentRefused | ErrorCode::ContextTooLong => {
                "invalid_prompt"
            }
            _ => "server_error",
        };
        self.end("failed", Some((code, &error.message)));
    }

    /// The last that is told of an answer that tells no end itself.
    fn end(&self, status: &str, error: Option<(&str, &str)>) {
        self.became(status, error);
        if self.is_streamed {
            let object = self.object();
            let object = String::from_utf8_lossy(&object);
            let sequence = self.events.lock().next_sequence();
            // There is no event for what was cancelled: its status is in the response.
            let event = format!(
                "event: response.failed\ndata: {{\"type\":\"response.failed\",\"sequence_number\":{sequence},\"response\":{object}}}\n\n"
            );
            self.push(Bytes::from(event));
        }
    }

    fn push(&self, piece: Bytes) {
        self.events.lock().push(piece);
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn over(&self) {
        self.events.lock().is_over = true;
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Reads an answer to its end, which is what keeps its provider answering.
    async fn drain(&self, response: Response<AnswerBody>) {
        let is_success = response.status() == StatusCode::OK;
        let mut whole = Vec::new();
        let mut body = response.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(data) = frame.into_data() else { continue };
            if self.is_streamed {
                self.push(data);
            } else {
                whole.extend_from_slice(&data);
            }
        }
        if self.is_streamed {
            // What became of it was kept on the way.
            let id = trunkline_wire::responses::response_id(&self.object()).unwrap_or_default();
            if let Some(kept) = self.keeper.kept(&id) {
                *self.object.lock() = kept;
            }
        } else if is_success {
            *self.object.lock() = Bytes::from(whole);
        } else {
            let message = "the answer could not be made";
            self.became(&status_of(b"{\"status\":\"failed\"}"), Some(("server_error", message)));
        }
    }
}

/// The events of a running response, from the piece of that number on.
pub(crate) fn follow(live: Arc<Live>, from: usize) -> Response<AnswerBody> {
    let changes = live.changes.subscribe();
    let pieces = stream::unfold((live, changes, from), |(live, mut changes, next)| async move {
        loop {
            changes.mark_unchanged();
            let (piece, is_over) = {
                let events = live.events.lock();
                (events.pieces.get(next).cloned(), events.is_over)
            };
            if let Some(piece) = piece {
                return Some((piece, (live, changes, next + 1)));
            }
            if is_over || changes.changed().await.is_err() {
                return None;
            }
        }
    });
    event_stream(AnswerBody::Streamed(Box::pin(pieces)))
}

/// The events of a running response behind a sequence number.
pub(crate) fn follow_after(live: Arc<Live>, after: u64) -> Response<AnswerBody> {
    let changes = live.changes.subscribe();
    let pieces = stream::unfold((live, changes, 0), move |(live, mut changes, mut next)| async move {
        loop {
            changes.mark_unchanged();
            let (piece, is_over) = {
                let events = live.events.lock();
                (events.pieces.get(next).cloned(), events.is_over)
            };
            if let Some(piece) = piece {
                next += 1;
                let left = behind(&piece, after);
                if left.is_empty() {
                    continue;
                }
                return Some((left, (live, changes, next)));
            }
            if is_over || changes.changed().await.is_err() {
                return None;
            }
        }
    });
    event_stream(AnswerBody::Streamed(Box::pin(pieces)))
}

/// An answer that is a stream of events.
pub(super) fn event_stream(body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
