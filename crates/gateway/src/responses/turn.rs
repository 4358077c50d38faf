//! A request of the responses API made self-contained.
//!
//! Owns the reading of `store`, `background` and `previous_response_id`, and the conversation that the last one stands for: it is
//! put into the request, so that any provider can answer it. Must not send anything. A request that names nothing stored keeps its
//! bytes; what a provider must not do itself (store, run in the background) is edited where the body passes.

use super::conversations;
use super::look;
use crate::accept::Accepted;
use crate::authenticate::Identified;
use crate::state::Gateway;
use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::Arc;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::id::RequestId;
use trunkline_store::{Conversation, StoredResponse};
use trunkline_wire::codec::{BadRequest, Envelope, Profile, ReasoningStyle};
use trunkline_wire::dispatch;
use trunkline_wire::places::Earlier;
use trunkline_wire::responses::{Echo, Patch, input_items, stable_tail};
use trunkline_wire::splice::{Edits, join_rope};

/// What a request of the responses API is beyond its conversation.
pub(crate) struct Turn {
    /// Whose responses these are: the virtual key's name, empty where there are none.
    pub owner: String,
    /// The id given out before there is an answer.
    pub id: Option<String>,
    /// It asks for a count of tokens: there is no response that could be kept or corrected.
    pub counts: bool,
    /// The response is kept.
    pub store: bool,
    /// It runs on when the client is gone.
    pub background: bool,
    /// The response before it.
    pub previous: Option<String>,
    /// The stored conversation that it goes on with and adds to.
    pub conversation: Option<String>,
    /// What the request adds to the conversation.
    pub input: Bytes,
    /// What the answer repeats of the request.
    pub echo: Arc<Echo>,
    /// Where sealed state in the conversation was made.
    pub bound: Option<Bound>,
}

/// A deployment that made state which only its provider can read.
pub(crate) struct Bound {
    /// The deployment.
    pub deployment: String,
    /// Its provider.
    pub provider: String,
}

/// What sealed reasoning is asked for by.
const SEALED: &str = "reasoning.encrypted_content";

/// Reads what a request is beyond its conversation, and puts the stored conversation it names into it.
///
/// # Errors
/// A response that is not there or not finished, or parameters that contradict each other.
pub(crate) async fn expand(
    gateway: &Gateway,
    mut accepted: Accepted,
    identified: &Identified,
    request_id: RequestId,
) -> Result<Accepted, ClientError> {
    if accepted.dialect != Dialect::Responses {
        return Ok(accepted);
    }
    let owner = identified.key.as_ref().map(|key| key.name.to_string()).unwrap_or_default();
    let Accepted { envelope, body, .. } = &accepted;
    let flag = |name: &str| raw(envelope, body, name).map(|value| value == b"true");
    // Of a count nothing is kept, and it takes no word about that.
    let counts = accepted.operation == Operation::CountTokens;
    let store = flag("store").unwrap_or(true) && !counts;
    let background = flag("background").unwrap_or(false) && !counts;
    let previous = raw(envelope, body, "previous_response_id")
        .map(|value| {
            let wrong = |_| wrong("previous_response_id", "expected the id of a response, as a string");
            serde_json::from_slice::<String>(value).map_err(wrong)
        })
        .transpose()?;
    if background && !store {
        return Err(wrong(
            "background",
            "a response in the background must be stored; leave out `store: false`",
        ));
    }
    if previous.is_some() && raw(envelope, body, "conversation").is_some() {
        return Err(wrong("previous_response_id", "cannot be used together with `conversation`"));
    }
    let input = envelope.field(body, "input").map(|field| body.slice(field.value.clone()));
    // The client gets the id of a response in the background before there is an answer.
    let id = background.then(|| format!("resp_{}", request_id.to_string().to_ascii_lowercase()));
    let echo = Echo::read(envelope, body);
    let mut turn = Turn {
        owner,
        id: id.clone(),
        counts,
        store,
        background,
        previous,
        conversation: None,
        input: input.unwrap_or_else(|| Bytes::from_static(b"[]")),
        echo: Arc::new(match id {
            Some(id) => echo.with_id(id),
            None => echo,
        }),
        bound: None,
    };
    let stored = match raw(envelope, body, "conversation") {
        Some(value) => conversations::named(gateway, &turn.owner, value).await?,
        None => None,
    };
    turn.conversation = stored.as_ref().map(|stored| stored.id.clone());
    let chain = chain(gateway, &turn).await?;
    let resolved = references(gateway, &turn, &chain, stored.as_ref()).await?;
    if turn.previous.is_some() || turn.conversation.is_some() || resolved.is_some() {
        turn.bound = stored.as_ref().map_or_else(|| bound(&chain), sealed_in);
        if let Some(resolved) = resolved {
            turn.input = resolved;
        }
        let list = match &stored {
            Some(stored) => whole(&stored.items, &turn.input),
            None => conversation(&chain, &turn.input),
        };
        let mut edits = Edits::default();
        edits.remove(envelope, body, "previous_response_id");
        if stored.is_some() {
            edits.remove(envelope, body, "conversation");
        }
        edits.set(envelope, body, "input", list);
        let expanded = join_rope(&edits.apply(body, envelope));
        accepted.envelope =
            dispatch::envelope(accepted.dialect, accepted.operation, &expanded, &accepted.path)
                .map_err(BadRequest::into_client_error)?;
        accepted.body = expanded;
    }
    accepted.turn = Some(Box::new(turn));
    Ok(accepted)
}

/// A top-level value that is not null.
fn raw<'b>(envelope: &Envelope, body: &'b Bytes, name: &str) -> Option<&'b [u8]> {
    let field = envelope.field(body, name)?;
    body.get(field.value.clone()).filter(|value| *value != b"null")
}

fn wrong(path: &str, what: &str) -> ClientError {
    ClientError::new(ErrorCode::InvalidRequest, format!("{path}: {what}")).at(path)
}

/// The stored conversation that the request goes on with, oldest first.
async fn chain(gateway: &Gateway, turn: &Turn) -> Result<Vec<Arc<StoredResponse>>, ClientError> {
    let Some(id) = turn.previous.clone() else { return Ok(Vec::new()) };
    let (responses, owner, wanted) = (gateway.responses.clone(), turn.owner.clone(), id.clone());
    let found = look(move || responses.conversation(&owner, &wanted)).await?;
    let shown: String = id.chars().take(100).collect();
    let Some(chain) = found else {
        let message = format!("Previous response with id '{shown}' not found.");
        return Err(ClientError::new(ErrorCode::InvalidRequest, message).at("previous_response_id"));
    };
    match chain.last().map(|last| last.status.as_str()) {
        Some("completed" | "incomplete") | None => Ok(chain),
        Some(status) => {
            let message = format!(
                "Previous response with id '{shown}' is {status}: only a finished one can be gone on with."
            );
            Err(ClientError::new(ErrorCode::InvalidRequest, message).at("previous_response_id"))
        }
    }
}

/// The input with its references to stored items resolved; `None` where it has none.
///
/// # Errors
/// A reference to an item that is not there.
async fn references(
    gateway: &Gateway,
    turn: &Turn,
    chain: &[Arc<StoredResponse>],
    stored: Option<&Conversation>,
) -> Result<Option<Bytes>, ClientError> {
    if !turn.input.starts_with(b"[") || memmem::find(&turn.input, b"item_reference").is_none() {
        return Ok(None);
    }
    let Ok(mut items) = serde_json::from_slice::<Vec<Value>>(&turn.input) else { return Ok(None) };
    let mut found_any = false;
    for (index, item) in items.iter_mut().enumerate() {
        if item.get("type").and_then(Value::as_str) != Some("item_reference") {
            continue;
        }
        let path = format!("input[{index}]");
        let Some(id) = item.get("id").and_then(Value::as_str).map(str::to_owned) else { continue };
        let said = stored.and_then(|stored| stored.items.iter().find(|item| item["id"] == *id));
        if let Some(said) = said {
            *item = said.clone();
            found_any = true;
            continue;
        }
        let response =
            match chain.iter().find(|response| memmem::find(&response.object, id.as_bytes()).is_some()) {
                Some(response) => Some(Arc::clone(response)),
                None => {
                    let (responses, owner, wanted) =
                        (gateway.responses.clone(), turn.owner.clone(), id.clone());
                    look(move || responses.with_item(&owner, &wanted)).await?
                }
            };
        let stored = response.and_then(|response| {
            outputs(&response.object)
                .into_iter()
                .find(|item| item.get("id").and_then(Value::as_str) == Some(&id))
        });
        let Some(stored) = stored else {
            let shown: String = id.chars().take(100).collect();
            let message =
                format!("Item with id '{shown}' not found. Items are not kept when `store` is false.");
            return Err(ClientError::new(ErrorCode::NotFound, message).at(path));
        };
        *item = stored;
        found_any = true;
    }
    Ok(found_any.then(|| Bytes::from(Value::Array(items).to_string())))
}

/// The items of a response's output.
pub(super) fn outputs(object: &[u8]) -> Vec<Value> {
    let object: Value = serde_json::from_slice(object).unwrap_or_default();
    object.get("output").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Where the newest sealed state in a stored conversation was made.
fn sealed_in(stored: &Conversation) -> Option<Bound> {
    Some(Bound { deployment: stored.deployment.clone()?, provider: stored.provider.clone()? })
}

/// Where the newest sealed state was made.
fn bound(chain: &[Arc<StoredResponse>]) -> Option<Bound> {
    let sealed = chain
        .iter()
        .rev()
        .find(|response| memmem::find(&response.object, b"\"encrypted_content\":\"").is_some())?;
    Some(Bound { deployment: sealed.deployment.clone()?, provider: sealed.provider.clone()? })
}

/// The whole conversation as one list of items.
fn conversation(chain: &[Arc<StoredResponse>], input: &[u8]) -> Vec<u8> {
    let mut list = b"[".to_vec();
    for response in chain {
        extend(&mut list, &response.input);
        for item in outputs(&response.object) {
            // Unsealed reasoning is nothing that a provider which stores nothing could go on with.
            let is_open = item.get("type").and_then(Value::as_str) == Some("reasoning")
                && item.get("encrypted_content").is_none_or(Value::is_null);
            if !is_open {
                separate(&mut list);
                list.extend_from_slice(item.to_string().as_bytes());
            }
        }
    }
    extend(&mut list, input);
    list.push(b']');
    list
}

/// The items of a stored conversation and what is added to them, as one list.
fn whole(items: &[Value], input: &[u8]) -> Vec<u8> {
    let mut list = b"[".to_vec();
    for item in items {
        separate(&mut list);
        list.extend_from_slice(item.to_string().as_bytes());
    }
    extend(&mut list, input);
    list.push(b']');
    list
}

fn separate(list: &mut Vec<u8>) {
    if list.len() > 1 {
        list.push(b',');
    }
}

/// Adds an input, a text or a list, to a list of items; what is neither is left for the decoder to name.
fn extend(list: &mut Vec<u8>, input: &[u8]) {
    if input.starts_with(b"\"") {
        separate(list);
        list.extend_from_slice(b"{\"role\":\"user\",\"content\":");
        list.extend_from_slice(input);
        list.push(b'}');
        return;
    }
    match serde_json::from_slice::<Vec<&RawValue>>(input) {
        Ok(items) => {
            for item in items {
                separate(list);
                list.extend_from_slice(item.get().as_bytes());
            }
        }
        Err(_) => {
            separate(list);
            list.extend_from_slice(input);
        }
    }
}

impl Turn {
    /// Takes out of a passing body what the gateway does itself, and asks for what makes that possible.
    pub(crate) fn edit(&self, edits: &mut Edits, envelope: &Envelope, body: &Bytes, profile: &Profile) {
        edits.remove(envelope, body, "background");
        if !self.store || raw(envelope, body, "conversation").is_some() {
            return;
        }
        if !profile.refuses("store") {
            edits.set(envelope, body, "store", Bytes::from_static(b"false"));
        }
        if profile.refuses("include") || profile.reasoning == ReasoningStyle::None {
            return;
        }
        let given = raw(envelope, body, "include").unwrap_or(b"[]");
        let Ok(mut names) = serde_json::from_slice::<Vec<Value>>(given) else { return };
        if !names.iter().any(|name| name == SEALED) {
            names.push(SEALED.into());
            edits.set(envelope, body, "include", Value::Array(names).to_string());
        }
    }

    /// What the client is shown in the place of what a provider of its own dialect says of such a request.
    pub(crate) fn patch(&self, is_passed: bool) -> Patch {
        let mut patch = Patch::default();
        if self.counts {
            return patch;
        }
        if let Some(id) = &self.id {
            patch = patch.text("id", id);
        }
        if let Some(conversation) = &self.conversation {
            patch = patch.raw("conversation", serde_json::json!({"id": conversation}).to_string());
        }
        if !is_passed {
            return patch;
        }
        if self.store {
            patch = patch.raw("store", "true");
        }
        if let Some(previous) = &self.previous {
            patch = patch.text("previous_response_id", previous);
        }
        if self.background {
            patch = patch.raw("background", "true");
        }
        patch
    }

    /// What was put before the client's items.
    pub(crate) fn earlier(&self, body: &[u8]) -> Option<Earlier> {
        #[derive(serde::Deserialize)]
        struct Whole<'b> {
            #[serde(borrow)]
            input: Vec<&'b RawValue>,
        }
        let named_by = match (&self.previous, &self.conversation) {
            (Some(_), _) => "previous_response_id",
            (None, Some(_)) => "conversation",
            (None, None) => return None,
        };
        let whole: Whole<'_> = serde_json::from_slice(body).ok()?;
        let own: Option<Vec<&RawValue>> = serde_json::from_slice(&self.input).ok();
        let is_text = own.is_none();
        let items = whole.input.len().checked_sub(own.map_or(1, |own| own.len()))?;
        Some(Earlier { items, named_by, is_text })
    }

    /// Whether a deployment's provider cannot read the sealed state in the conversation.
    pub(crate) fn is_foreign(&self, provider: &str) -> bool {
        self.bound.as_ref().is_some_and(|bound| bound.provider != provider)
    }
}

/// The items that a response was made from: what came before it, then its own input.
pub(super) fn items_before(chain: &[Arc<StoredResponse>]) -> Vec<Value> {
    let mut items = Vec::new();
    for (index, response) in chain.iter().enumerate() {
        items.extend(input_items(&response.input, &stable_tail(&response.id)));
        if index + 1 < chain.len() {
            items.extend(outputs(&response.object));
        }
    }
    items
}
