//! Stored conversations: items that responses go on with and add to.
//!
//! Owns the form of a conversation as a record of the table beside it, whose bounds, retention, owners and writer are its own too,
//! and the order in which it is changed. Must not know what is in an item. What an answer adds is noted without waiting for the
//! database and put in its place before the conversation is looked at again.

use super::{Responses, StoredResponse};
use crate::recorder::StoreError;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;

/// The status by which a record is a conversation.
pub(super) const STATUS: &str = "conversation";
/// Most items of a conversation.
pub const MOST_ITEMS: usize = 10_000;
/// Most bytes of a conversation's items.
const MOST_BYTES: usize = 32 << 20;
/// Most bytes of what waits to be put in its place.
const MOST_WAITING: usize = 64 << 20;

/// A conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation {
    /// Whose it is: the name of a virtual key, empty where there are none.
    pub owner: String,
    /// Its id.
    pub id: String,
    /// When it was made, in Unix seconds.
    pub created: u64,
    /// What its client says of it.
    pub metadata: Map<String, Value>,
    /// Its items, oldest first.
    pub items: Vec<Value>,
    /// The deployment that made the newest state in it which only its provider can read.
    pub deployment: Option<String>,
    /// The provider of that deployment.
    pub provider: Option<String>,
}

/// What an answer adds to a conversation.
#[derive(Clone, Debug)]
pub struct Addition {
    /// Whose it is.
    pub owner: String,
    /// Its id.
    pub id: String,
    /// The items, oldest first.
    pub items: Vec<Value>,
    /// The deployment and the provider that made state among them which only they can read.
    pub maker: Option<(String, String)>,
}

/// Additions not yet in their place.
#[derive(Debug, Default)]
pub(super) struct Additions {
    waiting: Mutex<(VecDeque<(Addition, usize)>, usize)>,
    /// Held while a conversation is changed, so that no change is lost to another.
    change: Mutex<()>,
}

impl Additions {
    fn take(&self) -> Option<(Addition, usize)> {
        let mut waiting = self.waiting.lock();
        let (addition, bytes) = waiting.0.pop_front()?;
        waiting.1 -= bytes;
        Some((addition, bytes))
    }

    fn put_back(&self, addition: Addition, bytes: usize) {
        let mut waiting = self.waiting.lock();
        waiting.0.push_front((addition, bytes));
        waiting.1 += bytes;
    }
}

impl Conversation {
    /// Whether more items have room.
    #[must_use]
    pub fn has_room_for(&self, items: &[Value]) -> bool {
        self.items.len() + items.len() <= MOST_ITEMS && size(&self.items) + size(items) <= MOST_BYTES
    }

    fn add(&mut self, addition: Addition) {
        if !self.has_room_for(&addition.items) {
            tracing::warn!(conversation = %self.id, "a conversation is full: an answer was not added to it");
            return;
        }
        self.items.extend(addition.items);
        if let Some((deployment, provider)) = addition.maker {
            (self.deployment, self.provider) = (Some(deployment), Some(provider));
        }
    }

    fn record(&self, now: u64) -> StoredResponse {
        let object = json!({"created": self.created, "metadata": self.metadata, "items": self.items});
        StoredResponse {
            owner: self.owner.clone(),
            id: self.id.clone(),
            // Kept as long as a response from its last change on.
            created: now,
            status: STATUS.to_owned(),
            previous: None,
            deployment: self.deployment.clone(),
            provider: self.provider.clone(),
            object: Bytes::from(object.to_string()),
            input: Bytes::new(),
        }
    }

    fn read(record: &StoredResponse) -> Option<Self> {
        if record.status != STATUS {
            return None;
        }
        let Ok(Value::Object(mut object)) = serde_json::from_slice(&record.object) else { return None };
        let mut taken = |name: &str| object.remove(name).unwrap_or_default();
        let Value::Object(metadata) = taken("metadata") else { return None };
        let Value::Array(items) = taken("items") else { return None };
        Some(Self {
            owner: record.owner.clone(),
            id: record.id.clone(),
            created: taken("created").as_u64().unwrap_or(record.created),
            metadata,
            items,
            deployment: record.deployment.clone(),
            provider: record.provider.clone(),
        })
    }
}

fn size(items: &[Value]) -> usize {
    items.iter().map(|item| item.to_string().len()).sum()
}

impl Responses {
    /// Takes a new conversation. Never waits for a database. `now` is Unix seconds.
    pub fn put_conversation(&self, conversation: &Conversation, now: u64) {
        self.put(conversation.record(now));
    }

    /// A conversation of an owner with all that was added to it. May read the database: not to be called on a thread that serves
    /// others. `now` is Unix seconds.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn find_conversation(
        &self,
        owner: &str,
        id: &str,
        now: u64,
    ) -> Result<Option<Conversation>, StoreError> {
        self.settle(now)?;
        Ok(self.find_record(owner, id)?.as_deref().and_then(Conversation::read))
    }

    /// Changes a conversation of an owner; `None` when it is not there. What `change` refuses stays as it is. May read the
    /// database. `now` is Unix seconds.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn change_conversation<R>(
        &self,
        owner: &str,
        id: &str,
        now: u64,
        change: impl FnOnce(&mut Conversation) -> Option<R>,
    ) -> Result<Option<(Conversation, Option<R>)>, StoreError> {
        self.settle(now)?;
        let _held = self.inner.additions.change.lock();
        let found = self.find_record(owner, id)?;
        let Some(mut conversation) = found.as_deref().and_then(Conversation::read) else { return Ok(None) };
        let done = change(&mut conversation);
        if done.is_some() {
            self.put(conversation.record(now));
        }
        Ok(Some((conversation, done)))
    }

    /// Forgets a conversation of an owner; tells whether it was there. What its answers stored besides stays. May read the
    /// database. `now` is Unix seconds.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn delete_conversation(&self, owner: &str, id: &str, now: u64) -> Result<bool, StoreError> {
        self.settle(now)?;
        let _held = self.inner.additions.change.lock();
        if self.find_record(owner, id)?.as_deref().and_then(Conversation::read).is_none() {
            return Ok(false);
        }
        self.forget(owner, id);
        Ok(true)
    }

    /// Notes what an answer adds. Never waits for a database; [`Responses::settle`] puts it in its place.
    pub fn add_to_conversation(&self, addition: Addition) {
        let bytes = size(&addition.items);
        let mut waiting = self.inner.additions.waiting.lock();
        waiting.0.push_back((addition, bytes));
        waiting.1 += bytes;
        while waiting.1 > MOST_WAITING {
            let Some((lost, bytes)) = waiting.0.pop_front() else { break };
            waiting.1 -= bytes;
            tracing::error!(conversation = %lost.id, "an answer could not be added to its conversation: the database does not keep up");
        }
    }

    /// Puts additions in their place. May read the database. `now` is Unix seconds.
    ///
    /// # Errors
    /// When the database cannot be read; what was not put in its place waits on.
    pub fn settle(&self, now: u64) -> Result<(), StoreError> {
        let additions = &self.inner.additions;
        // Held even where nothing waits: somebody may have taken the last one and not yet put it in its place.
        let _held = additions.change.lock();
        while let Some((addition, bytes)) = additions.take() {
            let found = match self.find_record(&addition.owner, &addition.id) {
                Ok(found) => found,
                Err(error) => {
                    additions.put_back(addition, bytes);
                    return Err(error);
                }
            };
            // Who deleted it wants nothing added.
            if let Some(mut conversation) = found.as_deref().and_then(Conversation::read) {
                conversation.add(addition);
                self.put(conversation.record(now));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::StoreKind;
    use crate::responses::ResponseSettings;
    use std::time::Duration;

    fn opened(folder: &std::path::Path) -> Responses {
        let kind = StoreKind::Sqlite(folder.join("log.db"));
        let keep = Duration::from_secs(86_400);
        Responses::open(&ResponseSettings { kind, keep, max_bytes: 100_000_000 }).unwrap()
    }

    fn now() -> u64 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
    }

    fn conversation() -> Conversation {
        let items = vec![json!({"id": "msg_1"})];
        Conversation {
            owner: "ann".into(),
            id: "conv_1".into(),
            created: 7,
            items,
            ..Conversation::default()
        }
    }

    fn addition(owner: &str, item: &str) -> Addition {
        let maker = Some(("one/model".to_owned(), "one".to_owned()));
        Addition { owner: owner.into(), id: "conv_1".into(), items: vec![json!({"id": item})], maker }
    }

    fn ids(responses: &Responses) -> Vec<String> {
        let found = responses.find_conversation("ann", "conv_1", now()).unwrap().unwrap();
        found.items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    }

    fn behaves(responses: &Responses, settle: impl Fn()) {
        responses.put_conversation(&conversation(), now());
        assert_eq!(responses.find_conversation("ann", "conv_1", now()).unwrap(), Some(conversation()));
        settle();
        responses.add_to_conversation(addition("ann", "msg_2"));
        responses.add_to_conversation(addition("bob", "msg_x"));
        assert_eq!(ids(responses), ["msg_1", "msg_2"], "what was noted is there, and another's is not");
        settle();
        let changed = responses.change_conversation("ann", "conv_1", now(), |found| {
            found.items.retain(|item| item["id"] != "msg_1");
            Some(found.items.len())
        });
        assert_eq!(changed.unwrap().unwrap().1, Some(1));
        let refused = responses.change_conversation("ann", "conv_1", now(), |found| {
            found.items.clear();
            None::<()>
        });
        assert!(refused.unwrap().unwrap().1.is_none());
        assert_eq!(ids(responses), ["msg_2"], "what was refused changed nothing");
        let found = responses.find_conversation("ann", "conv_1", now()).unwrap().unwrap();
        assert_eq!((found.created, found.provider.as_deref()), (7, Some("one")));
        assert!(responses.find("ann", "conv_1").unwrap().is_none(), "it is no response");
        assert!(!responses.delete("ann", "conv_1").unwrap());
        assert!(responses.find_conversation("bob", "conv_1", now()).unwrap().is_none());
        assert!(!responses.delete_conversation("bob", "conv_1", now()).unwrap());
        assert!(responses.delete_conversation("ann", "conv_1", now()).unwrap());
        responses.add_to_conversation(addition("ann", "msg_3"));
        settle();
        assert!(responses.find_conversation("ann", "conv_1", now()).unwrap().is_none());
    }

    #[test]
    fn a_conversation_is_gone_on_with_and_belongs_to_its_owner() {
        behaves(&Responses::in_memory(), || ());
        let folder = tempfile::tempdir().unwrap();
        let responses = opened(folder.path());
        behaves(&responses, || responses.flush());
    }

    #[test]
    fn a_conversation_outlives_its_process() {
        let folder = tempfile::tempdir().unwrap();
        let responses = opened(folder.path());
        responses.put_conversation(&conversation(), now());
        responses.add_to_conversation(addition("ann", "msg_2"));
        responses.settle(now()).unwrap();
        drop(responses);
        assert_eq!(ids(&opened(folder.path())), ["msg_1", "msg_2"]);
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let responses = Responses::in_memory();
        responses.put_conversation(&conversation(), now());
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let responses = responses.clone();
                std::thread::spawn(move || {
                    for turn in 0..20 {
                        responses.add_to_conversation(addition("ann", &format!("msg_{thread}_{turn}")));
                        responses.settle(now()).unwrap();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(ids(&responses).len(), 161);
    }

    #[test]
    fn a_full_conversation_takes_no_more() {
        let mut full = conversation();
        full.items = vec![json!({}); MOST_ITEMS];
        assert!(!full.has_room_for(&[json!({})]));
        full.items = vec![json!("x".repeat(MOST_BYTES / 2)); 1];
        assert!(full.has_room_for(&[json!("y")]) && !full.has_room_for(&[json!("y".repeat(MOST_BYTES / 2))]));
        let before = full.items.len();
        full.add(Addition { items: vec![json!("y".repeat(MOST_BYTES / 2))], ..addition("ann", "") });
        assert_eq!(full.items.len(), before);
    }
}
