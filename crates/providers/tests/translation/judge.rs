//! One probe at one target: what the codecs do with it.
//!
//! A feature has passed when its marks are in the body that goes out. It has vanished when they are not and nobody said so.

use crate::probes::{Client, Probe};
use crate::targets::Target;
use serde_json::Value;
use std::sync::Arc;
use trunkline_model::content::MediaKind;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::warning::{Treatment, Warning};
use trunkline_wire::codec::PathParts;
use trunkline_wire::dispatch;
use trunkline_wire::media::{self, Supplied};

/// What becomes of a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Emulated,
    Dropped,
    Refused,
    /// It is gone and nobody said so.
    Vanished(String),
}

impl Verdict {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Emulated => "emulated",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
            Self::Vanished(_) => "VANISHED",
        }
    }
}

/// The verdict, and why where it is not plainly passed.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) reasons: Vec<String>,
}

pub(crate) fn judge(client: &Client, probe: &Probe, target: &Target) -> Outcome {
    let (plain, before) = match send(client, &client.base, target) {
        Ok(sent) => sent,
        Err(reason) => panic!("{} -> {}: the plain request: {reason}", client.dialect, target.name),
    };
    let (body, warnings) = match send(client, &probe.merged(&client.base), target) {
        Ok(sent) => sent,
        Err(reason) => return Outcome { verdict: Verdict::Refused, reasons: vec![reason] },
    };
    let new: Vec<&Warning> = warnings.iter().filter(|warning| !before.contains(warning)).collect();
    let reasons = new.iter().map(|warning| warning.reason.to_string()).collect();
    let verdict = if new.iter().any(|warning| warning.treatment == Treatment::Dropped) {
        Verdict::Dropped
    } else if !new.is_empty() {
        Verdict::Emulated
    } else {
        let missing: Vec<&str> = probe.marks.iter().copied().filter(|mark| !holds(&body, mark)).collect();
        match missing.as_slice() {
            [] if body == plain && !probe.may_be_silent => {
                Verdict::Vanished("the body is the same without it".to_owned())
            }
            [] => Verdict::Passed,
            missing => Verdict::Vanished(format!("{missing:?} not in {body}")),
        }
    };
    Outcome { verdict, reasons }
}

/// A mark of letters stands for whatever way the target's dialect spells it.
fn holds(body: &str, mark: &str) -> bool {
    mark.split('|').any(|spelling| body.contains(spelling))
}

/// The body that goes out with its warnings, or why none does.
fn send(client: &Client, body: &Value, target: &Target) -> Result<(String, Vec<Warning>), String> {
    let bytes = body.to_string().into_bytes();
    let path = match client.dialect {
        Dialect::Gemini => PathParts { model: Some("m".to_owned()), delivery: Some(Delivery::Plain) },
        _ => PathParts::default(),
    };
    let dialect = target.dialect(client.dialect);
    let profile = &target.upstream.profile;
    let envelope = dispatch::envelope(client.dialect, Operation::Chat, &bytes, &path)
        .unwrap_or_else(|error| panic!("{}: {error}: {body}", client.dialect));
    if dialect == client.dialect && dispatch::may_pass(dialect, Operation::Chat, &envelope, &bytes, profile) {
        let edits = dispatch::pass_edits(dialect, &envelope, &bytes, profile, Delivery::Plain);
        let pieces = edits.apply(&bytes.into(), &envelope);
        let text: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
        return Ok((String::from_utf8(text).unwrap(), edits.warnings));
    }
    let mut request = dispatch::decode_request(client.dialect, Operation::Chat, &bytes, &path)
        .unwrap_or_else(|error| panic!("{}: {error}: {body}", client.dialect));
    let find = |_: &str, kind| Some(Arc::new(fetched(kind)));
    let mut warnings = media::supply(dialect, &mut request, profile, &find);
    let encoded = dispatch::encode_request(dialect, &request, profile, Delivery::Plain)
        .map_err(|error| error.to_string())?;
    warnings.extend(encoded.warnings);
    Ok((String::from_utf8(encoded.body.to_vec()).unwrap(), warnings))
}

fn fetched(kind: MediaKind) -> Supplied {
    match kind {
        MediaKind::Image => Supplied::new("image/png", b"\x89PNG\r\n\x1a\n"),
        MediaKind::Document => Supplied::new("application/pdf", b"%PDF-1.7"),
        MediaKind::Audio => Supplied::new("audio/wav", b"RIFF"),
        MediaKind::Video => Supplied::new("video/mp4", b"ftyp"),
    }
}
