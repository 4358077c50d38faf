//! Answers kept as they pass.
//!
//! Owns the look at every answer of the responses API on its way out: the response object in it is corrected where a provider of the
//! same dialect was asked something else than the client asked us, and kept where the client wants it kept. Must not hold an answer
//! back: a stream's frames leave as they come.

use super::conversations::is_kept;
use super::turn::{Turn, outputs};
use crate::body::{AnswerBody, Pieces, Rope};
use crate::clock;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::Response;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use trunkline_store::{Addition, Responses, StoredResponse};
use trunkline_wire::frame::{Framer, Framing, RawFrame};
use trunkline_wire::responses::{
    Patch, failed, input_items, patch_event, patch_response, response_id, stable_tail,
};

/// The largest frame looked into.
const LARGEST_FRAME: usize = 64 * 1024 * 1024;

/// Who answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    /// The deployment.
    pub deployment: Option<String>,
    /// Its provider.
    pub provider: Option<String>,
    /// Its bytes pass untouched.
    pub is_passed: bool,
}

/// What is done with the response object of one answer.
pub(crate) struct Keeper {
    responses: Responses,
    turn: Arc<Turn>,
    served: Served,
    patch: Patch,
    created: u64,
}

impl Keeper {
    pub(crate) fn new(responses: Responses, turn: Arc<Turn>, served: Served) -> Self {
        let patch = turn.patch(served.is_passed);
        Self { responses, turn, served, patch, created: clock::unix_seconds() }
    }

    /// What was kept of a response.
    pub(crate) fn kept(&self, id: &str) -> Option<Bytes> {
        // Just put: it is found in memory.
        let found = self.responses.find(&self.turn.owner, id).ok().flatten()?;
        Some(found.object.clone())
    }

    /// Adds a complete answer to the conversation that its request names. It is noted here and found from now on; a thread that
    /// may wait for the database puts it in its place.
    fn add(&self, object: &[u8], status: &str) {
        if !matches!(status, "completed" | "incomplete") {
            return;
        }
        let Some(addition) = addition(&self.turn, &self.served, object) else { return };
        self.responses.add_to_conversation(addition);
        let responses = self.responses.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = responses.settle(clock::unix_seconds()) {
                tracing::error!(%error, "an answer waits to be added to its conversation");
            }
        });
    }

    /// Keeps an object, if it is to be kept.
    pub(crate) fn put(&self, object: Bytes, status: &str) {
        self.add(&object, status);
        if !self.turn.store {
            return;
        }
        let Some(id) = response_id(&object) else { return };
        self.responses.put(StoredResponse {
            owner: self.turn.owner.clone(),
            id,
            created: self.created,
            status: status.to_owned(),
            previous: self.turn.previous.clone(),
            deployment: self.served.deployment.clone(),
            provider: self.served.provider.clone(),
            object,
            // The request's whole body would be held by a slice of it.
            input: Bytes::copy_from_slice(&self.turn.input),
        });
    }
}

/// What a conversation has of an answer: what was asked, with ids, and what came.
fn addition(turn: &Turn, served: &Served, object: &[u8]) -> Option<Addition> {
    let (id, tail) = (turn.conversation.clone()?, stable_tail(&response_id(object)?));
    let mut items = input_items(&turn.input, &tail);
    items.extend(outputs(object).into_iter().filter(is_kept));
    let is_sealed = |item: &Value| item.get("encrypted_content").is_some_and(Value::is_string);
    let sealed = items.iter().any(is_sealed);
    let maker = served.deployment.clone().zip(served.provider.clone()).filter(|_| sealed);
    Some(Addition { owner: turn.owner.clone(), id, items, maker })
}

/// Corrects and keeps an answer.
#[must_use]
pub(crate) fn keep(keeper: Keeper, response: Response<AnswerBody>) -> Response<AnswerBody> {
    if !response.status().is_success() || (!keeper.turn.store && keeper.patch.is_empty()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let body = match body {
        AnswerBody::Known { pieces, .. } => AnswerBody::rope(plain(&keeper, pieces)),
        AnswerBody::Streamed(pieces) => AnswerBody::Streamed(streamed(keeper, pieces)),
        // Sound is no response.
        frail @ AnswerBody::Frail(_) => frail,
    };
    Response::from_parts(parts, body)
}

fn plain(keeper: &Keeper, pieces: Rope) -> Rope {
    let whole = match pieces.as_slice() {
        [one] => one.clone(),
        _ => Bytes::from(pieces.concat()),
    };
    let Some(object) = patch_response(&whole, &keeper.patch) else { return pieces };
    let status = status_of(&object);
    keeper.put(object.clone(), &status);
    let mut rope = Rope::new();
    rope.push(object);
    rope
}

/// The status in an object.
pub(super) fn status_of(object: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Head {
        status: Option<String>,
    }
    let head = serde_json::from_slice::<Head>(object).ok();
    head.and_then(|head| head.status).unwrap_or_else(|| "completed".to_owned())
}

/// A stream being looked into.
struct Watched {
    keeper: Keeper,
    pieces: Pieces,
    framer: Framer,
    out: VecDeque<Bytes>,
    /// The object as it began, for answers that never end.
    begun: Option<Bytes>,
    /// What the client was told of its end, where that was an error.
    told: Option<String>,
    is_kept: bool,
    is_over: bool,
}

fn streamed(keeper: Keeper, pieces: Pieces) -> Pieces {
    let framer = Framer::new(Framing::Sse, LARGEST_FRAME);
    let watched = Watched {
        keeper,
        pieces,
        framer,
        out: VecDeque::new(),
        begun: None,
        told: None,
        is_kept: false,
        is_over: false,
    };
    Box::pin(stream::unfold(watched, |mut watched| async move {
        let piece = watched.next().await?;
        Some((piece, watched))
    }))
}

impl Watched {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.out.pop_front() {
                return Some(piece);
            }
            if self.is_over {
                return None;
            }
            match self.pieces.next().await {
                Some(piece) => {
                    self.framer.push(piece);
                    while let Ok(Some(frame)) = self.framer.next() {
                        self.frame(frame);
                    }
                }
                None => {
                    self.is_over = true;
                    if let Ok(Some(frame)) = self.framer.finish() {
                        self.frame(frame);
                    }
                    let told = self.told.take();
                    let message = told.as_deref().unwrap_or("the answer broke off before it was complete");
                    self.unfinished("failed", Some(("server_error", message)));
                }
            }
        }
    }

    fn frame(&mut self, frame: RawFrame) {
        let kind = if frame.has_data() { kind_of(frame.frame().event, frame.frame().data) } else { "" };
        if frame.has_data() && frame.frame().event == "error" {
            self.told = message_of(frame.frame().data);
        }
        let is_end = matches!(kind, "completed" | "incomplete" | "failed");
        if !is_end && !matches!(kind, "created" | "in_progress" | "queued") {
            self.out.push_back(frame.into_raw());
            return;
        }
        let Some((event, object)) = patch_event(frame.frame().data, &self.keeper.patch) else {
            self.out.push_back(frame.into_raw());
            return;
        };
        if is_end && !self.is_kept {
            self.is_kept = true;
            let status = status_of(&object);
            self.keeper.put(object, &status);
        } else if kind == "created" {
            self.begun = Some(object);
        }
        if self.keeper.patch.is_empty() {
            self.out.push_back(frame.into_raw());
        } else {
            let mut out = BytesMut::with_capacity(event.len() + 64);
            out.extend_from_slice(b"event: response.");
            out.extend_from_slice(kind.as_bytes());
            out.extend_from_slice(b"\ndata: ");
            out.extend_from_slice(&event);
            out.extend_from_slice(b"\n\n");
            self.out.push_back(out.freeze());
        }
    }

    /// An answer that ended without saying so is kept as what it is.
    fn unfinished(&mut self, status: &str, error: Option<(&str, &str)>) {
        if std::mem::replace(&mut self.is_kept, true) {
            return;
        }
        if let Some(object) = self.begun.take().and_then(|begun| failed(&begun, status, error)) {
            self.keeper.put(object, status);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // The client went away, and the answer with it.
        self.unfinished("cancelled", None);
    }
}

/// The message of an error event, as we and the official API write it.
fn message_of(event: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Told {
        message: Option<String>,
        error: Option<Inner>,
    }
    #[derive(serde::Deserialize)]
    struct Inner {
        message: String,
    }
    let Told { message, error } = serde_json::from_slice(event).ok()?;
    message.or_else(|| error.map(|error| error.message))
}

/// The last word of an event's type, for those that carry the response.
fn kind_of<'f>(event: &'f str, data: &'f [u8]) -> &'f str {
    const LONGEST: usize = 64;
    let named = event.strip_prefix("response.").unwrap_or_default();
    if !event.is_empty() {
        return named;
    }
    // Some servers leave the name of the event to its data, where it comes first.
    let head = std::str::from_utf8(&data[..data.len().min(LONGEST)]).unwrap_or_default();
    let after = head.split("\"response.").nth(1).unwrap_or_default();
    after.split('"').next().unwrap_or_default()
}
