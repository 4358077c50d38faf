//! Which prompt prefixes a simulator has seen, for the cached-token counts of its usage.
//!
//! Owns a bounded memory of prefix fingerprints. It is the one place where an answer depends on earlier requests; only
//! usage figures do.

use std::collections::{HashSet, VecDeque};

use parking_lot::Mutex;

use crate::chance::fingerprint;

/// How many prefixes are remembered.
const CAPACITY: usize = 8192;

/// A prefix of a prompt: its fingerprint and its length in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) fingerprint: u64,
    pub(crate) tokens: u64,
}

/// Grows a prompt piece by piece and marks prefixes in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct PrefixBuilder {
    fingerprint: u64,
    tokens: u64,
}

impl PrefixBuilder {
    pub(crate) fn push(&mut self, text: &[u8], tokens: u64) {
        self.fingerprint = fingerprint(self.fingerprint, text);
        self.tokens += tokens;
    }

    pub(crate) fn mark(&self) -> Prefix {
        Prefix { fingerprint: self.fingerprint, tokens: self.tokens }
    }
}

/// The memory of one simulator.
#[derive(Debug, Default)]
pub(crate) struct PromptCache {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    members: HashSet<u64>,
    order: VecDeque<u64>,
}

impl PromptCache {
    /// Tokens of the longest prefix of at least `minimum` tokens that an earlier prompt had; then remembers all of them.
    pub(crate) fn consult(&self, prefixes: &[Prefix], minimum: u64) -> u64 {
        let mut seen = self.seen.lock();
        let worth_keeping = || prefixes.iter().filter(|prefix| prefix.tokens >= minimum && prefix.tokens > 0);
        let known = worth_keeping().filter(|prefix| seen.members.contains(&prefix.fingerprint));
        let longest = known.map(|prefix| prefix.tokens).max().unwrap_or(0);
        for prefix in worth_keeping() {
            if seen.members.insert(prefix.fingerprint) {
                seen.order.push_back(prefix.fingerprint);
            }
        }
        while seen.order.len() > CAPACITY {
            if let Some(oldest) = seen.order.pop_front() {
                seen.members.remove(&oldest);
            }
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_common_prefix_counts() {
        let cache = PromptCache::default();
        let mut builder = PrefixBuilder::default();
        builder.push(b"system", 1000);
        let first = builder.mark();
        builder.push(b"question", 200);
        let second = builder.mark();
        assert_eq!(cache.consult(&[first, second], 1024), 0);
        assert_eq!(cache.consult(&[first, second], 1024), 1200);
        assert_eq!(cache.consult(&[first], 0), 0, "was too short to be remembered");
        assert_eq!(cache.consult(&[first], 0), 1000);
    }
}
