//! The health of a deployment as metrics and the console show it.
//!
//! Owns a plain copy of every signal. Must not be used to decide: decisions read views.

use super::breaker::{BreakerState, Trip};
use super::outage::OutageReason;
use crate::limit::Standing;
use crate::view::View;
use std::time::Duration;
use trunkline_model::id::Name;

/// One deployment at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthSnapshot {
    /// Its id.
    pub deployment: Name,
    /// What choosing and driving see.
    pub view: View,
    /// The circuit breaker.
    pub breaker: BreakerState,
    /// Why it is open, if it is.
    pub trip: Option<Trip>,
    /// How often it opened so far, failed probes included.
    pub trips: u64,
    /// Successes among the calls of the breaker's window, 0 to 1; `None` without calls.
    pub success_rate: Option<f32>,
    /// Median time to first token of recent streams.
    pub first_token_median: Option<Duration>,
    /// 95 % of recent streams had their first token within this time.
    pub first_token_p95: Option<Duration>,
    /// Median time of recent answers that came whole.
    pub whole_median: Option<Duration>,
    /// 95 % of recent answers that came whole came within this time.
    pub whole_p95: Option<Duration>,
    /// How much longer the provider wants to be left alone.
    pub rate_limited_for: Option<Duration>,
    /// How much longer its credentials are left alone.
    pub credentials_out_for: Option<Duration>,
    /// Why they were rejected.
    pub credentials_reason: Option<OutageReason>,
    /// Share of the provider's rate limits that is left by its own headers, 0 to 1; 1 when unknown.
    pub provider_headroom: f32,
    /// Our own limits.
    pub standing: Standing,
}
