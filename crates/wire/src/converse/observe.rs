//! Watching answers pass.
//!
//! Owns nothing of the dialect: it decodes and learns from the events. No client speaks this dialect, so no answer passes
//! untouched and there is nothing to be won by reading less.

use crate::codec::{Decode, Frame, Observe, Seen, Summary};
use trunkline_model::event::{Delta, Event};
use trunkline_model::failure::Failure;

/// Watches through a decoder.
pub(super) struct Watch {
    decoder: Box<dyn Decode>,
    events: Vec<Event>,
    summary: Summary,
}

impl Watch {
    /// Watches what the decoder reads.
    pub(super) fn new(decoder: Box<dyn Decode>) -> Self {
        Self { decoder, events: Vec::new(), summary: Summary::default() }
    }

    fn learn(&mut self) -> bool {
        let mut semantic = false;
        for event in self.events.drain(..) {
            semantic |= event.is_semantic();
            match event {
                Event::Usage(usage) => self.summary.usage = Some(usage),
                Event::Finish { choice: 0, reason, .. } => self.summary.finish = Some(reason),
                Event::Delta { delta: Delta::Text(text) | Delta::Arguments(text), .. } => {
                    self.summary.output_bytes += text.len() as u64;
                    self.summary.beginning.push(&text);
                }
                Event::End => self.summary.complete = true,
                _ => {}
            }
        }
        semantic
    }
}

impl Observe for Watch {
    fn frame(&mut self, frame: Frame<'_>) -> Result<Seen, Failure> {
        self.decoder.frame(frame, &mut self.events)?;
        Ok(Seen { semantic: self.learn(), hide: false })
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.decoder.end(&mut self.events)?;
        self.learn();
        Ok(())
    }

    fn summary(&self) -> &Summary {
        &self.summary
    }
}
