//! Provider simulators: real HTTP servers that speak the dialects of model providers.
//!
//! Owns what a provider looks like from outside: bodies, event order, headers, error objects, and the ways in which
//! all of these go wrong. Used by end-to-end tests, `trunkline demo`, `trunkline drill` and the benchmark.
//!
//! It must not know `trunkline-wire`: the simulators are a second, independent reading of the same vendor
//! specifications, so that a misreading on either side shows as a disagreement.
//!
//! ```no_run
//! # async fn example() -> Result<(), trunkline_sim::SimError> {
//! use trunkline_sim::{DialectName, Fault, SimConfig, Simulator};
//!
//! let simulator = Simulator::start(SimConfig::new(DialectName::OpenAi)).await?;
//! println!("point a client at {}", simulator.base_url());
//! simulator.fail_with(Fault::CutAfterFirstToken);
//! simulator.heal();
//! simulator.stop().await;
//! # Ok(())
//! # }
//! ```

mod batch_book;
mod body;
mod chance;
mod config;
mod connection;
mod dialect;
mod embedding;
mod fault;
mod limit;
pub mod mock;
mod observe;
mod opaque;
mod perform;
mod prompt_cache;
mod response_book;
mod schema_instance;
mod script;
mod server;
mod service;
mod simulator;
mod timestamp;
mod tls;
mod tokens;
mod turn;

pub use config::{Flavor, SimConfig, Tls};
pub use dialect::DialectName;
pub use fault::{Fault, Phase, UnknownFault};
pub use observe::{Counters, Disconnect, Progress, ReceivedRequest};
pub use script::{BatchEnd, BatchManner, BatchScript, Delay, Headroom, Limits, Rule, Script, Window};
pub use simulator::{SimError, Simulator};
