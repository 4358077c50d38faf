//! The paths of files and batches.
//!
//! Owns the table. Must not know what is behind a path.

use crate::endpoint::decode;
use http::Method;
use trunkline_model::dialect::Dialect;

/// What is asked of files and batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BatchCall {
    /// Keep a file.
    UploadFile,
    /// The files there are.
    ListFiles,
    /// A file's facts.
    File(String),
    /// Forget a file.
    DeleteFile(String),
    /// What is in a file.
    FileContent(String),
    /// Begin a batch.
    CreateBatch,
    /// The batches there are.
    ListBatches,
    /// How far a batch is.
    Batch(String),
    /// Stop a batch.
    CancelBatch(String),
    /// Begin a batch of messages.
    CreateMessageBatch,
    /// The batches of messages there are.
    ListMessageBatches,
    /// How far a batch of messages is.
    MessageBatch(String),
    /// Stop a batch of messages.
    CancelMessageBatch(String),
    /// Forget a batch of messages.
    DeleteMessageBatch(String),
    /// The results of a batch of messages.
    MessageBatchResults(String),
}

impl BatchCall {
    /// The protocol it belongs to.
    pub(crate) const fn dialect(&self) -> Dialect {
        match self {
            Self::CreateMessageBatch
            | Self::ListMessageBatches
            | Self::MessageBatch(_)
            | Self::CancelMessageBatch(_)
            | Self::DeleteMessageBatch(_)
            | Self::MessageBatchResults(_) => Dialect::Anthropic,
            _ => Dialect::OpenAi,
        }
    }
}

/// Where each kind of thing lives.
const PLACES: [(&str, Place); 5] = [
    ("/v1/messages/batches", Place::MessageBatches),
    ("/v1/batches", Place::Batches),
    ("/batches", Place::Batches),
    ("/v1/files", Place::Files),
    ("/files", Place::Files),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Files,
    Batches,
    MessageBatches,
}

/// The place of a path, and what follows it.
fn place(path: &str) -> Option<(Place, &str)> {
    PLACES.iter().find_map(|(root, place)| {
        let rest = path.strip_prefix(root)?;
        (rest.is_empty() || rest.starts_with('/')).then_some((*place, rest))
    })
}

/// Whether a path is one of these. Other protocols have files and batches of their own under the same paths, which are not served.
pub(crate) fn is_ours(path: &str, spoken: Dialect) -> bool {
    match place(path) {
        Some((Place::Files | Place::Batches, _)) => spoken == Dialect::OpenAi,
        found => found.is_some(),
    }
}

/// The call that a method and path are, with the method that it takes.
pub(crate) fn find(method: &Method, path: &str) -> Option<(BatchCall, Method)> {
    use BatchCall as Call;
    let (place, rest) = place(path)?;
    let rest = rest.trim_matches('/');
    let (id, verb) = rest.split_once('/').map_or((rest, None), |(id, verb)| (id, Some(verb)));
    let id = decode(id);
    let wants = |wanted: Method| *method == wanted;
    Some(match (place, id.is_empty(), verb) {
        (Place::Files, true, None) if wants(Method::POST) => (Call::UploadFile, Method::POST),
        (Place::Files, true, None) => (Call::ListFiles, Method::GET),
        (Place::Files, false, None) if wants(Method::DELETE) => (Call::DeleteFile(id), Method::DELETE),
        (Place::Files, false, None) => (Call::File(id), Method::GET),
        (Place::Files, false, Some("content")) => (Call::FileContent(id), Method::GET),
        (Place::Batches, true, None) if wants(Method::POST) => (Call::CreateBatch, Method::POST),
        (Place::Batches, true, None) => (Call::ListBatches, Method::GET),
        (Place::Batches, false, None) => (Call::Batch(id), Method::GET),
        (Place::Batches, false, Some("cancel")) => (Call::CancelBatch(id), Method::POST),
        (Place::MessageBatches, true, None) if wants(Method::POST) => {
            (Call::CreateMessageBatch, Method::POST)
        }
        (Place::MessageBatches, true, None) => (Call::ListMessageBatches, Method::GET),
        (Place::MessageBatches, false, None) if wants(Method::DELETE) => {
            (Call::DeleteMessageBatch(id), Method::DELETE)
        }
        (Place::MessageBatches, false, None) => (Call::MessageBatch(id), Method::GET),
        (Place::MessageBatches, false, Some("cancel")) => (Call::CancelMessageBatch(id), Method::POST),
        (Place::MessageBatches, false, Some("results")) => (Call::MessageBatchResults(id), Method::GET),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods_lead_to_their_calls() {
        let at = |method: &Method, path: &str| {
            find(method, path).map(|(call, allowed)| (call, allowed == *method))
        };
        let id = || "x".to_owned();
        assert_eq!(at(&Method::POST, "/v1/files"), Some((BatchCall::UploadFile, true)));
        assert_eq!(at(&Method::GET, "/files/x/content"), Some((BatchCall::FileContent(id()), true)));
        assert_eq!(at(&Method::DELETE, "/v1/files/x"), Some((BatchCall::DeleteFile(id()), true)));
        assert_eq!(at(&Method::POST, "/v1/batches/x/cancel"), Some((BatchCall::CancelBatch(id()), true)));
        assert_eq!(at(&Method::DELETE, "/v1/batches/x"), Some((BatchCall::Batch(id()), false)));
        let results = BatchCall::MessageBatchResults(id());
        assert_eq!(results.dialect(), Dialect::Anthropic);
        assert_eq!(at(&Method::GET, "/v1/messages/batches/x/results"), Some((results, true)));
        assert_eq!(at(&Method::GET, "/v1/files/x/other"), None);
        assert!(is_ours("/v1/files", Dialect::OpenAi) && !is_ours("/v1/files", Dialect::Anthropic));
        assert!(!is_ours("/v1/filesystem", Dialect::OpenAi) && !is_ours("/v1/batches", Dialect::Gemini));
        assert!(is_ours("/v1/messages/batches", Dialect::OpenAi));
    }
}
