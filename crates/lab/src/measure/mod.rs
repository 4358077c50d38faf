//! How good a router is, in figures that others publish too, and whether chance or the prompt's length would do as well.
//!
//! Owns the metrics, their intervals and the controls. Must not know how scores were made: a router is the order in which it
//! would send prompts to the strong model.

mod controls;
mod curve;
mod hull;

pub use controls::{Comparison, Control, Interval, compare};
pub use curve::{Curve, Outcome};
pub use hull::aiq;
