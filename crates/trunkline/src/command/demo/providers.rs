//! The simulated providers of the demo.
//!
//! Owns which providers there are, how fast each answers and what they do when the scenario strikes. Must not know the
//! gateway: it sees them through the configuration like any other provider.

use std::time::Duration;
use trunkline_sim::{Delay, DialectName, Fault, Flavor, Script, SimConfig, SimError, Simulator};

/// A provider that the demo simulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    /// Speaks OpenAI chat and embeddings.
    OpenAi,
    /// Another region of the first.
    OpenAiEu,
    /// Speaks Anthropic messages.
    Anthropic,
    /// Speaks Gemini.
    Gemini,
    /// A small server of one's own: speaks OpenAI's protocol, slowly.
    Edge,
}

impl Provider {
    /// Every provider, in the order of the screen.
    pub(super) const ALL: [Self; 5] =
        [Self::OpenAi, Self::OpenAiEu, Self::Anthropic, Self::Gemini, Self::Edge];

    /// Its name in the configuration and on the screen.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "sim-openai",
            Self::OpenAiEu => "sim-openai (EU)",
            Self::Anthropic => "sim-anthropic",
            Self::Gemini => "sim-gemini",
            Self::Edge => "sim-edge",
        }
    }

    /// The provider that a key of the terminal takes down.
    pub(super) const fn of_key(key: char) -> Option<Self> {
        match key {
            'o' => Some(Self::OpenAi),
            'u' => Some(Self::OpenAiEu),
            'a' => Some(Self::Anthropic),
            'g' => Some(Self::Gemini),
            'e' => Some(Self::Edge),
            _ => None,
        }
    }

    const fn position(self) -> usize {
        self as usize
    }

    const fn dialect(self) -> DialectName {
        match self {
            Self::OpenAi | Self::OpenAiEu | Self::Edge => DialectName::OpenAi,
            Self::Anthropic => DialectName::Anthropic,
            Self::Gemini => DialectName::Gemini,
        }
    }

    /// Median milliseconds to the first token and between two pieces of two tokens; the spread of the former.
    const fn pace(self) -> (f64, f64, f64) {
        match self {
            Self::OpenAi => (180.0, 14.0, 0.3),
            Self::OpenAiEu => (210.0, 14.0, 0.3),
            Self::Anthropic => (260.0, 16.0, 0.3),
            Self::Gemini => (150.0, 10.0, 0.35),
            Self::Edge => (550.0, 20.0, 0.45),
        }
    }

    fn config(self) -> SimConfig {
        let (median_ms, gap_ms, sigma) = self.pace();
        let script = Script {
            first_token: Delay::LogNormal { median_ms, sigma },
            token_gap: Delay::Constant { ms: gap_ms },
            piece_tokens: 2,
            ..Script::default()
        };
        SimConfig {
            flavor: if self == Self::Edge { Flavor::Compatible } else { Flavor::Vendor },
            seed: self.position() as u64,
            keep_requests: 1,
            ..SimConfig::new(self.dialect()).with_script(script)
        }
    }
}

/// What is wrong with a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It answers everything with 503.
    Down,
    /// It answers everything with 429 and these whole seconds of Retry-After.
    RateLimited(u64),
    /// It opens answers and never sends a token.
    Silent,
}

impl Trouble {
    const fn fault(self) -> Fault {
        match self {
            Self::Down => Fault::Unavailable,
            Self::RateLimited(seconds) => Fault::RateLimitedRetryAfter(seconds),
            Self::Silent => Fault::HangBeforeFirstToken,
        }
    }
}

/// The running simulators, each with the trouble it is in.
pub(super) struct Simulators {
    running: Vec<(Simulator, Option<Trouble>)>,
}

impl Simulators {
    /// Starts them all on free ports of this machine.
    ///
    /// # Errors
    /// When there is no port to listen on.
    pub(super) async fn start() -> Result<Self, SimError> {
        let mut running = Vec::with_capacity(Provider::ALL.len());
        for provider in Provider::ALL {
            running.push((Simulator::start(provider.config()).await?, None));
        }
        Ok(Self { running })
    }

    /// Scheme, host and port of one.
    pub(super) fn url(&self, provider: Provider) -> String {
        self.running[provider.position()].0.base_url()
    }

    /// Puts one into trouble, or out of it. What it is in already is left as it is.
    pub(super) fn trouble(&mut self, provider: Provider, trouble: Option<Trouble>) {
        let (simulator, current) = &mut self.running[provider.position()];
        if *current == trouble {
            return;
        }
        *current = trouble;
        match trouble {
            Some(trouble) => simulator.fail_with(trouble.fault()),
            None => simulator.heal(),
        }
    }

    /// Stops them all.
    pub(super) async fn stop(self) {
        for (simulator, _) in self.running {
            simulator.stop().await;
        }
    }
}

/// A retry-after that ends well within a trouble of this length.
pub(super) fn retry_after(length: Duration) -> Trouble {
    Trouble::RateLimited((length.as_secs() / 3).max(1))
}
