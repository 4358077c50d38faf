//! Who made the sealed state of conversations.
//!
//! Owns a bounded memory of the signatures and encrypted reasoning that passed, by hash, and the deployment each came from. Must
//! not keep a value: what is asked is only whether it was seen. Without this a conversation could not be led back to the only
//! provider that can read its state, because nothing in the state says whose it is. The newest of it is kept in pages, which the
//! accounts carry over a restart: without that a conversation whose maker is gone would be refused by everybody else after one, and
//! answered without its state before. What another replica saw is passed on as it came: a provider that cannot read it says so, which
//! is a failure that the next deployment may not have, so that the maker is found by asking.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use trunkline_model::id::Name;
use trunkline_wire::sealed;

/// Values remembered in each of two generations; a full one displaces the one before.
const MOST: usize = 50_000;
/// For how long state is remembered, in seconds.
const KEPT: u64 = 24 * 60 * 60;

/// Pages of what outlives the process. Only those are written again that have changed.
const PAGES: usize = 20;
/// Values of a page.
const PAGE: usize = 500;

/// The deployment that made some state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Without a key of the process, so that what was kept is found again. Another compiler's may hash otherwise; then what was
    /// kept is forgotten, and found by asking.
    hasher: BuildHasherDefault<DefaultHasher>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    new: HashMap<u64, (Maker, u64)>,
    old: HashMap<u64, (Maker, u64)>,
    /// The newest, page by page; the oldest page is written over.
    pages: Vec<Page>,
    /// The page that is being filled.
    page: usize,
}

/// Some of what outlives the process.
#[derive(Clone, Debug, Default)]
struct Page {
    values: Vec<(u64, Maker, u64)>,
    /// As it was written last; nothing once it has changed.
    written: Option<Arc<str>>,
}

/// A page as it is written.
#[derive(Serialize, Deserialize)]
struct SavedPage {
    makers: Vec<Maker>,
    /// Hash, position of the maker, Unix seconds.
    seen: Vec<(u64, usize, u64)>,
}

impl Page {
    fn newest(&self) -> u64 {
        self.values.iter().map(|(_, _, at)| *at).max().unwrap_or(0)
    }

    fn save(&self) -> Option<Arc<str>> {
        let mut saved = SavedPage { makers: Vec::new(), seen: Vec::with_capacity(self.values.len()) };
        for (key, maker, at) in &self.values {
            let known = saved.makers.iter().position(|known| known == maker);
            let position = known.unwrap_or_else(|| {
                saved.makers.push(maker.clone());
                saved.makers.len() - 1
            });
            saved.seen.push((*key, position, *at));
        }
        serde_json::to_string(&saved).ok().map(Arc::from)
    }
}

impl Seen {
    fn note(&mut self, key: u64, maker: &Maker, now: u64) {
        if self.new.len() >= MOST {
            self.old = std::mem::take(&mut self.new);
        }
        let known = self.new.insert(key, (maker.clone(), now));
        // Streams give the same value more than once.
        if known.is_some_and(|(known, _)| known == *maker) {
            return;
        }
        if self.pages.is_empty() {
            self.pages = vec![Page::default(); PAGES];
        }
        if self.pages[self.page].values.len() >= PAGE {
            self.page = (self.page + 1) % PAGES;
            self.pages[self.page].values.clear();
        }
        let page = &mut self.pages[self.page];
        page.values.push((key, maker.clone(), now));
        page.written = None;
    }
}

impl Makers {
    /// Looks for state in a piece of an answer. `now` is in Unix seconds, here and below.
    fn watch(&self, text: &[u8], maker: &Maker, now: u64) {
        sealed::each(text, &mut |value| {
            let key = self.hasher.hash_one(value);
            self.seen.lock().note(key, maker, now);
        });
    }

    /// What is to outlive the process: the pages that hold anything, each with its number and the day of its newest value, in days
    /// since the Unix epoch.
    pub(crate) fn saved(&self) -> Vec<(usize, u64, Arc<str>)> {
        let mut seen = self.seen.lock();
        let pages = seen.pages.iter_mut().enumerate().filter(|(_, page)| !page.values.is_empty());
        let saved = pages.filter_map(|(number, page)| {
            if page.written.is_none() {
                page.written = page.save();
            }
            Some((number, page.newest() / 86_400, page.written.clone()?))
        });
        saved.collect()
    }

    /// Takes up a page of a process before this one; tells whether it was one.
    pub(crate) fn restore(&self, number: usize, state: &str) -> bool {
        let Ok(saved) = serde_json::from_str::<SavedPage>(state) else { return false };
        if number >= PAGES || saved.seen.len() > PAGE {
            return false;
        }
        let mut seen = self.seen.lock();
        if seen.pages.is_empty() {
            seen.pages = vec![Page::default(); PAGES];
        }
        let mut page = Page { values: Vec::with_capacity(saved.seen.len()), written: Some(Arc::from(state)) };
        for (key, position, at) in saved.seen {
            let Some(maker) = saved.makers.get(position) else { return false };
            page.values.push((key, maker.clone(), at));
            seen.old.insert(key, (maker.clone(), at));
        }
        seen.pages[number] = page;
        // It goes on where it was left.
        let newest = (0..PAGES).max_by_key(|number| seen.pages[*number].newest());
        seen.page = newest.unwrap_or_default();
        true
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
    fn what_was_seen_last_outlives_the_process() {
        let makers = Makers::default();
        let now = 86_400 * 20_000;
        for number in 0..PAGES * PAGE + 10 {
            makers.watch(
                &state(number),
                &maker(if number % 2 == 0 { "even" } else { "odd" }),
                now + number as u64,
            );
        }
        let saved = makers.saved();
        assert_eq!(saved.len(), PAGES, "what is kept is bounded");
        let again = makers.saved();
        let is_same = saved.iter().zip(&again).all(|(one, other)| Arc::ptr_eq(&one.2, &other.2));
        assert!(is_same, "what did not change is not written again");
        makers.watch(&state(1_000_000), &maker("last"), now + 20_000);
        makers.watch(&state(1_000_000), &maker("last"), now + 20_001);
        let saved = makers.saved();
        let changed = saved.iter().zip(&again).filter(|(one, other)| !Arc::ptr_eq(&one.2, &other.2)).count();
        assert_eq!(changed, 1, "one page changed");
        assert!(saved.iter().all(|(_, day, text)| *day == 20_000 && text.len() < 40_000));
        let next = Makers::default();
        for (number, _, text) in &saved {
            assert!(next.restore(*number, text));
        }
        assert_eq!(next.of(&state(1_000_000), now), Some(maker("last")));
        assert_eq!(next.of(&state(PAGE + 1), now), Some(maker("odd")));
        assert_eq!(next.of(&state(0), now), None, "the oldest page was written over");
        next.watch(&state(2_000_000), &maker("new"), now + 30_000);
        let changed = next.saved().iter().zip(&saved).filter(|(one, other)| one.2 != other.2).count();
        assert_eq!(changed, 1, "it goes on where it was left");
        for wrong in ["", "[]", r#"{"makers":[],"seen":[[1,0,2]]}"#] {
            assert!(!Makers::default().restore(0, wrong), "{wrong}");
        }
        assert!(!Makers::default().restore(PAGES, r#"{"makers":[],"seen":[]}"#));
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
