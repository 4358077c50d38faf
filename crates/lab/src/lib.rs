//! The lab: what is known before a policy is switched on.
//!
//! Owns datasets, the metrics of routing, training and its controls, and whatever runs policies over past or made-up
//! traffic. It computes on what it is given and may use threads for speed; it opens no socket and reads no clock, and what is
//! read from files goes through one loader per format. The non-obvious reason for a crate of its own: everything here runs the
//! same `decide` and the same predictor as the server, so that a figure printed offline is one that the server would reach.

pub mod bench;
pub mod dataset;
pub mod draw;
pub mod estimate;
pub mod evaluate;
pub mod fit;
pub mod from_log;
pub mod labelled;
pub mod measure;
pub mod page;
pub mod parallel;
pub mod past;
pub mod random;
pub mod replay;
pub mod report;
pub mod simulate;
