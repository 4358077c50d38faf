//! Stored conversations, made, looked at, changed.
//!
//! Owns `/v1/conversations` and what is below it. Must not make answers: a response that names a conversation goes on with its items
//! and adds its own, whatever provider answers (`turn`, `keep`). Another key's conversation is as good as not there. Source: the
//! vendor's OpenAPI document, "Conversations".

use super::look;
use super::retrieve::page;
use crate::body::AnswerBody;
use crate::endpoint::decode;
use crate::respond;
use crate::state::Gateway;
use crate::{accept, authenticate, clock};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use trunkline_model::dialect::Dialect;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_store::{Conversation, MOST_ITEMS};
use trunkline_wire::codec::BadRequest;
use trunkline_wire::responses::{input_items, stable_tail};
use trunkline_wire::scan;

/// Most items that a client adds at once, as the vendor has it.
const MOST_AT_ONCE: usize = 20;
/// The largest body: twenty items with files in them.
const LARGEST_BODY: usize = 32 << 20;
/// Most entries of metadata, and the longest name and value, in characters.
const METADATA: (usize, usize, usize) = (16, 64, 512);

/// What is asked of conversations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConversationCall {
    /// A new one.
    Create,
    /// One of them: what it is.
    Retrieve(String),
    /// Its metadata anew.
    Update(String),
    /// Forget it.
    Delete(String),
    /// Its items, a page of them.
    Items(String),
    /// More items.
    Add(String),
    /// One of its items.
    Item(String, String),
    /// One item less.
    Remove(String, String),
}

/// Finds the call for a method and a path, with the method that it takes.
pub(crate) fn find(method: &Method, path: &str) -> Option<(ConversationCall, Method)> {
    use ConversationCall::{Add, Create, Delete, Item, Items, Remove, Retrieve, Update};
    let path = path.strip_prefix("/v1").unwrap_or(path).strip_prefix("/conversations")?;
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').skip(1).collect();
    let (is_post, is_delete) = (*method == Method::POST, *method == Method::DELETE);
    Some(match segments.as_slice() {
        [] if path.is_empty() || path == "/" => (Create, Method::POST),
        [id] if is_post => (Update(decode(id)), Method::POST),
        [id] if is_delete => (Delete(decode(id)), Method::DELETE),
        [id] => (Retrieve(decode(id)), Method::GET),
        [id, "items"] if is_post => (Add(decode(id)), Method::POST),
        [id, "items"] => (Items(decode(id)), Method::GET),
        [id, "items", item] if is_delete => (Remove(decode(id), decode(item)), Method::DELETE),
        [id, "items", item] => (Item(decode(id), decode(item)), Method::GET),
        _ => return None,
    })
}

/// Answers a call.
pub(crate) async fn answer(
    gateway: Arc<Gateway>,
    call: ConversationCall,
    parts: Parts,
    body: Incoming,
) -> Response<AnswerBody> {
    let own = crate::case::new_id();
    let mut response = match perform(&gateway, call, &parts, body, &own.to_string()).await {
        Ok(value) => respond::json(StatusCode::OK, &value),
        Err(error) => return respond::error(Dialect::Responses, own, &error),
    };
    respond::identify(response.headers_mut(), Dialect::Responses, own);
    response
}

async fn perform(
    gateway: &Arc<Gateway>,
    call: ConversationCall,
    parts: &Parts,
    body: Incoming,
    own: &str,
) -> Result<Value, ClientError> {
    let (headers, query) = (&parts.headers, parts.uri.query());
    let generation = gateway.generation();
    let key = match authenticate::check(&generation, headers, query, Dialect::Responses) {
        Ok(key) => key,
        Err(error) => {
            accept::discard(body, headers).await;
            return Err(error);
        }
    };
    let owner = key.map(|key| key.name.to_string()).unwrap_or_default();
    let takes_body =
        matches!(call, ConversationCall::Create | ConversationCall::Update(_) | ConversationCall::Add(_));
    let asked = if takes_body {
        let silence = generation.snapshot.server.client_timeout;
        read(&accept::read_small(body, headers, LARGEST_BODY, silence).await?)?
    } else {
        Map::new()
    };
    serve(gateway, call, owner, &asked, (query, own)).await
}

/// What a call of an owner comes to. `own` is the id of the request, of which new ids are made.
async fn serve(
    gateway: &Gateway,
    call: ConversationCall,
    owner: String,
    asked: &Map<String, Value>,
    (query, own): (Option<&str>, &str),
) -> Result<Value, ClientError> {
    let (responses, now) = (gateway.responses.clone(), clock::unix_seconds());
    match call {
        ConversationCall::Create => {
            let conversation = Conversation {
                id: format!("conv_{}", own.to_ascii_lowercase()),
                owner,
                created: now,
                metadata: metadata(asked)?.unwrap_or_default(),
                items: added(asked, own)?,
                ..Conversation::default()
            };
            responses.put_conversation(&conversation, now);
            Ok(object(&conversation))
        }
        ConversationCall::Update(id) => {
            let Some(metadata) = metadata(asked)? else {
                return Err(wrong("metadata", "expected an object of texts"));
            };
            let change = move |found: &mut Conversation| {
                found.metadata = metadata;
                Some(())
            };
            let (changed, _) = changed(gateway, owner, &id, change).await?;
            Ok(object(&changed))
        }
        ConversationCall::Delete(id) => {
            let wanted = id.clone();
            if !look(move || responses.delete_conversation(&owner, &wanted, now)).await? {
                return Err(unknown(&id));
            }
            Ok(json!({"id": id, "object": "conversation.deleted", "deleted": true}))
        }
        ConversationCall::Add(id) => {
            let items = added(asked, own)?;
            if items.is_empty() {
                return Err(wrong("items", "expected a list of one to 20 items"));
            }
            let listed = items.clone();
            let change =
                move |found: &mut Conversation| found.has_room_for(&items).then(|| found.items.extend(items));
            let (_, done) = changed(gateway, owner, &id, change).await?;
            done.ok_or_else(|| full(&id))?;
            let id_of = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
            let (first, last) = (id_of(listed.first()), id_of(listed.last()));
            Ok(
                json!({"object": "list", "data": listed, "first_id": first, "last_id": last, "has_more": false}),
            )
        }
        ConversationCall::Remove(id, item) => {
            let wanted = item.clone();
            let change = move |found: &mut Conversation| {
                let before = found.items.len();
                found.items.retain(|one| one["id"] != *wanted);
                (found.items.len() < before).then_some(())
            };
            let (left, done) = changed(gateway, owner, &id, change).await?;
            done.ok_or_else(|| unknown_item(&item))?;
            Ok(object(&left))
        }
        ConversationCall::Retrieve(id) => stored(gateway, owner, &id).await.map(|found| object(&found)),
        ConversationCall::Items(id) => {
            let found = stored(gateway, owner, &id).await?;
            page(found.items, query)
        }
        ConversationCall::Item(id, item) => {
            let found = stored(gateway, owner, &id).await?;
            let one = found.items.into_iter().find(|one| one["id"] == *item);
            one.ok_or_else(|| unknown_item(&item))
        }
    }
}

/// A conversation of an owner.
async fn stored(gateway: &Gateway, owner: String, id: &str) -> Result<Conversation, ClientError> {
    let (responses, wanted) = (gateway.responses.clone(), id.to_owned());
    let found = look(move || responses.find_conversation(&owner, &wanted, clock::unix_seconds())).await?;
    found.ok_or_else(|| unknown(id))
}

async fn changed<R: Send + 'static>(
    gateway: &Gateway,
    owner: String,
    id: &str,
    change: impl FnOnce(&mut Conversation) -> Option<R> + Send + 'static,
) -> Result<(Conversation, Option<R>), ClientError> {
    let (responses, wanted) = (gateway.responses.clone(), id.to_owned());
    let now = clock::unix_seconds();
    let found = look(move || responses.change_conversation(&owner, &wanted, now, change)).await?;
    found.ok_or_else(|| unknown(id))
}

/// What a response goes on with: the conversation that its request names.
pub(super) async fn named(
    gateway: &Gateway,
    owner: &str,
    value: &[u8],
) -> Result<Option<Conversation>, ClientError> {
    #[derive(serde::Deserialize)]
    struct Named {
        id: String,
    }
    let id = serde_json::from_slice::<String>(value)
        .or_else(|_| serde_json::from_slice::<Named>(value).map(|named| named.id))
        .map_err(|_| wrong("conversation", "expected the id of a conversation, or an object with it"))?;
    match stored(gateway, owner.to_owned(), &id).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code != ErrorCode::NotFound || is_ours(&id) => Err(error),
        // One that a provider keeps: it alone can go on with it.
        Err(_) => Ok(None),
    }
}

/// Whether an id is one of those given out here.
fn is_ours(id: &str) -> bool {
    id.strip_prefix("conv_").is_some_and(|rest| rest.parse::<trunkline_model::id::RequestId>().is_ok())
}

fn read(body: &Bytes) -> Result<Map<String, Value>, ClientError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    scan::object(body).map_err(BadRequest::into_client_error)?;
    serde_json::from_slice(body).map_err(|error| {
        ClientError::new(ErrorCode::InvalidRequest, format!("the body is not valid JSON: {error}"))
    })
}

/// The metadata, if any is given.
fn metadata(asked: &Map<String, Value>) -> Result<Option<Map<String, Value>>, ClientError> {
    let (most, longest_name, longest_value) = METADATA;
    let given = match asked.get("metadata") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(given)) => given,
        Some(_) => return Err(wrong("metadata", "expected an object of texts")),
    };
    if given.len() > most {
        return Err(wrong("metadata", "expected at most 16 entries"));
    }
    for (name, value) in given {
        let fits = name.chars().count() <= longest_name
            && value.as_str().is_some_and(|value| value.chars().count() <= longest_value);
        if !fits {
            return Err(wrong("metadata", "expected names of up to 64 and texts of up to 512 characters"));
        }
    }
    Ok(Some(given.clone()))
}

/// The items that a client adds, each with an id.
fn added(asked: &Map<String, Value>, own: &str) -> Result<Vec<Value>, ClientError> {
    let given = match asked.get("items") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(given)) => given,
        Some(_) => return Err(wrong("items", "expected a list of items")),
    };
    if given.len() > MOST_AT_ONCE {
        return Err(wrong("items", "expected at most 20 items at once"));
    }
    if let Some(position) = given.iter().position(|item| !item.is_object()) {
        return Err(wrong(&format!("items[{position}]"), "expected an object"));
    }
    Ok(input_items(Value::from(given.clone()).to_string().as_bytes(), &stable_tail(own)))
}

fn object(conversation: &Conversation) -> Value {
    let Conversation { id, created, metadata, .. } = conversation;
    json!({"id": id, "object": "conversation", "created_at": created, "metadata": metadata})
}

fn wrong(path: &str, what: &str) -> ClientError {
    ClientError::new(ErrorCode::InvalidRequest, format!("{path}: {what}")).at(path)
}

fn unknown(id: &str) -> ClientError {
    let shown: String = id.chars().take(100).collect();
    ClientError::new(ErrorCode::NotFound, format!("Conversation with id '{shown}' not found."))
        .at("conversation_id")
}

fn unknown_item(id: &str) -> ClientError {
    let shown: String = id.chars().take(100).collect();
    ClientError::new(ErrorCode::NotFound, format!("Item with id '{shown}' not found.")).at("item_id")
}

fn full(id: &str) -> ClientError {
    let message =
        format!("the conversation `{id}` is full: it holds {MOST_ITEMS} items or 32 MiB at the most");
    ClientError::new(ErrorCode::InvalidRequest, message).at("items")
}

/// Whether an item of an answer, or of what was asked, is worth keeping: reasoning that is not sealed is nothing to go on with.
pub(super) fn is_kept(item: &Value) -> bool {
    item["type"] != "reasoning" || item.get("encrypted_content").is_some_and(|state| !state.is_null())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_by_path_and_method() {
        use ConversationCall::{Add, Create, Delete, Item, Items, Remove, Retrieve, Update};
        let id = || "conv_1".to_owned();
        for (method, path, expected) in [
            (Method::POST, "/v1/conversations", Create),
            (Method::GET, "/conversations/conv_1", Retrieve(id())),
            (Method::POST, "/v1/conversations/conv_1", Update(id())),
            (Method::DELETE, "/v1/conversations/conv%5F1", Delete(id())),
            (Method::GET, "/v1/conversations/conv_1/items", Items(id())),
            (Method::POST, "/v1/conversations/conv_1/items", Add(id())),
            (Method::GET, "/v1/conversations/conv_1/items/a", Item(id(), "a".to_owned())),
            (Method::DELETE, "/v1/conversations/conv_1/items/a", Remove(id(), "a".to_owned())),
        ] {
            assert_eq!(find(&method, path), Some((expected, method.clone())), "{path}");
        }
        assert_eq!(find(&Method::GET, "/v1/conversations").map(|(_, allowed)| allowed), Some(Method::POST));
        for path in ["/v1/conversationsx", "/v1/conversations/a/other", "/v1/conversations/a/items/b/c"] {
            assert_eq!(find(&Method::GET, path), None, "{path}");
        }
    }

    #[test]
    fn what_is_added_must_be_items_and_texts() {
        let asked = |value: Value| match value {
            Value::Object(fields) => fields,
            _ => unreachable!(),
        };
        let told = [
            added(&asked(json!({"items": "x"})), "a").unwrap_err(),
            added(&asked(json!({"items": [{}, 1]})), "a").unwrap_err(),
            added(&asked(json!({"items": vec![json!({}); 21]})), "a").unwrap_err(),
            metadata(&asked(json!({"metadata": []}))).unwrap_err(),
            metadata(&asked(json!({"metadata": {"a": 1}}))).unwrap_err(),
            metadata(&asked(json!({"metadata": {"a": "x".repeat(513)}}))).unwrap_err(),
            metadata(&asked(json!({"metadata": (0..17).map(|index| (index.to_string(), "x".into())).collect::<Map<_, _>>()})))
                .unwrap_err(),
            read(&Bytes::from_static(b"[]")).unwrap_err(),
            unknown("conv_1"),
            unknown_item("msg_1"),
            full("conv_1"),
        ];
        let lines: Vec<String> = told.iter().map(|error| error.message.clone()).collect();
        insta::assert_snapshot!(lines.join("\n"));
        let items = added(&asked(json!({"items": [{"role": "user", "content": "a"}]})), "a").unwrap();
        assert!(items[0]["id"].is_string() && items[0]["type"] == "message", "{items:?}");
    }

    #[test]
    fn ids_given_out_here_are_known() {
        let own = crate::case::new_id().to_string().to_ascii_lowercase();
        assert!(is_ours(&format!("conv_{own}")));
        assert!(!is_ours("conv_689667905b048191b4740501625afd940c7533ace33a2dab"));
        assert!(!is_ours("resp_1"));
    }
}
