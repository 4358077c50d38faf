//! Which models stand for a provider when nobody has said.
//!
//! Owns a small table, one cheap and one strong model for each of the large providers, used by the built-in route. Must not be
//! read where a configuration names models. A table and not a formula over prices, because the cheapest model of a catalogue
//! is rarely one that anybody wants to answer.

/// The cheap and the strong model of a provider, by the catalogue's provider name and the upstream's model names.
pub const FLAGSHIPS: &[(&str, &str, &str)] = &[
    ("anthropic", "claude-haiku-4-5", "claude-sonnet-4-6"),
    ("deepseek", "deepseek-chat", "deepseek-reasoner"),
    ("fireworks", "accounts/fireworks/models/gpt-oss-20b", "accounts/fireworks/models/deepseek-v3p1"),
    ("gemini", "gemini-2.5-flash", "gemini-2.5-pro"),
    ("groq", "openai/gpt-oss-20b", "openai/gpt-oss-120b"),
    ("mistral", "mistral-small-latest", "mistral-large-latest"),
    ("openai", "gpt-5-mini", "gpt-5"),
    ("openrouter", "openai/gpt-5-mini", "anthropic/claude-sonnet-4.5"),
    ("together", "openai/gpt-oss-20b", "deepseek-ai/DeepSeek-V3.1"),
    ("xai", "grok-4.20-non-reasoning", "grok-4.20-reasoning"),
];

/// The cheap and the strong model of a provider.
#[must_use]
pub fn flagships(provider: &str) -> Option<(&'static str, &'static str)> {
    let row = FLAGSHIPS.iter().find(|(name, _, _)| *name == provider)?;
    Some((row.1, row.2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::catalogue::Kind;

    #[test]
    fn every_flagship_is_a_priced_chat_model_of_the_catalogue_and_the_strong_one_costs_no_less() {
        let mut wrong = Vec::new();
        for (provider, cheap, strong) in FLAGSHIPS {
            let catalogue = crate::bundled::catalogue([*provider]);
            let output = |model: &str| {
                let entry = catalogue
                    .by_id(&format!("{provider}/{model}"))
                    .filter(|entry| entry.kind == Kind::Chat)?;
                entry.prices.at(0).of(trunkline_model::catalogue::TokenClass::Output)
            };
            match (output(cheap), output(strong)) {
                (Some(low), Some(high)) if low <= high => {}
                found => wrong.push(format!("{provider}: {cheap} {strong} {found:?}")),
            }
        }
        assert_eq!(wrong, Vec::<String>::new());
    }
}
