//! Responses that a simulator has stored, for requests that name them.
//!
//! Owns a bounded memory of response objects and of the conversation behind each. Beside the prompt cache it is the one thing by
//! which an answer depends on earlier requests.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde_json::Value;

/// How many responses are remembered.
const CAPACITY: usize = 512;

/// A stored response.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) id: String,
    /// The response object.
    pub(crate) object: Value,
    /// Everything that was said up to it, its own input last.
    pub(crate) input: Vec<Value>,
}

/// The memory of one simulator.
#[derive(Debug, Default)]
pub(crate) struct ResponseBook {
    stored: Mutex<VecDeque<Stored>>,
}

impl ResponseBook {
    /// Remembers a response in place of any other of its id.
    pub(crate) fn keep(&self, response: Stored) {
        let mut stored = self.stored.lock();
        stored.retain(|other| other.id != response.id);
        while stored.len() >= CAPACITY {
            stored.pop_front();
        }
        stored.push_back(response);
    }

    /// The response of an id.
    pub(crate) fn find(&self, id: &str) -> Option<Stored> {
        self.stored.lock().iter().find(|stored| stored.id == id).cloned()
    }

    /// Forgets a response; tells whether it was there.
    pub(crate) fn forget(&self, id: &str) -> bool {
        let mut stored = self.stored.lock();
        let before = stored.len();
        stored.retain(|stored| stored.id != id);
        stored.len() < before
    }

    /// The stored item of an id, in whichever response.
    pub(crate) fn item(&self, id: &str) -> Option<Value> {
        let stored = self.stored.lock();
        let own = |item: &&Value| item.get("id").and_then(Value::as_str) == Some(id);
        stored.iter().find_map(|response| {
            let output = response.object.get("output").and_then(Value::as_array);
            output.into_iter().flatten().chain(&response.input).find(own).cloned()
        })
    }
}
