//! The embedded presets. Made by `cargo xtask catalogue`; a test compares it with the folder and with what they say.

use super::registry::Row;

/// Every preset, sorted by id.
#[rustfmt::skip]
pub(super) const ALL: &[Row] = &[
    Row { id: "acme", detect: false, keys: &["ACME_API_KEY", "ACME_TOKEN"], urls: &[], needs: &["ACME_HOST"], url_required: false, text: include_str!("../../presets/acme.toml") },
    Row { id: "depot", detect: true, keys: &[], urls: &["DEPOT_BASE_URL"], needs: &[], url_required: true, text: include_str!("../../presets/depot.toml") },
];
