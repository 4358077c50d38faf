//! The configuration of the demo, as a user would write it.
//!
//! Owns the text. It goes through the same reading and checks as a file, so that what the demo shows is what a file does.

use super::providers::{Provider, Simulators};
use std::net::SocketAddr;

/// The text for a gateway at `listen` before these simulators.
pub(super) fn configuration(listen: SocketAddr, simulators: &Simulators) -> String {
    // Whoever opens the demo to other machines has said so on the command line; it holds no key and knows simulators only.
    let open = if listen.ip().is_loopback() { "" } else { "allow_unauthenticated: true\n" };
    let url = |provider| simulators.url(provider);
    format!(
        "\
# The configuration of `trunkline demo`. Every provider in it is SIMULATED on this machine;
# `preset` says which one is imitated. The simulators' ports change with every start.
listen: {listen}
{open}store: memory
server: {{ drain: 3s }}

providers:
  sim-openai:    {{ preset: openai, url: \"{openai}/v1\", key: simulated, models: [gpt-5-mini, gpt-5] }}
  sim-anthropic: {{ preset: anthropic, url: \"{anthropic}/v1\", key: simulated, models: [claude-sonnet-4-6] }}
  sim-gemini:    {{ preset: gemini, url: \"{gemini}/v1beta\", key: simulated, models: [gemini-2.5-flash] }}
  sim-edge:      {{ preset: openai-compatible, url: \"{edge}/v1\", key: simulated, models: [qwen3-32b] }}

models:
  sim-edge/qwen3-32b: {{ price: {{ input: \"0.08\", output: \"0.24\" }}, context_window: 40960 }}

deployments:
  embed-us: {{ model: sim-openai/text-embedding-3-small, data: {{ region: us }} }}
  embed-eu: {{ model: sim-openai/text-embedding-3-small, url: \"{openai_eu}/v1\", key: simulated-eu, data: {{ region: eu }} }}

routes:
  support:
    tiers:
      cheap:  {{ deployments: [sim-openai/gpt-5-mini, sim-gemini/gemini-2.5-flash, sim-edge/qwen3-32b], balance: least-outstanding }}
      strong: {{ deployments: [sim-anthropic/claude-sonnet-4-6, sim-openai/gpt-5], balance: latency }}
    decide:
      - {{ when: \"request.input_tokens > 1500 || request.wants_schema\", use: strong }}
      - {{ use: cheap }}
    fallback: {{ error: [cheap, strong], rate_limit: [cheap, strong], context_length: [strong] }}
    timeouts: {{ first_token: 3s, whole_answer: 5s, between_tokens: 5s, total: 20s }}
    attempts: 4
    hedge: {{ after: p95, spend_cap: 10% }}
  assist:
    tiers:
      cheap:  {{ deployments: [sim-openai/gpt-5-mini] }}
      strong: {{ deployments: [sim-anthropic/claude-sonnet-4-6, sim-openai/gpt-5], balance: latency }}
    decide:
      - {{ complexity: {{ above: 0.3, use: strong }} }}
      - {{ use: cheap }}
    cascade: {{ from: cheap, to: strong, unless: [not_refusal, complete] }}
    fallback: {{ error: [strong], rate_limit: [strong] }}
    timeouts: {{ first_token: 3s, whole_answer: 5s, between_tokens: 5s, total: 20s }}
  search:
    tiers:
      primary: {{ deployments: [embed-us] }}
      standby: {{ deployments: [embed-eu] }}
    decide:
      - {{ use: primary }}
    fallback: {{ error: [standby], rate_limit: [standby] }}
    timeouts: {{ first_token: 3s, total: 20s }}
",
        openai = url(Provider::OpenAi),
        openai_eu = url(Provider::OpenAiEu),
        anthropic = url(Provider::Anthropic),
        gemini = url(Provider::Gemini),
        edge = url(Provider::Edge),
    )
}
