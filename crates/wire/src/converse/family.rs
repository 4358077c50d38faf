//! Which family of models a name belongs to.
//!
//! Owns the convention of the service's model ids: `anthropic.claude-...`, `eu.amazon.nova-...`, and the same inside ARNs. Must
//! not know single models. It matters only where the dialect has no field of its own and hands fields through to the model.

/// Models that take the same additional fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Anthropic's: the additional fields are those of its own API.
    Claude,
    /// Amazon's Nova.
    Nova,
    /// OpenAI's open models.
    OpenAi,
    /// Amazon's Titan (embeddings).
    Titan,
    /// Cohere's (embeddings).
    Cohere,
    /// Any other, and names that do not tell (application inference profiles).
    Other,
}

impl Family {
    /// The family of a model id or ARN.
    pub(super) fn of(model: &str) -> Self {
        let has = |word: &str| model.contains(word);
        if has("anthropic.") || has("claude") {
            Self::Claude
        } else if has("amazon.nova") {
            Self::Nova
        } else if has("openai.") {
            Self::OpenAi
        } else if has("amazon.titan") {
            Self::Titan
        } else if has("cohere.") {
            Self::Cohere
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_in_the_name() {
        let cases = [
            ("anthropic.claude-sonnet-4-5-20250929-v1:0", Family::Claude),
            ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", Family::Claude),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0",
                Family::Nova,
            ),
            ("openai.gpt-oss-120b-1:0", Family::OpenAi),
            ("amazon.titan-embed-text-v2:0", Family::Titan),
            ("cohere.embed-multilingual-v3", Family::Cohere),
            ("meta.llama3-70b-instruct-v1:0", Family::Other),
            ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc", Family::Other),
        ];
        for (model, family) in cases {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }
}
