//! Which deployments would lose something of a request.
//!
//! Owns encoding the request for each candidate, only to see what its encoder warns of or refuses. Must not reject: the filter
//! does. It costs an encoding per candidate, so it is done only where support of every parameter is demanded.

use crate::accept::Accepted;
use crate::places::Told;
use crate::state::Generation;
use crate::subject::lost_header;
use smallvec::SmallVec;
use std::sync::Arc;
use trunkline_model::capability::Support;
use trunkline_model::content::MediaKind;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::id::Name;
use trunkline_model::request::Request;
use trunkline_model::warning::{Treatment, Warning};
use trunkline_providers::upstream::Upstream;
use trunkline_route::caller::{Preferences, Unsupported};
use trunkline_route::fleet::DeploymentIndex;
use trunkline_route::policy::Route;
use trunkline_wire::codec::{EncodeError, Encoded};
use trunkline_wire::dispatch;
use trunkline_wire::media::{self, Supplied};
use trunkline_wire::source::Source;

/// Most deployments looked at; further ones count as lacking.
const MOST_CANDIDATES: usize = 64;

/// The deployments among a request's candidates that would drop or refuse something of it.
pub(crate) fn unsupported(
    generation: &Generation,
    accepted: &Accepted,
    route: &Route,
    preferences: &Preferences,
    pin: Option<&Name>,
) -> Vec<Unsupported> {
    let snapshot = &generation.snapshot;
    let mut candidates: SmallVec<[DeploymentIndex; 16]> = SmallVec::from_slice(route.candidates());
    for name in preferences.models.iter().chain(pin) {
        candidates.extend(snapshot.fleet.find(name));
        candidates.extend_from_slice(snapshot.fleet.named(name));
    }
    candidates.sort_unstable();
    candidates.dedup();
    let probe = Probe::new(accepted, snapshot.server.media.is_fetched);
    let mut lacking = Vec::new();
    for (position, index) in candidates.into_iter().enumerate() {
        let what = if position < MOST_CANDIDATES {
            probe.lack(&snapshot.upstreams[index.position()])
        } else {
            Some(format!("only {MOST_CANDIDATES} deployments of a route are looked at"))
        };
        if let Some(what) = what {
            lacking.push(Unsupported { deployment: index, what: what.into() });
        }
    }
    lacking
}

/// A request that is encoded to see what becomes of it.
struct Probe<'a> {
    accepted: &'a Accepted,
    /// `None` for a body that is no request: that is told elsewhere.
    request: Option<Request>,
    /// Files that targets take only as bytes are fetched.
    fetches: bool,
}

impl<'a> Probe<'a> {
    fn new(accepted: &'a Accepted, fetches: bool) -> Self {
        let Accepted { dialect, operation, body, path, envelope, .. } = accepted;
        let request = dispatch::decode_request(*dialect, *operation, Source::seen(body, envelope), path).ok();
        Self { accepted, request, fetches }
    }

    /// What a deployment would not take, in words.
    fn lack(&self, upstream: &Upstream) -> Option<String> {
        let Accepted { dialect: client, operation, envelope, body, .. } = self.accepted;
        let dialect = upstream.dialect_for(*client, *operation);
        let delivery = envelope.shape.delivery;
        // What does not serve the operation at all is rejected for that.
        upstream.uri(dialect, *operation, delivery)?;
        if let Some(lost) = lost_header(&self.accepted.headers, *client, dialect) {
            return dropped(&[lost]);
        }
        let is_same =
            dialect == *client && dispatch::may_pass(*client, *operation, envelope, body, &upstream.profile);
        let reads_urls = dialect == Dialect::Gemini || upstream.profile.image_urls != Support::No;
        if is_same && (reads_urls || !self.needs_files(dialect, upstream)) {
            return dropped(
                &dispatch::pass_edits(*client, envelope, body, &upstream.profile, delivery).warnings,
            );
        }
        let request = self.request.as_ref()?;
        let supplied = (self.fetches && self.needs_files(dialect, upstream)).then(|| {
            let mut supplied = request.clone();
            media::supply(dialect, &mut supplied, &upstream.profile, &|_, kind| {
                Some(Arc::new(stand_in(kind)))
            });
            supplied
        });
        let request = supplied.as_ref().unwrap_or(request);
        let encoded = match operation {
            Operation::CountTokens => dispatch::encode_count_request(dialect, request, &upstream.profile),
            _ => dispatch::encode_request(dialect, request, &upstream.profile, delivery),
        };
        match encoded {
            Ok(Encoded { warnings, .. }) => dropped(&self.told().warnings(request, warnings)),
            Err(error) => Some(match self.told().error(request, error) {
                EncodeError::Unsupported { feature, reason } => format!("{feature} refused: {reason}"),
                EncodeError::Invalid { path, reason } => format!("{path} refused: {reason}"),
            }),
        }
    }

    fn told(&self) -> Told<'a> {
        let Accepted { dialect, body, turn, .. } = self.accepted;
        Told { dialect: *dialect, body, turn: turn.as_deref() }
    }

    fn needs_files(&self, dialect: Dialect, upstream: &Upstream) -> bool {
        let needed = |request| !media::needed(dialect, request, &upstream.profile).is_empty();
        self.request.as_ref().is_some_and(needed)
    }
}

fn dropped(warnings: &[Warning]) -> Option<String> {
    warnings.iter().find(|warning| warning.treatment == Treatment::Dropped).map(ToString::to_string)
}

/// The smallest file of a kind: what is in it makes no difference to whether it is taken.
fn stand_in(kind: MediaKind) -> Supplied {
    match kind {
        MediaKind::Image => Supplied::new("image/png", b"\x89PNG\r\n\x1a\n"),
        MediaKind::Document => Supplied::new("application/pdf", b"%PDF-"),
        MediaKind::Audio => Supplied::new("audio/wav", b"RIFF"),
        MediaKind::Video => Supplied::new("video/mp4", b"ftyp"),
    }
}
