//! Prompts on their way to the file.
//!
//! Owns the bounded list between requests and the writer, and the count of what did not fit. Must not wait: a push takes a short
//! lock. The writer is woken for the first of a batch only, so that a busy gateway pays for a wake-up once in many requests.

use super::StoredPrompt;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes waiting at the most.
const MOST_BYTES: usize = 16 << 20;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    prompts: Mutex<(Vec<StoredPrompt>, usize)>,
    lost: AtomicU64,
}

impl Waiting {
    /// Takes a prompt, or counts it as lost; whether the writer must be woken.
    pub(super) fn push(&self, prompt: StoredPrompt) -> bool {
        let mut waiting = self.prompts.lock();
        let size = prompt.body.len() + size_of::<StoredPrompt>();
        if waiting.1 + size > MOST_BYTES {
            drop(waiting);
            self.lose(1);
            return false;
        }
        waiting.1 += size;
        waiting.0.push(prompt);
        waiting.0.len() == 1
    }

    /// Everything that waits.
    pub(super) fn take(&self) -> Vec<StoredPrompt> {
        std::mem::take(&mut *self.prompts.lock()).0
    }

    /// Counts what could not be kept.
    pub(super) fn lose(&self, count: u64) {
        if count > 0 && self.lost.fetch_add(count, Ordering::Relaxed) == 0 {
            tracing::error!(
                "prompts that a route should keep to learn from are lost: their file cannot be written fast enough"
            );
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::id::RequestId;

    #[test]
    fn what_waits_is_bounded_and_the_rest_is_counted() {
        let waiting = Waiting::default();
        let prompt = |number| StoredPrompt { id: RequestId::new(1, number), body: vec![0; 1 << 20] };
        assert!(waiting.push(prompt(0)));
        for number in 1..20 {
            assert!(!waiting.push(prompt(number)), "one wake-up is enough");
        }
        let taken = waiting.take();
        assert_eq!((taken.len(), waiting.lost()), (15, 5));
        assert!(waiting.push(prompt(0)));
    }
}
