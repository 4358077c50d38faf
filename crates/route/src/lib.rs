//! Choosing: which deployment answers, in which order others follow, and when to stop trying.
//!
//! Owns filters, decision steps, balancing, plans, the attempt machine, health, limits and explanations. Pure: time and
//! randomness are arguments, so the server, `explain`, `replay` and `simulate` run the same code. Knows no vendor, no wire
//! format and no I/O.

pub mod balance;
pub mod caller;
pub mod cascade;
pub mod cel;
pub mod decide;
pub mod decision;
pub mod drive;
pub mod effort;
pub mod estimate;
pub mod explain;
pub mod features;
pub mod filter;
#[cfg(test)]
mod fixture;
pub mod fleet;
mod gauge;
pub mod health;
pub mod hedge;
pub mod learned;
pub mod limit;
pub mod pattern;
pub mod plan;
pub mod policy;
pub mod retry_budget;
pub mod shadow;
pub mod steps;
pub mod sticky;
pub mod view;

pub use decide::{DecideInput, decide};
pub use decision::{Decision, NoPlan};
pub use filter::filter;
pub use trunkline_embed::classify;
#[cfg(feature = "encoder")]
pub use trunkline_embed::sentence;
