//! From labelled prompts to a trained router.
//!
//! Owns the fit: features of every prompt, ridge heads for all models at once, residuals of held-out predictions, clusters, the
//! guard's bounds, and the choice of strengths by inner cross-validation. Must not look at a row outside the ones it is given:
//! who measures holds those back. What comes out is checked by the same code that the server loads it with.

mod cluster;
mod guard;
mod head;
mod local;
mod prepared;
mod ridge;
mod train;

pub use prepared::Prepared;
pub use train::{FitError, Fitted, LEAST_ROWS, Labels, Progress, Settings, fit, nothing_to_report};
