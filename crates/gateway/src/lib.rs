//! The gateway: requests in, answers out, one file per stage.
//!
//! Owns the life of a request between the listening socket and the record. Must not choose (that is `route`), translate
//! (`wire`) or know a vendor (`providers`): it carries values between them. `pipeline` is the map.

mod accept;
mod accounts;
mod admit;
mod allowance;
mod answer;
mod array;
mod ask;
mod assess;
mod attempt;
mod audit;
mod authenticate;
mod batches;
mod body;
mod case;
mod classify;
mod clock;
mod continuation;
mod count;
mod effort;
mod elsewhere;
mod encode;
mod endpoint;
mod examples;
mod explain;
mod exposition;
mod feedback;
mod heard;
mod inspect;
mod learn;
mod limit_headers;
mod makers;
mod media;
mod metrics;
mod models;
mod options;
mod passthrough;
mod patience;
mod perform;
mod pipeline;
mod planning;
mod polling;
mod preferences;
mod prompt;
mod refusal;
mod relay;
mod respond;
mod responses;
mod series;
pub mod server;
mod service;
mod shadow;
mod sign;
mod spend;
mod state;
mod stop;
mod subject;
mod support;
mod tokens;

pub use clock::Clock;
pub use learn::restore_bandits;
pub use prompt::BodyPrompt;
pub use state::{Gateway, Generation, Stores};
