//! Who made the sealed state of conversations.
//!
//! Owns a bounded memory of the signatures and encrypted reasoning that passed, by hash, and the deployment each came from. Must
//! not keep a value: what is asked is only whether it was seen. Without this a conversation could not be led back to the only
//! provider that can read its state, because nothing in the state says whose it is. The memory is this process's. What another
//! replica saw, or this one before a restart, is passed on as it came: a provider that cannot read it says so, which is a failure
//! that the next deployment may not have, so that the maker is found by asking.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use trunkline_model::id::Name;
use trunkline_wire::sealed;

/// Values remembered in each of two generations; a full one displaces the one before.
const MOST: usize = 50_000;
/// For how long state is remembered, in seconds.
const KEPT: u64 = 24 * 60 * 60;

/// The deployment that made some state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Maker {
    /// The deployment.
    pub deployment: Name,
    /// Its provider.
    pub provider: Name,
}

/// Watches the answer of one deployment.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    /// Where it is noted.
    pub makers: Arc<Makers>,
    /// Whose answer it is.
    pub maker: Maker,
    /// When the request came, in Unix seconds.
    pub at: u64,
}

impl Watch {
    /// Looks for state in a frame of the answer.
    pub(crate) fn frame(&self, text: &[u8]) {
        self.makers.watch(text, &self.maker, self.at);
    }
}

/// The memory.
#[derive(Debug, Default)]
pub(crate) struct Makers {
    hasher: RandomState,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    new: HashMap<u64, (Maker, u64)>,
    old: HashMap<u64, (Maker, u64)>,
}

impl Makers {
    /// Looks for state in a piece of an answer. `now` is in Unix seconds, here and below.
    fn watch(&self, text: &[u8], maker: &Maker, now: u64) {
        sealed::each(text, &mut |value| {
            let key = self.hasher.hash_one(value);
            let mut seen = self.seen.lock();
            if seen.new.len() >= MOST {
                seen.old = std::mem::take(&mut seen.new);
            }
            seen.new.insert(key, (maker.clone(), now));
        });
    }

    /// Who made the last state in a request that anybody remembers.
    pub(crate) fn of(&self, body: &[u8], now: u64) -> Option<Maker> {
        let mut last = None;
        sealed::each(body, &mut |value| {
            let key = self.hasher.hash_one(value);
            let seen = self.seen.lock();
            let found = seen.new.get(&key).or_else(|| seen.old.get(&key));
            if let Some((maker, made)) = found
                && now.saturating_sub(*made) < KEPT
            {
                last = Some(maker.clone());
            }
        });
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maker(name: &str) -> Maker {
        Maker { deployment: format!("{name}/model").into(), provider: name.into() }
    }

    fn state(number: usize) -> Vec<u8> {
        format!("{{\"signature\":\"signature-{number:08}\"}}").into_bytes()
    }

    #[test]
    fn the_maker_of_the_last_known_state_is_found_until_it_is_too_old() {
        let makers = Makers::default();
        let start = 1;
        makers.watch(&state(1), &maker("first"), start);
        makers.watch(&state(2), &maker("second"), start);
        makers.watch(b"data: nothing of note", &maker("third"), start);
        assert_eq!(makers.of(&state(1), start), Some(maker("first")));
        let both = [state(1), state(2), state(3)].concat();
        assert_eq!(makers.of(&both, start), Some(maker("second")));
        assert_eq!(makers.of(&state(3), start), None);
        assert_eq!(makers.of(&state(1), start + KEPT), None);
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest() {
        let makers = Makers::default();
        let now = 1;
        for number in 0..2 * MOST + 1 {
            makers.watch(&state(number), &maker("any"), now);
        }
        let seen = makers.seen.lock();
        assert_eq!((seen.new.len(), seen.old.len()), (1, MOST));
        drop(seen);
        assert_eq!(makers.of(&state(0), now), None);
        assert_eq!(makers.of(&state(2 * MOST), now), Some(maker("any")));
    }
}
