//! The files of a request that its deployment takes only as bytes.
//!
//! Owns fetching them once per request, whichever attempts need them, and the words for a file that cannot be had. Must not
//! decide where a fetch may go: the configuration and the fetcher do. A file that cannot be fetched is the client's to mend, so
//! the request ends there: nobody else could read the URL either, or not safely.

use crate::state::Gateway;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::content::MediaKind;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_net::{FetchError, FetchSettings, Fetched, Fetcher, Guard};
use trunkline_wire::media::{Needed, Supplied};

use crate::state::Generation;

/// Most files fetched for one request.
const MOST_FILES: usize = 32;

/// Files by URL and kind.
pub(crate) type Files = HashMap<(String, MediaKind), Arc<Supplied>>;

/// The files of one request, fetched when the first attempt needs them.
#[derive(Debug, Default)]
pub(crate) struct Supply {
    /// The lock is held over a fetch: an attempt beside the first waits for it and finds the files.
    found: tokio::sync::Mutex<Files>,
}

impl Supply {
    /// The files that are needed, fetched unless they were before.
    ///
    /// # Errors
    /// Which file cannot be had and why, as the client's mistake.
    pub(crate) async fn obtain(
        &self,
        gateway: &Gateway,
        generation: &Generation,
        needed: &[Needed<'_>],
        patience: Duration,
    ) -> Result<Files, Failure> {
        let mut found = self.found.lock().await;
        let mut missing: Vec<&Needed<'_>> = Vec::new();
        for file in needed {
            let is_known = found.contains_key(&(file.url.to_owned(), file.kind));
            if !is_known && !missing.iter().any(|other| (other.url, other.kind) == (file.url, file.kind)) {
                missing.push(file);
            }
        }
        if let Some(file) = missing.get(MOST_FILES) {
            let message = format!(
                "the target takes no URLs, and at most {MOST_FILES} files are fetched for one request"
            );
            return Err(wrong(file, message));
        }
        if !missing.is_empty() {
            let fetcher = generation.fetcher(gateway)?;
            let wanted: Vec<(&str, MediaKind)> = missing.iter().map(|file| (file.url, file.kind)).collect();
            let fetched = fetcher.fetch_all(&wanted, patience).await;
            for (file, outcome) in missing.into_iter().zip(fetched) {
                let Fetched { media_type, bytes } = outcome.map_err(|error| refused(file, &error))?;
                let supplied = Arc::new(Supplied::new(media_type, &bytes));
                found.insert((file.url.to_owned(), file.kind), supplied);
            }
        }
        Ok(found.clone())
    }
}

/// The fetcher of a configuration.
///
/// # Errors
/// When the transport's own settings do not serve it.
pub(crate) fn fetcher(gateway: &Gateway, generation: &Generation) -> Result<Fetcher, Failure> {
    let settings = &generation.snapshot.server.media;
    let guard =
        Guard { allow_hosts: settings.allow_hosts.clone(), allow_private: settings.allow_private.clone() };
    let settings = FetchSettings { guard, max_bytes: settings.max_bytes, timeout: settings.timeout };
    Fetcher::new(&gateway.transport, settings).map_err(|error| {
        tracing::error!(%error, "files cannot be fetched");
        Failure::new(FailureClass::Unsupported, "files cannot be fetched here; the log says why")
    })
}

fn refused(file: &Needed<'_>, error: &FetchError) -> Failure {
    wrong(file, format!("failed to fetch the file, which the target takes as bytes only: {error}"))
}

fn wrong(file: &Needed<'_>, message: String) -> Failure {
    let mut failure = Failure::new(FailureClass::BadRequest, format!("{}: {message}", file.path));
    failure.parameter = Some(file.path.clone());
    failure
}
