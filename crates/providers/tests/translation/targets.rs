//! The kinds of provider, each by a preset and a model of today.

use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::secret::Secret;
use trunkline_providers::bundled;
use trunkline_providers::preset;
use trunkline_providers::upstream::{Account, Upstream};

/// A provider as the table shows it.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) preset: &'static str,
    pub(crate) model: &'static str,
    pub(crate) upstream: Upstream,
    /// Clients reach it in the responses form, whatever they speak.
    responses: bool,
}

impl Target {
    /// The protocol in which a client's conversation goes there.
    pub(crate) fn dialect(&self, client: Dialect) -> Dialect {
        if self.responses { Dialect::Responses } else { self.upstream.dialect_for(client, Operation::Chat) }
    }
}

pub(crate) fn all() -> Vec<Target> {
    [
        ("OpenAI", "openai", "gpt-4.1", false),
        ("OpenAI (reasoning)", "openai", "gpt-5", false),
        ("OpenAI (responses)", "openai", "gpt-5", true),
        ("vLLM", "vllm", "qwen3-32b", false),
        ("Anthropic", "anthropic", "claude-sonnet-4-5", false),
        ("Gemini", "gemini", "gemini-2.5-flash", false),
        ("Bedrock (Claude)", "bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", false),
        ("Bedrock (other)", "bedrock", "amazon.nova-pro-v1:0", false),
        ("Mistral", "mistral", "mistral-medium-latest", false),
        ("Cohere", "cohere", "command-a-03-2025", false),
    ]
    .into_iter()
    .map(|(name, id, model, responses)| {
        let preset = preset::find(id).unwrap();
        let catalogue = bundled::catalogue([id]);
        let account = Account {
            base_url: "https://provider.example/v1".to_owned(),
            key: Some(Secret::new("key".to_owned())),
            signing: None,
            region: None,
            headers: Vec::new(),
            http2_cleartext: false,
        };
        let found = catalogue.model(id, model);
        let upstream =
            Upstream::new(&preset, &account, model, found.as_ref().and_then(|found| found.entry())).unwrap();
        Target { name, preset: id, model, upstream, responses }
    })
    .collect()
}
