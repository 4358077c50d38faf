//! The model catalogue: what every model is called, can take, can do and costs.
//!
//! Owns the entry types, the prices with their tiers, lookup by name and the changes a configuration makes. It must not know
//! where the data comes from (the bundled lists live beside the provider presets) nor what day it is (dates are arguments).
//! It is consulted when a configuration is compiled, never per request, and is therefore laid out for quick loading: texts
//! borrow from the bundled data and nothing is indexed beyond the sort order.

mod bill;
mod date;
mod entry;
mod format;
mod index;
mod patch;
mod price;

pub use bill::{bill, request_fee};
pub use date::{Date, DateError};
pub use entry::{Disagreement, Kind, ModelEntry, ModelIdError, ReasoningEffort, Text};
pub use format::{FormatError, LineProblem, parse, render};
pub use index::{Catalogue, Lookup, undated};
pub use patch::{ModelPatch, PricePatch};
pub use price::{
    Prices, Rate, Rates, Schedule, ServiceTier, TokenClass, TokenCounts, UnitKind, UnitPrice, UnknownName,
    price,
};
