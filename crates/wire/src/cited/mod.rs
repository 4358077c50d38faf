//! Citations on their way through every dialect: what of them had no place, those that wait for the end of their text, and positions.
//!
//! Owns the sayings about answers whose client has a form for less than the provider told. Must not know how any dialect writes a
//! citation: that is beside its codec.

mod held;
#[cfg(test)]
mod tests;
mod widths;

pub(crate) use held::Held;
pub(crate) use widths::Widths;

use bytes::BytesMut;
use trunkline_model::citation::{Citation, CitedSource, Claim};
use trunkline_model::warning::Warning;

/// The most citations kept of one answer until its end: bounded like everything that is kept. Those beyond are told as lost.
pub(crate) const MOST_KEPT: usize = 4_096;

/// The feature as warnings name it.
const FEATURE: &str = "citations";

/// What of an answer's citations the client's dialect had no place for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Citations left out.
    sources: u32,
    /// Some stand at a whole part of which the provider cited a stretch.
    stretches: bool,
    /// Some stand without all that was said of their source.
    details: bool,
}

impl Lost {
    /// A citation was left out.
    pub(crate) const fn source(&mut self) {
        self.sources = self.sources.saturating_add(1);
    }

    /// A citation was written where the dialect cannot say which characters of the answer rest on it.
    pub(crate) fn stretch_of(&mut self, citation: &Citation) {
        self.stretches |= matches!(citation.claim, Claim::Stretch(_));
    }

    /// A citation was written where the dialect has no place for the stretch of the source, nor, unless it `quotes`, its words.
    pub(crate) fn details_of(&mut self, citation: &Citation, quotes: bool) {
        let has_stretch = matches!(
            citation.source,
            CitedSource::SearchResult { .. } | CitedSource::Document { within: Some(_), .. }
        );
        self.details |= has_stretch || (citation.quote.is_some() && !quotes);
    }

    /// Tells it in a stream, whose headers are gone: as a comment. Google's own client takes one for a broken answer; its dialect
    /// tells it otherwise.
    pub(crate) fn comment(self, out: &mut BytesMut) {
        let warnings = self.warnings();
        if warnings.is_empty() {
            return;
        }
        let told: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        out.extend_from_slice(b": trunkline-warnings ");
        out.extend_from_slice(told.join("; ").as_bytes());
        out.extend_from_slice(b"\n\n");
    }

    /// What the client is told.
    pub(crate) fn warnings(self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.sources > 0 {
            let reason = format!("the client's dialect has no place for {} of them", self.sources);
            warnings.push(Warning::dropped(FEATURE, reason));
        }
        if self.stretches {
            let reason =
                "they stand at the part of the answer that they are in, without the place in its text";
            warnings.push(Warning::emulated(FEATURE, reason));
        }
        if self.details {
            let reason =
                "they name their sources; the words or pages there have no place in the client's dialect";
            warnings.push(Warning::emulated(FEATURE, reason));
        }
        warnings
    }
}

/// How many characters a text has, as positions in answers count them.
pub(crate) fn characters(text: &str) -> usize {
    text.chars().count()
}
