//! Provider presets: what is known of each service and server, as data.
//!
//! Owns the shape of `presets/*.toml` ([`Preset`]), the embedded list of them and finding one by its id or by the environment.
//! It knows no protocol and reads no environment itself. A start must not pay for a hundred TOML files: only the presets in
//! use are parsed, and what decides whether one is in use stands in the list, beside the text.
//!
//! To add an OpenAI-compatible provider: write `presets/ID.toml` (take a short one as a pattern; leave out what its
//! documentation does not say), then run `cargo xtask catalogue`, which writes the list anew. The tests name what is missing
//! or contradictory. If the price lists know the provider, say where under `[sources]` and make the catalogue again.

mod access;
mod endpoint;
mod fields;
mod list;
mod registry;

pub use access::{Key, KeyScheme, Signature, SignatureKind, SisterService};
pub use endpoint::Endpoint;
pub use fields::{
    DataClaims, ErrorRow, Family, LimitHeaders, LimitStyle, OutputLimit, Parameters, Preset, PresetError,
    ReasoningField, Sources, UrlError, UrlSetting,
};
pub use registry::{Detected, contains, detect, find, ids, nearest};
