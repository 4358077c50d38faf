//! How a simulator is set up before it starts.
//!
//! Owns what cannot change while it runs; what can is the script.

use std::net::{Ipv4Addr, SocketAddr};

use crate::dialect::DialectName;
use crate::script::Script;

/// Set-up of one simulator.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// The dialects spoken; the first that recognises a request answers it, the first of all answers what none does.
    pub dialects: Vec<DialectName>,
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Keys accepted. Empty: any key, but there must be one.
    pub keys: Vec<String>,
    /// Models listed. Empty: a list made for the dialect. Requests may name any model either way, see
    /// [`SimConfig::known_models_only`].
    pub models: Vec<String>,
    /// Whether a model that is not listed is a 404.
    pub known_models_only: bool,
    /// Whether the server is the vendor's own or a compatible one (OpenAI dialect only).
    pub flavor: Flavor,
    /// Clear text or TLS.
    pub tls: Tls,
    /// Seeds everything that looks random.
    pub seed: u64,
    /// Keys the opaque state (signatures) that answers carry. Simulators with the same secret accept each other's.
    pub secret: u64,
    /// Unix seconds that answers carry as their time of creation; fixed, so that answers are reproducible.
    pub created: u64,
    /// Context window in tokens. A longer prompt is refused.
    pub context_tokens: u64,
    /// The largest request body accepted, in bytes.
    pub body_limit: usize,
    /// The most concurrent streams of an HTTP/2 connection.
    pub max_streams: u32,
    /// How many received requests are kept for [`crate::Simulator::requests`].
    pub keep_requests: usize,
    /// The behaviour at the start.
    pub script: Script,
}

impl SimConfig {
    /// A healthy simulator of `dialect` on a free port of 127.0.0.1.
    #[must_use]
    pub fn new(dialect: DialectName) -> Self {
        Self {
            dialects: vec![dialect],
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            keys: Vec::new(),
            models: Vec::new(),
            known_models_only: false,
            flavor: Flavor::Vendor,
            tls: Tls::None,
            seed: 0,
            secret: 0x7472_756e_6b6c_696e,
            created: 1_763_000_000,
            context_tokens: 1_000_000,
            body_limit: 64 << 20,
            max_streams: 100,
            keep_requests: 256,
            script: Script::default(),
        }
    }

    /// Sets the script.
    #[must_use]
    pub fn with_script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// Sets the keys accepted.
    #[must_use]
    pub fn with_keys(mut self, keys: &[&str]) -> Self {
        self.keys = keys.iter().map(|key| (*key).to_owned()).collect();
        self
    }
}

/// Whose server speaks a dialect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavor {
    /// The vendor of the dialect: strict about parameters.
    #[default]
    Vendor,
    /// A compatible service: ignores unknown parameters, shows reasoning as `reasoning_content`, has no fingerprint.
    Compatible,
}

/// How connections are secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    #[default]
    None,
    /// With a certificate for `localhost` and `127.0.0.1` signed by itself; trust it with
    /// [`crate::Simulator::certificate_pem`].
    SelfSigned,
    /// With a certificate that is expired and for another host.
    Bad,
}
