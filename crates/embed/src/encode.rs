//! What turns a text into a vector, whatever it is.
//!
//! Owns the trait by which larger encoders are named. Must not know how one works or how long it takes: a table answers in
//! microseconds, a transformer in milliseconds, so whoever calls this decides on which thread.

use std::fmt;

/// An encoder of texts that computes in process.
pub trait Encode: Send + Sync + fmt::Debug {
    /// Components of every vector.
    fn dimensions(&self) -> usize;

    /// The vector of a text: of unit length, or zero where nothing can be said of it.
    fn encode(&self, text: &str) -> Vec<f32>;
}
