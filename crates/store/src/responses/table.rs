//! Responses in memory.
//!
//! Owns a map bounded by bytes, the oldest going first, and the marks of what was deleted and is not yet so in the database. With a
//! database it holds what waits to be written there.

use super::{StoredResponse, item_ids};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

type Key = (String, String);

/// What a mark counts for in the bound, in bytes.
const MARK: u64 = 256;

/// What is to be done in the database.
#[derive(Debug)]
pub(super) enum Waiting {
    /// A response is to be written.
    Put(Arc<StoredResponse>),
    /// One of an owner is to be deleted.
    Delete(String, String),
}

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

    /// Takes a response; tells how many had to go for it.
    pub(super) fn put(&mut self, response: &Arc<StoredResponse>) -> usize {
        let key = (response.owner.clone(), response.id.clone());
        self.forget(&key);
        self.bytes += response.bytes() as u64;
        self.entries.insert(key.clone(), Some(Arc::clone(response)));
        self.order.push_back(key);
        self.shrink()
    }

    fn shrink(&mut self) -> usize {
        let mut gone = 0;
        while self.bytes > self.most {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.bytes -= size(entry.as_deref());
                gone += 1;
            }
        }
        gone
    }

    fn forget(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= size(entry.as_deref());
            self.order.retain(|other| other != key);
        }
    }

    /// Everything there is, the oldest first.
    pub(super) fn waiting(&self) -> Vec<Waiting> {
        let waiting = |key: &Key| match self.entries.get(key)? {
            Some(response) => Some(Waiting::Put(Arc::clone(response))),
            None => Some(Waiting::Delete(key.0.clone(), key.1.clone())),
        };
        self.order.iter().filter_map(waiting).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
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
        self.forget(&key);
        if mark {
            self.bytes += MARK;
            self.entries.insert(key.clone(), None);
            self.order.push_back(key);
            self.shrink();
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
            self.forget(&key);
        }
    }

    /// The database has forgotten it now.
    pub(super) fn erased(&mut self, owner: &str, id: &str) {
        let key = (owner.to_owned(), id.to_owned());
        if let Some(None) = self.entries.get(&key) {
            self.forget(&key);
        }
    }
}

fn size(entry: Option<&StoredResponse>) -> u64 {
    entry.map_or(MARK, |response| response.bytes() as u64)
}
