//! Credentials that are obtained, expire and are renewed, and the steps by which that happens.
//!
//! Owns the words shared by those who know how a vendor gives out credentials (pure, one state machine per kind) and the one
//! who reads files and calls addresses for them. Must not know any vendor, nor how a credential is put on a request. Steps as
//! values, because then a chain of sources is tested without a network and nothing vendor-specific needs one.

use crate::secret::Secret;
use std::fmt;
use std::time::Duration;

/// What proves who sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A text that is sent as it is, in a header.
    Token(Secret),
    /// A name and a key that signs and is never sent.
    KeyPair {
        /// The name of the key, which is sent.
        id: String,
        /// The key.
        secret: Secret,
        /// A token that is sent beside the signature, for keys that live for a while only.
        session: Option<Secret>,
    },
}

/// A credential and how long it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The credential.
    pub credential: Credential,
    /// Unix seconds after which it is no longer accepted; `None` when it has no end.
    pub expires: Option<u64>,
}

/// Where credentials of one account come from.
pub trait CredentialSource: fmt::Debug + Send + Sync {
    /// What tells it from other sources: a digest or a description without secrets. Two sources with the same identity are the
    /// same, and share what one of them obtained.
    fn identity(&self) -> &str;

    /// Begins to obtain a credential.
    fn renewal(&self) -> Box<dyn Renewal>;
}

/// One attempt to obtain a credential.
pub trait Renewal: Send {
    /// The next step, given what the one before came to. The first call gets [`Answer::Start`]. `now` is Unix seconds.
    fn next(&mut self, answer: Answer, now: u64) -> Step;
}

/// What a renewal needs next.
#[derive(Debug)]
pub enum Step {
    /// The content of a file: [`Answer::File`] or [`Answer::Unavailable`].
    Read(String),
    /// The answer to an HTTP request: [`Answer::Response`] or [`Answer::Unavailable`].
    Fetch(Fetch),
    /// Nothing more.
    Done(Issued),
    /// It cannot be obtained: a sentence for the operator's log, without secrets.
    Failed(String),
}

/// An HTTP request of a renewal.
#[derive(Debug)]
pub struct Fetch {
    /// `GET`, `PUT` or `POST`.
    pub method: &'static str,
    /// An absolute URL, without secrets in it.
    pub url: String,
    /// Headers.
    pub headers: Vec<(&'static str, Secret)>,
    /// The body; empty for none.
    pub body: Secret,
    /// The most it may take, from dialing to the last byte.
    pub patience: Duration,
}

/// What a step came to.
#[derive(Debug)]
pub enum Answer {
    /// Nothing was asked yet.
    Start,
    /// A file's content.
    File(Secret),
    /// An HTTP response, whatever its status.
    Response {
        /// The status.
        status: u16,
        /// The body, at most 64 KiB.
        body: Secret,
    },
    /// There is no such file, or no response: why, without secrets.
    Unavailable(String),
}

/// A credential that stands in the configuration and never changes.
#[derive(Debug)]
pub struct Fixed {
    identity: String,
    credential: Credential,
}

impl Fixed {
    /// A fixed credential. `identity` as [`CredentialSource::identity`].
    pub fn new(identity: impl Into<String>, credential: Credential) -> Self {
        Self { identity: identity.into(), credential }
    }
}

impl CredentialSource for Fixed {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn renewal(&self) -> Box<dyn Renewal> {
        Box::new(Known(self.credential.clone()))
    }
}

struct Known(Credential);

impl Renewal for Known {
    fn next(&mut self, _: Answer, _: u64) -> Step {
        Step::Done(Issued { credential: self.0.clone(), expires: None })
    }
}
