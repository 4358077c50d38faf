//! The record: what happened to every request, kept across crashes, searchable.
//!
//! Owns the queue between requests and disk, the journal that catches what the database cannot take, the SQLite and memory
//! backends, search and retention; the stored responses; what is learned from; files and batches. Must not know how a request is served. Requests only ever push into bounded memory: no
//! database call, lock wait or disk wait is in their path.

mod batch;
mod batches;
mod block;
mod compact;
mod journal;
mod keeper;
mod learning;
mod legacy;
mod memory;
mod query;
mod recorder;
mod responses;
mod sqlite;

pub use batches::{
    BatchCounts, BatchQuery, BatchStats, BatchStatus, BatchStoreError, BatchStoreSettings, BatchTimes,
    BatchUsage, Batches, ClaimedLine, Deletion, FilePiece, FileQuery, HandedLine, HandedResult,
    HandoverState, HandoverStats, LineEnd, LineUsage, NewLine, PutBack, ResultFiles, Results, Return,
    StoredBatch, StoredFile, StoredHandover,
};
pub use learning::{
    Learning, LearningFile, LearningSettings, NotKept, StoredAccount, StoredArms, StoredPrompt, StoredVector,
    VectorKey, learning_file,
};
pub use query::{Page, Query};
pub use recorder::{Recorder, RecorderStats, Settings, StoreError, StoreKind, search_file};
pub use responses::{Addition, Conversation, MOST_ITEMS, ResponseSettings, Responses, StoredResponse};
