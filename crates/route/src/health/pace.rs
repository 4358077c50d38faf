//! How long answers take, those that are streamed apart from those that come whole.
//!
//! Owns one of each kind of figure for each. Must not know what the figures are. A stream shows its first token after a second
//! and a whole answer its first byte after thirty, though both come from the same model at the same speed. In one average or one
//! quantile, a few whole answers make a deployment look slow to streams, and many streams have every whole answer overtaken.

use trunkline_model::dialect::Delivery;

/// One for each way that answers come.
#[derive(Debug, Default)]
pub(super) struct PerDelivery<T> {
    streamed: T,
    whole: T,
}

impl<T> PerDelivery<T> {
    pub(super) fn new(make: impl Fn() -> T) -> Self {
        Self { streamed: make(), whole: make() }
    }

    pub(super) const fn of(&self, delivery: Delivery) -> &T {
        match delivery {
            Delivery::Stream => &self.streamed,
            Delivery::Plain => &self.whole,
        }
    }

    pub(super) const fn of_mut(&mut self, delivery: Delivery) -> &mut T {
        match delivery {
            Delivery::Stream => &mut self.streamed,
            Delivery::Plain => &mut self.whole,
        }
    }
}
