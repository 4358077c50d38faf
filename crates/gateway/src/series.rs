//! Time series found by where their labels lie in memory.
//!
//! Owns a map from labels to series that hashes a few addresses instead of half a dozen texts: the labels of a request are
//! the configuration's own names, shared and not copied. It must not outlive their meaning, so every entry keeps its names
//! alive: no address in it can come to mean another text.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};
use trunkline_model::id::Name;

/// Entries at the most; beyond it all are forgotten and found anew. Reloads leave entries of old configurations behind.
const MOST: usize = 8_192;

/// Words kept by a thread at the most.
const MOST_WORDS: usize = 32;

/// Where a name lies; 0 for none.
#[must_use]
pub(crate) fn address(name: Option<&Name>) -> usize {
    name.map_or(0, |name| Arc::as_ptr(name).cast::<u8>() as usize)
}

/// A fixed word as a name that this thread made once: such words are in every record.
#[must_use]
pub(crate) fn word(text: &'static str) -> Name {
    thread_local! {
        static WORDS: RefCell<Vec<Name>> = const { RefCell::new(Vec::new()) };
    }
    WORDS.with_borrow_mut(|words| {
        if let Some(word) = words.iter().find(|word| ***word == *text) {
            return Arc::clone(word);
        }
        let word = Name::from(text);
        if words.len() < MOST_WORDS {
            words.push(Arc::clone(&word));
        }
        word
    })
}

/// Values by addresses. `V` holds the names that `K` tells the addresses of.
#[derive(Debug)]
pub(crate) struct Series<K, V> {
    known: RwLock<HashMap<K, Arc<V>, BuildHasherDefault<Quick>>>,
}

impl<K, V> Default for Series<K, V> {
    fn default() -> Self {
        Self { known: RwLock::default() }
    }
}

impl<K: Eq + Hash, V> Series<K, V> {
    /// The value of a key; `make` is asked the first time.
    pub(crate) fn find(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        if let Some(value) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(value);
        }
        let value = Arc::new(make());
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        Arc::clone(known.entry(key).or_insert(value))
    }
}

/// A hash for addresses and small numbers, which nobody outside chooses.
#[derive(Debug, Default)]
pub(crate) struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        // The high bits are the good ones of a product, and the map looks at both ends.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number.cast_unsigned() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_equal_texts_at_two_places_are_two_keys() {
        let series: Series<usize, (Name, u32)> = Series::default();
        let (one, same) = (Name::from("auto"), Name::from("auto"));
        let first = series.find(address(Some(&one)), || (Arc::clone(&one), 1));
        assert_eq!(series.find(address(Some(&one)), || unreachable!("it is known")), first);
        assert_eq!(series.find(address(Some(&same)), || (Arc::clone(&same), 2)).1, 2);
        assert_eq!(address(None), 0);
    }

    #[test]
    fn what_is_known_is_bounded() {
        let series: Series<usize, usize> = Series::default();
        for key in 0..=MOST {
            series.find(key, || key);
        }
        assert_eq!(series.known.read().unwrap().len(), 1);
        assert_eq!(*series.find(MOST, || 0), MOST);
    }
}
