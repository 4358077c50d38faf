//! Responses in memory.
//!
//! Owns a map bounded by bytes, the oldest going first, and the marks of what was deleted and is not yet so in the database.

use super::{StoredResponse, item_ids};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

type Key = (String, String);

/// What the table knows of an id.
pub(super) enum Found {
    /// It is here.
    Here(Arc<StoredResponse>),
    /// It was deleted.
    Deleted,
    /// Nothing.
    Unknown,
}

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    entries: HashMap<Key, Option<Arc<StoredResponse>>>,
    /// Ids in the order in which they came, ids that are gone among them.
    order: VecDeque<Key>,
    bytes: u64,
    most: u64,
}

impl Table {
    pub(super) fn new(most: u64) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), bytes: 0, most }
    }

    pub(super) fn put(&mut self, response: &Arc<StoredResponse>) {
        let key = (response.owner.clone(), response.id.clone());
        self.bytes += response.bytes() as u64;
        match self.entries.insert(key.clone(), Some(Arc::clone(response))) {
            Some(Some(before)) => self.bytes -= before.bytes() as u64,
            Some(None) => {}
            None => self.order.push_back(key),
        }
        while self.bytes > self.most {
            let Some(oldest) = self.order.pop_front() else { break };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(Some(gone)) = self.entries.remove(key) {
            self.bytes -= gone.bytes() as u64;
        }
    }

    pub(super) fn find(&self, owner: &str, id: &str) -> Found {
        match self.entries.get(&(owner.to_owned(), id.to_owned())) {
            Some(Some(response)) => Found::Here(Arc::clone(response)),
            Some(None) => Found::Deleted,
            None => Found::Unknown,
        }
    }

    /// Forgets a response; `mark` remembers that, until the database has forgotten it too.
    pub(super) fn delete(&mut self, owner: &str, id: &str, mark: bool) {
        let key = (owner.to_owned(), id.to_owned());
        self.remove(&key);
        self.order.retain(|other| *other != key);
        if mark {
            self.entries.insert(key, None);
        }
    }

    /// The newest response with an item.
    pub(super) fn with_item(&self, owner: &str, item: &str) -> Option<Arc<StoredResponse>> {
        let own = self.order.iter().rev().filter(|(other, _)| other == owner);
        own.filter_map(|key| self.entries.get(key)?.as_ref())
            .find(|response| item_ids(&response.object).iter().any(|id| id == item))
            .cloned()
    }

    /// The database has it now.
    pub(super) fn written(&mut self, response: &Arc<StoredResponse>) {
        let key = (response.owner.clone(), response.id.clone());
        if let Some(Some(here)) = self.entries.get(&key)
            && Arc::ptr_eq(here, response)
        {
            self.remove(&key);
            self.order.retain(|other| *other != key);
        }
    }

    /// The database has forgotten it now.
    pub(super) fn erased(&mut self, owner: &str, id: &str) {
        let key = (owner.to_owned(), id.to_owned());
        if let Some(None) = self.entries.get(&key) {
            self.entries.remove(&key);
        }
    }
}
