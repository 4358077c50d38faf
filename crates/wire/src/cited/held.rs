//! Citations of a part of which the end is not known yet.
//!
//! Owns waiting: two dialects say of a citation only that the whole of its block rests on it, and may say so before the block's text.
//! Must not know their forms.

use super::MOST_KEPT;
use trunkline_model::citation::{Citation, Claim};
use trunkline_model::event::Event;

/// Citations that wait, and the characters of the answer so far.
#[derive(Debug, Default)]
pub(crate) struct Held {
    citations: Vec<Citation>,
    /// Characters of the answer's text so far.
    said: usize,
    /// How many of them came before the open part.
    start: usize,
}

impl Held {
    /// A text part begins.
    pub(crate) const fn begin(&mut self) {
        self.start = self.said;
    }

    /// More of the open text part.
    pub(crate) fn say(&mut self, text: &str) {
        self.said += super::characters(text);
    }

    /// Takes a citation of the open part. One too many is told at once: how far its text will reach stays unsaid then.
    pub(crate) fn hold(&mut self, part: u32, citation: Citation, events: &mut Vec<Event>) {
        if self.citations.len() < MOST_KEPT {
            self.citations.push(citation);
        } else {
            events.push(Event::Citation { choice: 0, part, citation: Box::new(citation) });
        }
    }

    /// The open part is about to end: its citations are told.
    pub(crate) fn tell(&mut self, part: u32, events: &mut Vec<Event>) {
        let (start, end) = (self.start, self.said);
        events.extend(self.citations.drain(..).map(|mut citation| {
            citation.claim = Claim::Part(start..end);
            Event::Citation { choice: 0, part, citation: Box::new(citation) }
        }));
    }
}
