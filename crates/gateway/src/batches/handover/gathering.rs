//! Lines put together into handovers.
//!
//! Owns the bounds of what goes together (the provider's, and those of this process's memory) and the order in which a handover is
//! written down and sent: the former is on the disk before the latter begins. Must not judge lines.

use super::carrier::{self, Submission};
use super::decision::{Parcel, decide};
use super::schedule::Desk;
use super::{Particulars, line_name, new_name, order, write};
use crate::clock;
use crate::state::{Gateway, Generation};
use http::HeaderMap;
use std::sync::Arc;
use trunkline_model::id::Name;
use trunkline_store::{ClaimedLine, HandoverState, StoredBatch, StoredHandover};

/// Lines looked at between two looks at the database.
const PAGE: usize = 64;
/// Most bytes of one handover, and of all that are being put together.
pub(super) const MOST_BYTES: usize = 32 << 20;
/// Most handovers that are being put together.
const MOST_BUNDLES: usize = 8;
/// What a line needs beyond its request: its name and what stands around both.
const FRAME: usize = 256;

/// How much fits into one bundle.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    lines: usize,
    bytes: usize,
}

/// Lines that go together.
#[derive(Debug)]
struct Bundle<K, L> {
    key: K,
    lines: Vec<L>,
    text: Vec<u8>,
    /// Bytes of memory it takes, with what is noted of its lines.
    weight: usize,
}

/// How large a line is at the most.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// Its bytes in the bundle's text.
    text: usize,
    /// Its bytes in memory.
    weight: usize,
}

/// The bundles that are being made.
struct Bundles<K, L> {
    open: Vec<Bundle<K, L>>,
    most: usize,
    most_bytes: usize,
}

impl<K: PartialEq, L> Bundles<K, L> {
    const fn new(most: usize, most_bytes: usize) -> Self {
        Self { open: Vec::new(), most, most_bytes }
    }

    /// Adds a line to the bundle of its key; returns those that had to be closed for it.
    fn add(
        &mut self,
        key: K,
        line: L,
        size: Size,
        bounds: Bounds,
        write: impl FnOnce(&K, &mut Vec<u8>),
    ) -> Vec<Bundle<K, L>> {
        let mut closed = Vec::new();
        if let Some(at) = self.open.iter().position(|bundle| bundle.key == key) {
            let bundle = &self.open[at];
            if bundle.lines.len() >= bounds.lines
                || bundle.text.len().saturating_add(size.text) > bounds.bytes
            {
                closed.push(self.open.swap_remove(at));
            }
        }
        while !self.open.is_empty() && self.weight().saturating_add(size.weight) > self.most_bytes {
            closed.extend(self.largest());
        }
        if let Some(bundle) = self.open.iter_mut().find(|bundle| bundle.key == key) {
            write(&bundle.key, &mut bundle.text);
            bundle.lines.push(line);
            bundle.weight = bundle.weight.saturating_add(size.weight);
            return closed;
        }
        if self.open.len() >= self.most {
            closed.extend(self.largest());
        }
        let mut bundle = Bundle { key, lines: vec![line], text: Vec::new(), weight: size.weight };
        write(&bundle.key, &mut bundle.text);
        self.open.push(bundle);
        closed
    }

    fn weight(&self) -> usize {
        self.open.iter().map(|bundle| bundle.weight).sum()
    }

    fn largest(&mut self) -> Option<Bundle<K, L>> {
        let (at, _) = self.open.iter().enumerate().max_by_key(|(_, bundle)| bundle.weight)?;
        Some(self.open.swap_remove(at))
    }
}

/// What lines must have in common.
struct Key {
    deployment: Name,
    endpoint: &'static str,
    headers: HeaderMap,
    generation: Arc<Generation>,
    /// The name a bundle that begins with this line goes under.
    mark: String,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        // The mark is the bundle's, not the line's.
        self.deployment == other.deployment
            && self.endpoint == other.endpoint
            && self.headers == other.headers
            && Arc::ptr_eq(&self.generation, &other.generation)
    }
}

/// A line's number, and what is noted of it.
type Line = (u64, String);

/// Decides on all lines of a batch of which nobody has decided, and hands over those that can be. Ends early when the gateway stops;
/// what was not handed over then is as it was. Tells whether there were any.
pub(crate) async fn gather(gateway: &Arc<Gateway>, desk: &Desk, batch: &StoredBatch) -> bool {
    let order = order(batch);
    let mut bundles: Bundles<Key, Line> = Bundles::new(MOST_BUNDLES, MOST_BYTES);
    let mut found_any = false;
    loop {
        if gateway.is_draining() {
            return found_any;
        }
        let id = batch.id.clone();
        let now = clock::unix_milliseconds();
        let page = write(gateway, move |store| store.gather(&id, now, PAGE)).await;
        if page.is_empty() {
            break;
        }
        found_any = true;
        let mut alone = Vec::new();
        let left = batch.times.expires.saturating_sub(clock::unix_seconds());
        for line in page {
            let Some(parcel) = decide(gateway, desk, &order, &line, left).await else {
                alone.push(line.number);
                continue;
            };
            for bundle in add(&mut bundles, &line, parcel) {
                hand_over(gateway, desk, batch, bundle).await;
            }
        }
        let id = batch.id.clone();
        write(gateway, move |store| store.ungather(&id, &alone, None)).await;
    }
    for bundle in bundles.open {
        hand_over(gateway, desk, batch, bundle).await;
    }
    found_any
}

fn add(bundles: &mut Bundles<Key, Line>, line: &ClaimedLine, parcel: Parcel) -> Vec<Bundle<Key, Line>> {
    let Parcel { deployment, generation, endpoint, headers, body, note } = parcel;
    let Some(api) = carrier::api(&generation, &deployment) else { return Vec::new() };
    let bounds = Bounds { lines: api.most_lines, bytes: api.most_bytes.min(MOST_BYTES) };
    let text = usize::try_from(body.len()).unwrap_or(usize::MAX).saturating_add(FRAME);
    let size = Size { text, weight: text.saturating_add(note.len()) };
    // A line that joins a bundle goes under the bundle's name.
    let key = Key { deployment, endpoint, headers, generation: Arc::clone(&generation), mark: new_name() };
    bundles.add(key, (line.number, note), size, bounds, |key, text| {
        api.write_line(endpoint, &line_name(&key.mark, line.number), body.pieces(), text);
    })
}

/// Writes a handover down and sends it; a few lines only go back into the queue instead.
async fn hand_over(gateway: &Arc<Gateway>, desk: &Desk, batch: &StoredBatch, bundle: Bundle<Key, Line>) {
    let Bundle { key, lines, text, .. } = bundle;
    let stated = gateway.generation().snapshot.server.batches.upstream_least as usize;
    let least =
        carrier::api(&key.generation, &key.deployment).map_or(stated, |api| api.least_lines.max(stated));
    if lines.len() < least || gateway.is_draining() {
        let id = batch.id.clone();
        let numbers: Vec<u64> = lines.iter().map(|(number, _)| *number).collect();
        let undecided = gateway.is_draining().then_some(0);
        return write(gateway, move |store| store.ungather(&id, &numbers, undecided)).await;
    }
    let handover = StoredHandover {
        id: key.mark.clone(),
        batch: batch.id.clone(),
        deployment: key.deployment.to_string(),
        state: HandoverState::Preparing,
        made: clock::unix_seconds(),
        upstream: None,
        lines: lines.len() as u64,
        details: Particulars { endpoint: key.endpoint.to_owned() }.write(),
    };
    let written = handover.clone();
    write(gateway, move |store| store.hand_over(&written, &lines)).await;
    let submission = Submission { endpoint: key.endpoint, headers: key.headers, lines: text.into() };
    carrier::submit(gateway, desk, &key.generation, handover, submission).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_line_is_in_one_bundle_and_no_bundle_is_too_large(
            lines in proptest::collection::vec((0..5_u8, 1..40_usize), 0..80),
            most_lines in 1..6_usize,
            most in 1..4_usize,
        ) {
            let bounds = Bounds { lines: most_lines, bytes: 100 };
            let mut bundles = Bundles::new(most, 120);
            let mut closed = Vec::new();
            for (number, (key, length)) in lines.iter().enumerate() {
                let size = Size { text: *length, weight: *length + 2 };
                closed.extend(bundles.add(*key, number, size, bounds, |_, text| text.extend(vec![0; *length])));
                prop_assert!(bundles.weight() <= 120 && bundles.open.len() <= most);
            }
            closed.extend(bundles.open);
            let mut seen: Vec<usize> = Vec::new();
            for bundle in &closed {
                prop_assert!(!bundle.lines.is_empty() && bundle.lines.len() <= most_lines);
                prop_assert!(bundle.text.len() <= 100);
                prop_assert!(bundle.lines.is_sorted());
                prop_assert!(bundle.lines.iter().all(|number| lines[*number].0 == bundle.key));
                prop_assert_eq!(bundle.lines.iter().map(|number| lines[*number].1).sum::<usize>(), bundle.text.len());
                seen.extend(&bundle.lines);
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lines.len()).collect::<Vec<_>>());
        }
    }
}
