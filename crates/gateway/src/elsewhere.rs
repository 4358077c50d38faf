//! What the vendors' clients can ask for and a gateway over many providers does not serve: said with what to do instead.
//!
//! Owns that list and its words. Must not serve anything. Each of these is about something that one provider keeps or runs, which
//! no other could answer for; the provider itself is always within reach through `/passthrough/`.

use trunkline_model::dialect::Dialect;

/// Paths below the version, by their beginning, and why they are not here.
type List = &'static [(&'static str, &'static str)];

const OPENAI: List = &[
    ("responses/compact", "a compacted conversation can be read by the provider alone that made it"),
    (
        "chat/completions/",
        "stored chat completions stay with the provider that made them; `/v1/responses` keeps answers here",
    ),
    ("uploads", "files come in one piece, to `/v1/files`"),
    ("vector_stores", "vector stores stay with one provider"),
    ("assistants", "assistants stay with one provider; `/v1/responses` serves conversations and tools"),
    ("threads", "threads stay with one provider; `/v1/responses` serves conversations and tools"),
    ("fine_tuning", "models are tuned at one provider"),
    ("evals", "evaluations are run by one provider; `trunkline eval` runs them over all"),
    ("containers", "containers run at one provider"),
    ("videos", "videos are made and kept by one provider"),
    ("realtime", "realtime sessions are held by one provider"),
    ("chatkit", "ChatKit sessions are held by one provider"),
    ("skills", "skills stay with one provider"),
    ("organization", "an organization's affairs are one provider's"),
];

const ANTHROPIC: List = &[
    ("files", "files of this protocol stay with one provider; send documents in the message"),
    ("skills", "skills stay with one provider"),
    ("agents", "managed agents run at one provider"),
    ("environments", "environments run at one provider"),
    ("sessions", "sessions are held by one provider"),
    ("complete", "text completions ended with the models that had them; use `/v1/messages`"),
    ("organizations", "an organization's affairs are one provider's"),
];

const GEMINI: List = &[
    ("files", "files of this protocol stay with one provider; send them as `inlineData`"),
    (
        "cachedContents",
        "caches stay with one provider; a prompt's beginning that repeats is cached without them",
    ),
    (
        "batches",
        "batches over any provider are OpenAI's `/v1/batches` and Anthropic's `/v1/messages/batches`",
    ),
    ("fileSearchStores", "file search stores stay with one provider"),
    ("corpora", "corpora stay with one provider"),
    ("tunedModels", "models are tuned at one provider"),
    ("operations", "operations stay with the provider that runs them"),
    ("interactions", "interactions are kept by one provider; `/v1/responses` keeps answers here"),
    ("auth_tokens", "tokens for live sessions are one provider's"),
    (
        "models/",
        "the methods served are generateContent, streamGenerateContent, countTokens, embedContent and batchEmbedContents",
    ),
];

/// What to tell a client of a dialect that asks for such a path.
#[must_use]
pub(crate) fn advice(path: &str, dialect: Dialect) -> Option<String> {
    let below = path.trim_start_matches('/');
    let below = below.strip_prefix("upload/").unwrap_or(below);
    let versions = ["v1/", "v1beta/", "v1alpha/"];
    let below = versions.iter().find_map(|version| below.strip_prefix(version)).unwrap_or(below);
    let list = match dialect {
        Dialect::Anthropic => ANTHROPIC,
        Dialect::Gemini => GEMINI,
        _ => OPENAI,
    };
    let (_, why) = list.iter().find(|(beginning, _)| begins(below, beginning))?;
    let method = below.rsplit_once(':').map_or("", |(_, method)| method);
    let place =
        if below.starts_with("models/") { format!("models/MODEL:{method}") } else { below.to_owned() };
    Some(format!("{why}; to ask a provider for it, send it to `/passthrough/PROVIDER/{place}`"))
}

/// Whether a path begins with whole segments.
fn begins(path: &str, beginning: &str) -> bool {
    path.strip_prefix(beginning)
        .is_some_and(|rest| beginning.ends_with('/') || rest.is_empty() || rest.starts_with(['/', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_provider_keeps_is_told_with_the_way_to_it() {
        let told = |path, dialect| advice(path, dialect).unwrap_or_default();
        insta::assert_snapshot!(
            told("/v1/vector_stores/vs_1/files", Dialect::OpenAi),
            @"vector stores stay with one provider; to ask a provider for it, send it to `/passthrough/PROVIDER/vector_stores/vs_1/files`"
        );
        insta::assert_snapshot!(
            told("/upload/v1beta/files", Dialect::Gemini),
            @"files of this protocol stay with one provider; send them as `inlineData`; to ask a provider for it, send it to `/passthrough/PROVIDER/files`"
        );
        insta::assert_snapshot!(
            told("/v1beta/models/ge/gemini-x:batchGenerateContent", Dialect::Gemini),
            @"the methods served are generateContent, streamGenerateContent, countTokens, embedContent and batchEmbedContents; to ask a provider for it, send it to `/passthrough/PROVIDER/models/MODEL:batchGenerateContent`"
        );
        insta::assert_snapshot!(
            told("/v1/files", Dialect::Anthropic),
            @"files of this protocol stay with one provider; send documents in the message; to ask a provider for it, send it to `/passthrough/PROVIDER/files`"
        );
    }

    #[test]
    fn what_nobody_has_is_nobody_s() {
        assert_eq!(advice("/nothing", Dialect::OpenAi), None);
        assert_eq!(advice("/v1/videostore", Dialect::OpenAi), None);
        assert_eq!(advice("/v1/chat/completions", Dialect::OpenAi), None);
    }
}
