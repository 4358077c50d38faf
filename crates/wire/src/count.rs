//! Answers that are one count of tokens, whoever counted.
//!
//! Owns reading such an answer into events and watching it pass. Must not know how a dialect says it: each brings a reader of its
//! own words.

use crate::codec::{Decode, Frame, Observe, Seen, Summary, whole};
use trunkline_model::event::Event;
use trunkline_model::failure::Failure;
use trunkline_model::usage::Usage;

/// Reads the body of an answer: the count is the usage.
pub(crate) type ReadCount = fn(&[u8]) -> Result<Usage, Failure>;

/// Decodes a count.
pub(crate) struct CountDecoder {
    read: ReadCount,
    is_read: bool,
}

impl CountDecoder {
    pub(crate) const fn new(read: ReadCount) -> Self {
        Self { read, is_read: false }
    }
}

impl Decode for CountDecoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        events.push(Event::Usage((self.read)(frame.data)?));
        events.push(Event::End);
        self.is_read = true;
        Ok(())
    }

    fn end(&mut self, _events: &mut Vec<Event>) -> Result<(), Failure> {
        whole(self.is_read)
    }
}

/// Observes a count.
pub(crate) struct CountObserver {
    read: ReadCount,
    summary: Summary,
}

impl CountObserver {
    pub(crate) fn new(read: ReadCount) -> Self {
        Self { read, summary: Summary::default() }
    }
}

impl Observe for CountObserver {
    fn frame(&mut self, frame: Frame<'_>) -> Result<Seen, Failure> {
        self.summary.usage = Some((self.read)(frame.data)?);
        self.summary.complete = true;
        Ok(Seen { semantic: true, hide: false })
    }

    fn end(&mut self) -> Result<(), Failure> {
        whole(self.summary.complete)
    }

    fn summary(&self) -> &Summary {
        &self.summary
    }
}
