//! Grounding into citations.
//!
//! Owns finding a segment in the text of the answer. Must not keep that text: its widths are enough.

use crate::cited::Widths;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::ops::Range;
use trunkline_model::citation::{Citation, CitedSource, Claim};
use trunkline_model::dialect::Delivery;

/// The text parts of one candidate, as far as positions in them need it.
#[derive(Debug, Default)]
pub(in crate::gemini) struct Texts {
    widths: Widths,
    parts: Vec<TextPart>,
    /// Parts of any kind so far, as clients count them who join the pieces of a stream.
    places: usize,
    /// The part begun last is text.
    is_text: bool,
}

#[derive(Clone, Copy, Debug)]
struct TextPart {
    number: u32,
    place: usize,
    /// Bytes of text before it.
    start: usize,
}

impl Texts {
    /// A part that is no text begins.
    pub(in crate::gemini) const fn pass(&mut self) {
        self.places += 1;
        self.is_text = false;
    }

    /// A text part begins, under this number in the answer; in a stream it goes on with a text before it.
    pub(in crate::gemini) fn begin(&mut self, number: u32, delivery: Delivery) {
        let is_joined = std::mem::replace(&mut self.is_text, true) && delivery.is_stream();
        let place = if is_joined { self.places - 1 } else { self.places };
        self.parts.push(TextPart { number, place, start: self.widths.bytes() });
        self.places = place + 1;
    }

    /// More of the text part begun last.
    pub(in crate::gemini) fn push(&mut self, text: &str) {
        self.widths.push(text);
    }

    /// The text part begun last.
    pub(in crate::gemini) fn last(&self) -> Option<u32> {
        self.parts.last().map(|part| part.number)
    }

    /// The bytes of the answer's text that a segment is.
    fn bytes(&self, segment: &Segment) -> Option<Range<usize>> {
        let named = self.parts.iter().find(|part| part.place == segment.part_index);
        // Thoughts come first, and whether they count is not said.
        let start = named.or(self.parts.first())?.start;
        let range = start.checked_add(segment.start_index)?..start.checked_add(segment.end_index?)?;
        (range.start <= range.end).then_some(range)
    }

    fn claim(&self, segment: Option<&Segment>) -> Claim {
        let characters = segment.and_then(|segment| {
            let bytes = self.bytes(segment)?;
            Some(self.widths.characters_before(bytes.start)?..self.widths.characters_before(bytes.end)?)
        });
        characters.map_or(Claim::Unsaid, Claim::Stretch)
    }

    /// The text part that a claim begins in.
    fn part(&self, claim: &Claim) -> Option<u32> {
        let start = claim.characters().and_then(|range| self.widths.bytes_before(range.start));
        let within = |part: &&TextPart| start.is_none_or(|start| part.start <= start);
        self.parts.iter().rev().find(within).map(|part| part.number)
    }
}

/// What a candidate says of its sources; each said again replaces what was said before.
#[derive(Debug, Default)]
pub(in crate::gemini) struct Metadata {
    pub(in crate::gemini) grounding: Option<Box<RawValue>>,
    pub(in crate::gemini) citation: Option<Box<RawValue>>,
}

impl Metadata {
    pub(in crate::gemini) const fn is_empty(&self) -> bool {
        self.grounding.is_none() && self.citation.is_none()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grounding {
    #[serde(default)]
    grounding_chunks: Option<Vec<Chunk>>,
    #[serde(default)]
    grounding_supports: Option<Vec<Support>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk {
    #[serde(default)]
    web: Option<Source>,
    #[serde(default)]
    maps: Option<Source>,
    #[serde(default)]
    retrieved_context: Option<Source>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    #[serde(default)]
    uri: Option<String>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    document_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Support {
    #[serde(default)]
    segment: Option<Segment>,
    #[serde(default)]
    grounding_chunk_indices: Option<Vec<usize>>,
}

/// A stretch of a part. Zeros are left out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Segment {
    #[serde(default)]
    part_index: usize,
    #[serde(default)]
    start_index: usize,
    #[serde(default)]
    end_index: Option<usize>,
}

/// The same under the names of both services that serve the dialect.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Quoted {
    #[serde(default, alias = "citations")]
    citation_sources: Option<Vec<QuotedSource>>,
}

#[derive(Deserialize)]
struct QuotedSource {
    #[serde(flatten)]
    segment: Segment,
    #[serde(default)]
    uri: Option<String>,
    #[serde(default)]
    title: Option<String>,
}

impl Chunk {
    fn source(self) -> (CitedSource, Option<String>) {
        if let Some(Source { uri: Some(url), title, text, .. }) = self.web.or(self.maps) {
            return (CitedSource::Web { url, title }, text);
        }
        match self.retrieved_context {
            Some(source) => {
                let id = source.document_name.or(source.uri);
                (CitedSource::Document { index: None, title: source.title, id, within: None }, source.text)
            }
            None => (CitedSource::Other, None),
        }
    }
}

/// The citations of a candidate, each with the text part it hangs on: one for each source of a support, then the sources on which
/// nothing rests in particular.
pub(in crate::gemini) fn citations(metadata: &Metadata, texts: &Texts) -> Vec<(u32, Citation)> {
    fn read<'r, T: Deserialize<'r>>(raw: Option<&'r RawValue>) -> Option<T> {
        serde_json::from_str(raw?.get()).ok()
    }
    let mut found = Vec::new();
    let mut push = |source: CitedSource, quote: Option<String>, claim: Claim| {
        let part = texts.part(&claim).or(texts.last()).unwrap_or(0);
        let quote = quote.filter(|quote| !quote.is_empty());
        found.push((part, Citation { source, quote, claim, native: None }));
    };
    if let Some(grounding) = read::<Grounding>(metadata.grounding.as_deref()) {
        let chunks: Vec<_> = grounding.grounding_chunks.into_iter().flatten().map(Chunk::source).collect();
        let mut is_used = vec![false; chunks.len()];
        for support in grounding.grounding_supports.into_iter().flatten() {
            for index in support.grounding_chunk_indices.into_iter().flatten() {
                let Some((source, quote)) = chunks.get(index) else { continue };
                is_used[index] = true;
                push(source.clone(), quote.clone(), texts.claim(support.segment.as_ref()));
            }
        }
        for ((source, quote), is_used) in chunks.into_iter().zip(is_used) {
            if !is_used {
                push(source, quote, Claim::Unsaid);
            }
        }
    }
    let quoted = read::<Quoted>(metadata.citation.as_deref()).and_then(|quoted| quoted.citation_sources);
    for QuotedSource { segment, uri, title } in quoted.into_iter().flatten() {
        let source = uri.map_or(CitedSource::Other, |url| CitedSource::Web { url, title });
        push(source, None, texts.claim(Some(&segment)));
    }
    found
}
