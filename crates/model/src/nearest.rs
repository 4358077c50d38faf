//! The names nearest to one that was mistyped, for hints in error messages.
//!
//! Owns the measure of nearness, and nothing of what is named. Plain edit distance alone ranks `gpt-5` and `gpt-4` alike for
//! `gpt5`, and misses names that only lack a vendor prefix; so containing or being contained counts as near too, and
//! separators and case do not count.

/// Longest text that is compared; longer ones are no typing mistakes and would make the comparison slow.
const LONGEST: usize = 96;

/// The at most `limit` of `names` that are near enough to `name` to be worth suggesting, nearest first, ties by name.
///
/// The cost is one comparison per name, so this belongs on error paths only.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>, limit: usize) -> Vec<&'a str> {
    if name.len() > LONGEST {
        return Vec::new();
    }
    let wanted = folded(name);
    let mut ranked: Vec<(usize, &str)> = names
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .filter_map(|candidate| distance(&wanted, &folded(candidate)).map(|distance| (distance, candidate)))
        .collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked.truncate(limit);
    ranked.into_iter().map(|(_, candidate)| candidate).collect()
}

/// How far apart two folded names are, or nothing when one is no plausible slip of the other.
fn distance(wanted: &str, candidate: &str) -> Option<usize> {
    let edits = strsim::damerau_levenshtein(wanted, candidate);
    let length = wanted.chars().count().max(candidate.chars().count());
    if edits * 3 <= length {
        return Some(edits);
    }
    let shorter = wanted.len().min(candidate.len());
    let contained = shorter >= 3 && (candidate.contains(wanted) || wanted.contains(candidate));
    // Containment ranks behind every near spelling, shorter remainders first.
    contained.then_some(LONGEST + edits)
}

/// Lower case without the separators people mix up.
fn folded(name: &str) -> String {
    name.chars()
        .filter(|character| !matches!(character, '-' | '_' | '.' | ' ' | ':'))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODELS: [&str; 6] = [
        "openai/gpt-5",
        "openai/gpt-5-mini",
        "openai/gpt-4.1",
        "anthropic/claude-sonnet-4-5",
        "openai/o3",
        "groq/llama-3.3",
    ];

    #[test]
    fn a_slip_finds_its_name_first() {
        assert_eq!(nearest("openai/gpt5", MODELS, 2), ["openai/gpt-5", "openai/gpt-4.1"]);
        assert_eq!(nearest("antropic/claude-sonet-4.5", MODELS, 2), ["anthropic/claude-sonnet-4-5"]);
    }

    #[test]
    fn a_name_without_its_provider_is_found() {
        assert_eq!(nearest("claude-sonnet", MODELS, 3), ["anthropic/claude-sonnet-4-5"]);
    }

    #[test]
    fn nothing_is_suggested_for_something_else() {
        assert!(nearest("zzzz", MODELS, 3).is_empty());
        assert!(nearest("", MODELS, 3).is_empty());
        assert!(nearest(&"x".repeat(5_000), MODELS, 3).is_empty());
    }
}
