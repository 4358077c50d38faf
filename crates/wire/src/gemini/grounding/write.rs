//! Citations as grounding.
//!
//! Owns the lists of chunks and supports, and where in the parts that are written a stretch of the text is. Must not keep the text.

use crate::cited::{Lost, MOST_KEPT, Widths};
use crate::json_text::JsonText;
use bytes::BytesMut;
use std::collections::HashMap;
use std::ops::Range;
use trunkline_model::citation::{Citation, CitedSource};
use trunkline_model::dialect::Delivery;

/// The grounding of one candidate.
#[derive(Debug, Default)]
pub(in crate::gemini) struct Grounds {
    widths: Widths,
    /// For each text part: its place among the parts, as clients count them who join the pieces of a stream, and the bytes of
    /// text before it.
    parts: Vec<(u64, usize)>,
    places: u64,
    /// The part written last is text.
    is_text: bool,
    /// Chunks as JSON, with their numbers.
    chunks: HashMap<Vec<u8>, usize>,
    supports: Vec<(Range<usize>, Vec<usize>)>,
    cited: usize,
}

impl Grounds {
    /// A part that is no text of the answer was written.
    pub(in crate::gemini) const fn pass(&mut self) {
        self.places += 1;
        self.is_text = false;
    }

    /// A text part begins; in a stream it goes on with a text before it.
    pub(in crate::gemini) fn begin(&mut self, delivery: Delivery) {
        let is_joined = std::mem::replace(&mut self.is_text, true) && delivery.is_stream();
        if !is_joined {
            self.parts.push((self.places, self.widths.bytes()));
            self.places += 1;
        }
    }

    /// More of the text part begun last.
    pub(in crate::gemini) fn push(&mut self, text: &str) {
        self.widths.push(text);
    }

    /// Takes a citation.
    pub(in crate::gemini) fn cite(&mut self, citation: &Citation, lost: &mut Lost) {
        if self.cited == MOST_KEPT {
            lost.source();
            return;
        }
        let mut chunk = BytesMut::new();
        if !write_chunk(citation, &mut chunk, lost) {
            lost.source();
            return;
        }
        self.cited += 1;
        let next = self.chunks.len();
        let number = *self.chunks.entry(chunk.to_vec()).or_insert(next);
        let Some(range) = citation.claim.characters() else { return };
        let bytes = self.widths.bytes_before(range.start).zip(self.widths.bytes_before(range.end));
        let Some((start, end)) = bytes else {
            // Beyond what is known of the text.
            lost.stretch_of(citation);
            return;
        };
        match self.supports.last_mut() {
            Some((same, numbers)) if *same == (start..end) => numbers.push(number),
            _ => self.supports.push((start..end, vec![number])),
        }
    }

    /// Writes the field, if there is anything to say.
    pub(in crate::gemini) fn write(&self, out: &mut BytesMut) {
        if self.chunks.is_empty() {
            return;
        }
        out.key("groundingMetadata");
        out.open_object();
        out.key("groundingChunks");
        out.open_array();
        let mut chunks: Vec<_> = self.chunks.iter().collect();
        chunks.sort_unstable_by_key(|(_, number)| **number);
        for (chunk, _) in chunks {
            out.raw(std::str::from_utf8(chunk).unwrap_or("{}"));
        }
        out.close_array();
        out.key("groundingSupports");
        out.open_array();
        for (bytes, numbers) in &self.supports {
            out.open_object();
            out.key("segment");
            self.write_segment(bytes, out);
            out.key("groundingChunkIndices");
            out.open_array();
            numbers.iter().for_each(|number| out.raw(itoa::Buffer::new().format(*number)));
            out.close_array();
            out.close_object();
        }
        out.close_array();
        out.close_object();
    }

    /// Writes where a stretch is: within the part that it begins in. Zeros are left out, as the service leaves them out.
    fn write_segment(&self, bytes: &Range<usize>, out: &mut BytesMut) {
        let within = |(_, start): &&(u64, usize)| *start <= bytes.start;
        let (place, start) = self.parts.iter().rev().find(within).copied().unwrap_or_default();
        out.open_object();
        for (name, value) in [
            ("partIndex", place),
            ("startIndex", (bytes.start - start) as u64),
            ("endIndex", (bytes.end - start) as u64),
        ] {
            if value > 0 {
                out.field_unsigned(name, value);
            }
        }
        out.close_object();
    }
}

/// Writes a source; false for one that the dialect has no form for.
fn write_chunk(citation: &Citation, out: &mut BytesMut, lost: &mut Lost) -> bool {
    let (kind, uri, title, text) = match (&citation.source, citation.page()) {
        (_, Some((url, title))) => ("web", Some(url), title, None),
        (CitedSource::SearchResult { source, title, .. }, None) => {
            ("retrievedContext", Some(source.as_str()), title.as_deref(), citation.quote.as_deref())
        }
        (CitedSource::Document { title, id, .. }, None) => {
            ("retrievedContext", id.as_deref(), title.as_deref(), citation.quote.as_deref())
        }
        (CitedSource::Web { .. } | CitedSource::Other, None) => return false,
    };
    out.open_object();
    out.key(kind);
    out.open_object();
    for (name, value) in [("uri", uri), ("title", title), ("text", text)] {
        if let Some(value) = value {
            out.field(name, value);
        }
    }
    out.close_object();
    out.close_object();
    lost.details_of(citation, kind == "retrievedContext");
    true
}
