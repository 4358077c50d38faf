//! The configuration that is drilled when none is named.
//!
//! Owns one text: three providers of conversations, one of each dialect, in tiers that stand in for each other. Each of them is the
//! first choice of one route, so that the drill breaks each dialect once under every client protocol. A route each is for vectors,
//! judgements, pictures, hearing, speaking and the order of documents.

/// The configuration.
pub(super) const CONFIGURATION: &str = r#"# The configuration `trunkline drill` plays without --config.
providers:
  openai: { key: "${OPENAI_API_KEY}" }
  anthropic: { key: "${ANTHROPIC_API_KEY}" }
  gemini: { key: "${GEMINI_API_KEY}" }
  # The same models at another address with another key.
  openai-eu: { preset: openai, url: "https://eu.api.openai.com/v1", key: "${OPENAI_EU_API_KEY}" }
  mistral: { key: "${MISTRAL_API_KEY}" }
  cohere: { key: "${COHERE_API_KEY}" }
  voyage: { key: "${VOYAGE_API_KEY}" }

routes:
  # A cheap and a strong tier; either stands in for the other, and a third provider for both.
  support:
    tiers:
      cheap: { deployments: [openai/gpt-5-mini] }
      strong: { deployments: [anthropic/claude-sonnet-4-5] }
      spare: { deployments: [gemini/gemini-2.5-flash] }
    decide:
      - { when: "request.input_tokens > 50000 || request.has_images", use: strong }
      - { use: cheap }
    fallback:
      error: [cheap, strong, spare]
      rate_limit: [strong, spare]
      context_length: [spare]
      content_filter: [strong]
  writing:
    tiers:
      main: { deployments: [anthropic/claude-sonnet-4-5] }
      spare: { deployments: [openai/gpt-5, gemini/gemini-2.5-pro] }
    attempts: 3
  search:
    tiers:
      main: { deployments: [gemini/gemini-2.5-flash] }
      spare: { deployments: [openai/gpt-5-mini, anthropic/claude-haiku-4-5] }
    timeouts: { first_token: 10s, between_tokens: 20s, total: 2m }
  vectors:
    tiers:
      main: { deployments: [openai/text-embedding-3-small] }
      spare: { deployments: [gemini/gemini-embedding-001] }
  judging:
    tiers:
      main: { deployments: [openai/omni-moderation-latest] }
      spare: { deployments: [mistral/mistral-moderation-2603] }
  pictures:
    tiers:
      main: { deployments: [openai/gpt-image-2] }
      spare: { deployments: [openai-eu/gpt-image-2] }
  hearing:
    tiers:
      main: { deployments: [openai/gpt-transcribe] }
      spare: { deployments: [openai-eu/gpt-transcribe] }
  speaking:
    tiers:
      main: { deployments: [openai/gpt-4o-mini-tts] }
      spare: { deployments: [openai-eu/gpt-4o-mini-tts] }
  ordering:
    tiers:
      main: { deployments: [cohere/rerank-v3.5] }
      spare: { deployments: [voyage/rerank-2.5] }
"#;
