//! Stored responses: conversations that clients name by an id instead of sending them again.
//!
//! Owns the bounded table of responses, in memory or in an SQLite file beside the log, and the one thread that writes it. Must
//! not know what is in a response beyond its id, its status and the ids of its items. Writing never waits: what is not written yet
//! is found in memory, where it stays until the database takes it. Everything belongs to an owner, the virtual key that made it; for others it is not there.

mod conversations;
mod database;
mod table;
mod writer;

pub use conversations::{Addition, Conversation, MOST_ITEMS};

use crate::recorder::{StoreError, StoreKind};
use bytes::Bytes;
use conversations::{Additions, STATUS};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use table::Table;
use writer::Writer;

/// The longest chain of responses that is followed.
const LONGEST_CHAIN: usize = 1_000;
/// The most bytes of one conversation.
const LARGEST_CONVERSATION: usize = 64 << 20;

/// One stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    /// Whose it is: the name of a virtual key, empty where there are none.
    pub owner: String,
    /// Its id.
    pub id: String,
    /// When it was made, in Unix seconds.
    pub created: u64,
    /// Its status, as in the object.
    pub status: String,
    /// The response before it in the conversation.
    pub previous: Option<String>,
    /// The deployment that answered.
    pub deployment: Option<String>,
    /// The provider of that deployment.
    pub provider: Option<String>,
    /// The response object, as JSON.
    pub object: Bytes,
    /// What its own request added to the conversation: the value of `input`, as JSON.
    pub input: Bytes,
}

impl StoredResponse {
    fn bytes(&self) -> usize {
        self.object.len() + self.input.len() + 256
    }
}

/// How responses are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseSettings {
    /// Where.
    pub kind: StoreKind,
    /// Age at which they are deleted.
    pub keep: Duration,
    /// Bytes at which the oldest are deleted.
    pub max_bytes: u64,
}

/// The stored responses; cheap to clone. The last clone to go waits until everything is written.
#[derive(Clone, Debug)]
pub struct Responses {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// With SQLite what is not written yet, else everything; bounded either way.
    table: Arc<Mutex<Table>>,
    database: Option<Database>,
    keep: Duration,
    additions: Additions,
}

#[derive(Debug)]
struct Database {
    path: PathBuf,
    reader: Mutex<rusqlite::Connection>,
    writer: Writer,
}

/// The largest table kept in memory, in bytes.
const LARGEST_IN_MEMORY: u64 = 256_000_000;

impl Responses {
    /// A table in memory that holds as much as is reasonable there.
    #[must_use]
    pub fn in_memory() -> Self {
        let table = Table::new(LARGEST_IN_MEMORY);
        let keep = Duration::from_secs(30 * 86_400);
        Self::of(Arc::new(Mutex::new(table)), None, keep)
    }

    /// Opens the table. Responses that were under way when the process before this one ended are marked as failed.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub fn open(settings: &ResponseSettings) -> Result<Self, StoreError> {
        let table = |most| Arc::new(Mutex::new(Table::new(most)));
        let StoreKind::Sqlite(log) = &settings.kind else {
            let table = table(settings.max_bytes.min(LARGEST_IN_MEMORY));
            return Ok(Self::of(table, None, settings.keep));
        };
        let mut path = log.as_os_str().to_owned();
        path.push(".responses");
        let path = PathBuf::from(path);
        let failed = |source| StoreError::Database { path: path.clone(), source };
        let connection = database::open(&path).map_err(failed)?;
        let reader = database::open(&path).map_err(failed)?;
        let table = table(LARGEST_IN_MEMORY);
        let writer = Writer::start(connection, Arc::clone(&table), settings).map_err(StoreError::Thread)?;
        let database = Database { path, reader: Mutex::new(reader), writer };
        Ok(Self::of(table, Some(database), settings.keep))
    }

    fn of(table: Arc<Mutex<Table>>, database: Option<Database>, keep: Duration) -> Self {
        Self { inner: Arc::new(Inner { table, database, keep, additions: Additions::default() }) }
    }

    /// How long responses are kept.
    #[must_use]
    pub fn keep(&self) -> Duration {
        self.inner.keep
    }

    /// Takes a response, in place of any other of its id. Never waits for a database.
    pub fn put(&self, response: StoredResponse) {
        let response = Arc::new(response);
        let gone = self.inner.table.lock().put(&response);
        let Some(database) = &self.inner.database else { return };
        if gone > 0 {
            tracing::error!(
                lost = gone,
                "responses that waited for the database had to go: it does not keep up"
            );
        }
        // Without room in the queue it stays in the table, from where the writer takes it when it has caught up.
        database.writer.put(&response);
    }

    /// A response of an owner. May read the database: not to be called on a thread that serves others.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn find(&self, owner: &str, id: &str) -> Result<Option<Arc<StoredResponse>>, StoreError> {
        Ok(self.find_record(owner, id)?.filter(|found| found.status != STATUS))
    }

    fn find_record(&self, owner: &str, id: &str) -> Result<Option<Arc<StoredResponse>>, StoreError> {
        match self.inner.table.lock().find(owner, id) {
            table::Found::Here(response) => return Ok(Some(response)),
            table::Found::Deleted => return Ok(None),
            table::Found::Unknown => {}
        }
        let Some(database) = &self.inner.database else { return Ok(None) };
        let found = database::find(&database.reader.lock(), owner, id);
        found.map(|found| found.map(Arc::new)).map_err(|source| database.failed(source))
    }

    /// Deletes a response of an owner; tells whether it was there. May read the database.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn delete(&self, owner: &str, id: &str) -> Result<bool, StoreError> {
        if self.find(owner, id)?.is_none() {
            return Ok(false);
        }
        self.forget(owner, id);
        Ok(true)
    }

    fn forget(&self, owner: &str, id: &str) {
        self.inner.table.lock().delete(owner, id, self.inner.database.is_some());
        if let Some(database) = &self.inner.database {
            database.writer.delete(owner, id);
        }
    }

    /// A response and those before it, oldest first; `None` when one of them is not there. May read the database.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn conversation(
        &self,
        owner: &str,
        id: &str,
    ) -> Result<Option<Vec<Arc<StoredResponse>>>, StoreError> {
        let mut chain: Vec<Arc<StoredResponse>> = Vec::new();
        let mut bytes = 0;
        let mut next = Some(id.to_owned());
        while let Some(id) = next {
            let Some(found) = self.find(owner, &id)? else { return Ok(None) };
            bytes += found.bytes();
            if chain.len() == LONGEST_CHAIN || bytes > LARGEST_CONVERSATION {
                return Ok(None);
            }
            next = found.previous.clone();
            chain.push(found);
        }
        chain.reverse();
        Ok(Some(chain))
    }

    /// The response of an owner that has an item of that id in its output. May read the database.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn with_item(&self, owner: &str, item: &str) -> Result<Option<Arc<StoredResponse>>, StoreError> {
        if let Some(response) = self.inner.table.lock().with_item(owner, item) {
            return Ok(Some(response));
        }
        let Some(database) = &self.inner.database else { return Ok(None) };
        let found = database::response_of_item(&database.reader.lock(), owner, item)
            .map_err(|source| database.failed(source))?;
        found.map_or(Ok(None), |id| self.find(owner, &id))
    }

    /// Waits until everything put so far is written.
    pub fn flush(&self) {
        if let Some(database) = &self.inner.database {
            database.writer.flush();
        }
    }
}

impl Database {
    fn failed(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Database { path: self.path.clone(), source }
    }
}

/// The ids of the items in an object's output.
fn item_ids(object: &[u8]) -> Vec<String> {
    let Ok(object) = serde_json::from_slice::<serde_json::Value>(object) else { return Vec::new() };
    let output = object.get("output").and_then(serde_json::Value::as_array);
    let id = |item: &serde_json::Value| item.get("id")?.as_str().map(str::to_owned);
    output.into_iter().flatten().filter_map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(owner: &str, id: &str, previous: Option<&str>, created: u64) -> StoredResponse {
        StoredResponse {
            owner: owner.to_owned(),
            id: id.to_owned(),
            created,
            status: "completed".to_owned(),
            previous: previous.map(str::to_owned),
            deployment: Some("one/model".to_owned()),
            provider: Some("one".to_owned()),
            object: Bytes::from(format!(
                r#"{{"id":"{id}","status":"completed","output":[{{"id":"msg_{id}"}}]}}"#
            )),
            input: Bytes::from_static(b"\"hi\""),
        }
    }

    fn now() -> u64 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
    }

    fn opened(folder: &std::path::Path) -> Responses {
        let kind = StoreKind::Sqlite(folder.join("log.db"));
        Responses::open(&ResponseSettings { kind, keep: Duration::from_secs(86_400), max_bytes: 100_000_000 })
            .unwrap()
    }

    fn behaves(responses: &Responses, settle: impl Fn()) {
        let at = now();
        responses.put(response("ann", "a", None, at));
        responses.put(response("ann", "b", Some("a"), at));
        responses.put(response("bob", "c", None, at));
        for _ in 0..2 {
            assert_eq!(responses.find("ann", "a").unwrap().unwrap().id, "a");
            assert!(responses.find("bob", "a").unwrap().is_none(), "another's response is not there");
            let chain = responses.conversation("ann", "b").unwrap().unwrap();
            assert_eq!(chain.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
            assert_eq!(responses.with_item("ann", "msg_b").unwrap().unwrap().id, "b");
            assert!(responses.with_item("bob", "msg_b").unwrap().is_none());
            settle();
        }
        assert!(!responses.delete("bob", "a").unwrap());
        assert!(responses.delete("ann", "a").unwrap());
        for _ in 0..2 {
            assert!(responses.find("ann", "a").unwrap().is_none());
            assert!(responses.conversation("ann", "b").unwrap().is_none(), "a chain with a hole is none");
            settle();
        }
        assert!(!responses.delete("ann", "a").unwrap());
    }

    #[test]
    fn responses_belong_to_their_owners() {
        behaves(&Responses::in_memory(), || ());
        let folder = tempfile::tempdir().unwrap();
        let responses = opened(folder.path());
        behaves(&responses, || responses.flush());
    }

    #[test]
    fn what_was_under_way_has_failed_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let responses = opened(folder.path());
        let mut running = response("ann", "run", None, now());
        running.status = "in_progress".to_owned();
        running.object =
            Bytes::from_static(br#"{"id":"run","status":"in_progress","error":null,"output":[]}"#);
        responses.put(running);
        responses.put(response("ann", "done", None, now()));
        drop(responses);
        let responses = opened(folder.path());
        let found = responses.find("ann", "run").unwrap().unwrap();
        assert_eq!(found.status, "failed");
        insta::assert_snapshot!(String::from_utf8_lossy(&found.object), @r#"{"id":"run","status":"failed","error":{"code":"server_error","message":"the gateway was restarted before the response was complete"},"output":[]}"#);
        assert_eq!(responses.find("ann", "done").unwrap().unwrap().status, "completed");
    }

    #[test]
    fn what_the_database_did_not_take_is_written_later() {
        let folder = tempfile::tempdir().unwrap();
        let responses = opened(folder.path());
        let other = rusqlite::Connection::open(folder.path().join("log.db.responses")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        responses.put(response("ann", "a", None, now()));
        responses.flush();
        assert!(database::find(&other, "ann", "a").unwrap().is_none(), "the database was locked");
        assert_eq!(responses.find("ann", "a").unwrap().unwrap().id, "a");
        other.execute_batch("ROLLBACK").unwrap();
        drop(responses);
        assert_eq!(database::find(&other, "ann", "a").unwrap().unwrap().id, "a");
        let responses = opened(folder.path());
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert!(responses.delete("ann", "a").unwrap());
        responses.flush();
        assert!(responses.find("ann", "a").unwrap().is_none(), "deleted, whatever the database says");
        other.execute_batch("ROLLBACK").unwrap();
        drop(responses);
        assert!(database::find(&other, "ann", "a").unwrap().is_none());
    }

    #[test]
    fn what_waits_is_bounded() {
        let one = response("ann", "a", None, 1).bytes() as u64;
        let mut table = Table::new(one * 2);
        let gone: Vec<_> =
            ["a", "b", "b", "c", "d"].map(|id| table.put(&Arc::new(response("ann", id, None, 1)))).into();
        assert_eq!(gone, [0, 0, 0, 1, 1]);
        table.delete("ann", "d", true);
        table.put(&Arc::new(response("ann", "e", None, 1)));
        assert!(matches!(table.find("ann", "d"), table::Found::Deleted));
        assert!(matches!(table.find("ann", "c"), table::Found::Unknown), "marks count too");
        assert_eq!(table.waiting().len(), 2);
    }

    #[test]
    fn what_is_too_old_or_too_much_goes() {
        let folder = tempfile::tempdir().unwrap();
        let connection = database::open(&folder.path().join("x")).unwrap();
        for (id, created) in [("old", 100), ("a", 1_000), ("b", 1_001), ("c", 1_002)] {
            database::put(&connection, &response("ann", id, None, created)).unwrap();
        }
        database::retain(&connection, 500, u64::MAX).unwrap();
        assert!(database::find(&connection, "ann", "old").unwrap().is_none());
        let one = response("ann", "c", None, 1).bytes() as u64;
        database::retain(&connection, 500, one * 2).unwrap();
        let left = |id| database::find(&connection, "ann", id).unwrap().is_some();
        assert_eq!((left("a"), left("b"), left("c")), (false, true, true));
        assert!(database::response_of_item(&connection, "ann", "msg_a").unwrap().is_none());
        let mut table = Table::new(one * 2);
        for id in ["a", "b", "c"] {
            table.put(&Arc::new(response("ann", id, None, 1)));
        }
        assert!(matches!(table.find("ann", "a"), table::Found::Unknown));
        assert!(matches!(table.find("ann", "c"), table::Found::Here(_)));
    }
}
