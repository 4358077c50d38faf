//! The real binary between real sockets: simulators as providers, raw HTTP clients.
//!
//! One binary for all subjects, so that it links once. Each test starts its own gateway.

#![expect(clippy::unwrap_used, reason = "a test's helper that cannot go on is a failed test")]

#[path = "../support/mod.rs"]
mod support;

mod array_streams;
mod background;
mod bad_input;
mod bad_input_elsewhere;
mod batches;
mod batches_apart;
mod batches_buckets;
mod batches_forms;
mod batches_upstream;
mod bedrock;
mod billed_units;
mod broken_streams;
mod busy_polling;
mod call_ids;
mod cancellation;
mod cascade;
mod choosing;
mod citations;
mod clouds;
mod command_line;
mod completions;
mod continuation;
mod conversations;
mod counting;
mod crash;
mod decisions;
mod downloads;
mod effort;
mod encoders;
mod eval;
mod failover;
mod feedback;
mod full_disk;
mod hedging;
mod hidden_reasoning;
mod http2_clients;
mod lab;
mod learning;
mod lifecycle;
mod limits;
mod media;
mod open_files;
mod parameters;
mod passthrough;
mod pictures;
mod places;
mod raw_passthrough;
mod record;
mod relayed;
mod rerank;
mod responses;
mod resting_clients;
mod sealed_state;
mod shadow;
mod stop;
mod stream_costs;
mod upstream_http2;
