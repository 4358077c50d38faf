//! The transport against real listeners on the loopback: pooling, cancellation, failures, bodies.

mod bodies;
mod cancellation;
mod failures;
mod oddities;
mod pooling;
mod support;
mod unprocessed;
