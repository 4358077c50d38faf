//! What a simulator saw: requests, open streams, clients that went away.
//!
//! Owns bounded records and counters for tests and live views. Credentials in received headers are marked sensitive, so
//! that printing a request does not print them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::fault::Fault;

/// The most bytes of a request body that are kept.
const KEPT_BODY: usize = 1 << 20;
/// How many disconnects are kept.
const KEPT_DISCONNECTS: usize = 4096;

/// A request as it arrived.
#[derive(Clone)]
pub struct ReceivedRequest {
    /// Its number, counted from 1 over the life of the simulator.
    pub number: u64,
    /// When it had been read.
    pub at: Instant,
    /// HTTP version.
    pub version: Version,
    /// Method.
    pub method: Method,
    /// Path without the query.
    pub path: String,
    /// Query, if there was one. May hold a key.
    pub query: Option<String>,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, at most its first mebibyte.
    pub body: Bytes,
    /// Length of the whole body in bytes.
    pub body_length: usize,
    /// The fault it was answered with.
    pub fault: Option<Fault>,
}

impl ReceivedRequest {
    /// The body as JSON; `null` if it is not.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or(serde_json::Value::Null)
    }

    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl fmt::Debug for ReceivedRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ReceivedRequest")
            .field("number", &self.number)
            .field("version", &self.version)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &self.headers)
            .field("body_length", &self.body_length)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

/// How far an answer had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No response headers yet.
    BeforeHeaders,
    /// Headers and this many bytes of the body.
    Body {
        /// Bytes handed to the connection.
        bytes: u64,
    },
}

/// A client that went away before its answer was complete.
#[derive(Clone, Debug)]
pub struct Disconnect {
    /// The request's number.
    pub number: u64,
    /// The request's path.
    pub path: String,
    /// When it was noticed.
    pub at: Instant,
    /// From the last write (or the end of the request) to the moment it was noticed.
    pub since_last_write: Duration,
    /// How far the answer had come.
    pub progress: Progress,
}

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections accepted.
    pub connections: u64,
    /// Requests read.
    pub requests: u64,
    /// Answers handed over in full, errors among them.
    pub answered: u64,
    /// Requests that were answered with a fault.
    pub faults: u64,
    /// Clients that went away early.
    pub disconnects: u64,
    /// Answers in the middle of their body now.
    pub open_streams: u64,
}

/// The records of one simulator.
#[derive(Debug)]
pub(crate) struct Observer {
    keep: usize,
    pub(crate) connections: AtomicU64,
    requests: AtomicU64,
    answered: AtomicU64,
    faults: AtomicU64,
    disconnects: AtomicU64,
    open_streams: AtomicU64,
    ring: Mutex<VecDeque<ReceivedRequest>>,
    gone: Mutex<VecDeque<Disconnect>>,
    pub(crate) changed: Notify,
}

impl Observer {
    pub(crate) fn new(keep: usize) -> Self {
        Self {
            keep,
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            disconnects: AtomicU64::new(0),
            open_streams: AtomicU64::new(0),
            ring: Mutex::new(VecDeque::new()),
            gone: Mutex::new(VecDeque::new()),
            changed: Notify::new(),
        }
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn keep(&self, mut request: ReceivedRequest) {
        if request.fault.is_some() {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
        if self.keep > 0 {
            if request.body.len() > KEPT_BODY {
                request.body = Bytes::copy_from_slice(&request.body[..KEPT_BODY]);
            }
            let mut ring = self.ring.lock();
            while ring.len() >= self.keep {
                ring.pop_front();
            }
            ring.push_back(request);
        }
        self.changed.notify_waiters();
    }

    pub(crate) fn received(&self) -> Vec<ReceivedRequest> {
        self.ring.lock().iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        self.ring.lock().clear();
    }

    pub(crate) fn gone(&self) -> Vec<Disconnect> {
        self.gone.lock().iter().cloned().collect()
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            connections: self.connections.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            answered: self.answered.load(Ordering::Relaxed),
            faults: self.faults.load(Ordering::Relaxed),
            disconnects: self.disconnects.load(Ordering::Relaxed),
            open_streams: self.open_streams.load(Ordering::Relaxed),
        }
    }
}

/// One request on its way to a complete answer; dropped before that, the client went away.
#[derive(Debug)]
pub(crate) struct Exchange {
    observer: Arc<Observer>,
    number: u64,
    path: String,
    last_write: Instant,
    progress: Progress,
    finished: bool,
}

impl Exchange {
    pub(crate) fn new(observer: Arc<Observer>, number: u64, path: String) -> Self {
        let last_write = Instant::now();
        Self { observer, number, path, last_write, progress: Progress::BeforeHeaders, finished: false }
    }

    /// The response headers are handed over.
    pub(crate) fn open(&mut self) {
        self.progress = Progress::Body { bytes: 0 };
        self.last_write = Instant::now();
        self.observer.open_streams.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn wrote(&mut self, length: usize) {
        if let Progress::Body { bytes } = &mut self.progress {
            *bytes += length as u64;
        }
        self.last_write = Instant::now();
    }

    /// All was handed over.
    pub(crate) fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            self.observer.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The simulator ends it: nobody went away.
    pub(crate) fn sever(&mut self) {
        self.finished = true;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.progress != Progress::BeforeHeaders {
            self.observer.open_streams.fetch_sub(1, Ordering::Relaxed);
        }
        if !self.finished {
            let at = Instant::now();
            self.observer.disconnects.fetch_add(1, Ordering::Relaxed);
            let mut gone = self.observer.gone.lock();
            while gone.len() >= KEPT_DISCONNECTS {
                gone.pop_front();
            }
            gone.push_back(Disconnect {
                number: self.number,
                path: std::mem::take(&mut self.path),
                at,
                since_last_write: at.saturating_duration_since(self.last_write),
                progress: self.progress,
            });
        }
        self.observer.changed.notify_waiters();
    }
}
