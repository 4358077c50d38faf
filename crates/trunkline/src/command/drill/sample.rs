//! The configuration that is drilled when none is named.
//!
//! Owns one text: three providers, one of each dialect, in two tiers that stand in for each other. Each provider is the first
//! choice of one route, so that the drill breaks each dialect once under both client protocols.

/// The configuration.
pub(super) const CONFIGURATION: &str = r#"# The configuration `trunkline drill` plays without --config.
providers:
  openai: { key: "${OPENAI_API_KEY}" }
  anthropic: { key: "${ANTHROPIC_API_KEY}" }
  gemini: { key: "${GEMINI_API_KEY}" }

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
"#;
