//! Tests of the pool's bookkeeping: the rules one by one, then random histories against the invariants.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

type TestBook = Book<u32, u32, u32>;
type TestEffects = Effects<u32, u32, u32>;

fn limits() -> Limits {
    Limits {
        max_connections: 200,
        max_idle: 3,
        max_waiting: 500,
        max_streams: 100,
        idle_timeout: Duration::from_secs(60),
    }
}

fn acquire(book: &mut TestBook, now: Instant, waiter: u32, effects: &mut TestEffects) -> Acquired<u32, u32> {
    book.acquire(now, Freshness::Any, || waiter, effects)
}

fn dials(effects: &TestEffects) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Dial)).count()
}

fn grants(effects: &TestEffects) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Grant(..))).count()
}

fn queue(book: &mut TestBook, now: Instant, count: u32) -> TestEffects {
    let mut effects = TestEffects::new();
    for waiter in 0..count {
        assert!(matches!(acquire(book, now, waiter, &mut effects), Acquired::Waiting(_)));
    }
    effects
}

/// Publishes an exclusive connection and takes it.
fn open_exclusive(book: &mut TestBook, now: Instant, handle: u32) -> ConnectionId {
    let mut effects = queue(book, now, 1);
    let id = book.opening(Protocol::Exclusive);
    book.publish_exclusive(id, handle, now, &mut effects);
    assert_eq!((dials(&effects), grants(&effects)), (1, 1));
    id
}

#[test]
fn a_burst_to_an_unknown_protocol_dials_once_and_shares_what_it_gets() {
    let now = Instant::now();
    let mut book = TestBook::new(limits(), Protocol::Unknown);
    assert_eq!(dials(&queue(&mut book, now, 100)), 1);
    let mut effects = TestEffects::new();
    let id = book.opening(Protocol::Shared);
    book.publish_shared(id, 7, now, &mut effects);
    assert_eq!((grants(&effects), dials(&effects)), (100, 0));
    let mut effects = TestEffects::new();
    assert!(matches!(acquire(&mut book, now, 100, &mut effects), Acquired::Waiting(_)));
    assert_eq!(dials(&effects), 1, "the streams have run out");
    let mut effects = TestEffects::new();
    book.release_shared(id, now, &mut effects);
    assert!(matches!(effects[0], Effect::Grant(100, Grant::Shared(granted, 7)) if granted == id));
}

#[test]
fn a_burst_that_turns_out_to_be_exclusive_dials_for_each() {
    let now = Instant::now();
    let mut book = TestBook::new(limits(), Protocol::Unknown);
    queue(&mut book, now, 100);
    let mut effects = TestEffects::new();
    let id = book.opening(Protocol::Exclusive);
    book.publish_exclusive(id, 7, now, &mut effects);
    assert_eq!((grants(&effects), dials(&effects)), (1, 99));
}

#[test]
fn a_failed_dial_fails_those_it_would_have_served() {
    let now = Instant::now();
    for (protocol, waiting, failed, redials) in
        [(Protocol::Unknown, 5, 5, 0), (Protocol::Exclusive, 5, 1, 0), (Protocol::Shared, 150, 100, 0)]
    {
        let mut book = TestBook::new(limits(), protocol);
        queue(&mut book, now, waiting);
        let mut effects = TestEffects::new();
        book.dial_failed(&mut effects);
        let fails = effects.iter().filter(|effect| matches!(effect, Effect::Fail(_))).count();
        assert_eq!((fails, dials(&effects)), (failed, redials), "{protocol:?}");
    }
}

#[test]
fn the_most_recently_used_connection_goes_first_and_the_oldest_is_given_up() {
    let now = Instant::now();
    let mut book = TestBook::new(limits(), Protocol::Exclusive);
    let ids: Vec<_> = (0..4).map(|handle| open_exclusive(&mut book, now, handle)).collect();
    let mut effects = TestEffects::new();
    for (handle, id) in (0..).zip(&ids) {
        book.release_exclusive(*id, handle, now, &mut effects);
    }
    assert!(matches!(effects.as_slice(), [Effect::Close(0)]), "three may be idle: {effects:?}");
    for expected in [3, 2, 1] {
        let granted = acquire(&mut book, now, 9, &mut effects);
        assert!(matches!(granted, Acquired::Granted(Grant::Exclusive(_, handle)) if handle == expected));
    }
}

#[test]
fn idle_connections_expire() {
    let now = Instant::now();
    let mut book = TestBook::new(limits(), Protocol::Exclusive);
    let (first, second) = (open_exclusive(&mut book, now, 1), open_exclusive(&mut book, now, 2));
    let mut effects = TestEffects::new();
    book.release_exclusive(first, 1, now, &mut effects);
    book.release_exclusive(second, 2, now + Duration::from_secs(30), &mut effects);
    book.sweep(now + Duration::from_secs(60), &mut effects);
    assert!(matches!(effects.as_slice(), [Effect::Close(1)]));
    let mut effects = TestEffects::new();
    let late = now + Duration::from_secs(90);
    assert!(matches!(acquire(&mut book, late, 9, &mut effects), Acquired::Waiting(_)));
    assert!(matches!(effects.as_slice(), [Effect::Close(2), Effect::Dial]));
}

#[test]
fn the_peers_lower_limit_of_streams_is_kept() {
    let now = Instant::now();
    let mut book = TestBook::new(limits(), Protocol::Shared);
    queue(&mut book, now, 1);
    let id = book.opening(Protocol::Shared);
    let mut effects = TestEffects::new();
    book.publish_shared(id, 7, now, &mut effects);
    book.limit_streams(id, 1, &mut effects);
    let mut effects = TestEffects::new();
    assert!(matches!(acquire(&mut book, now, 1, &mut effects), Acquired::Waiting(_)));
    assert_eq!(dials(&effects), 1);
    let mut effects = TestEffects::new();
    book.limit_streams(id, usize::MAX, &mut effects);
    assert_eq!(grants(&effects), 1, "raising the limit serves who waits");
}

#[test]
fn after_a_dead_connection_another_idle_one_is_not_trusted() {
    let now = Instant::now();
    let mut book = TestBook::new(Limits { max_connections: 1, ..limits() }, Protocol::Exclusive);
    let id = open_exclusive(&mut book, now, 1);
    let mut effects = TestEffects::new();
    book.release_exclusive(id, 1, now, &mut effects);
    let granted = book.acquire(now, Freshness::New, || 9, &mut effects);
    assert!(matches!(granted, Acquired::Waiting(_)));
    assert!(matches!(effects.as_slice(), [Effect::Close(1)]), "makes room first");
    let mut effects = TestEffects::new();
    book.closed(id, &mut effects);
    assert!(matches!(effects.as_slice(), [Effect::Dial]));
}

#[test]
fn a_connection_about_to_be_free_is_waited_for_until_a_look_finds_it_busy() {
    let now = Instant::now();
    let mut book = TestBook::new(limits(), Protocol::Exclusive);
    let id = open_exclusive(&mut book, now, 1);
    let mut effects = TestEffects::new();
    book.settle(id, 1, now, &mut effects);
    assert!(matches!(acquire(&mut book, now, 8, &mut effects), Acquired::Waiting(_)));
    assert_eq!(dials(&effects), 0);
    assert_eq!(book.look(id, |_| false, now, &mut effects), Look::Busy);
    assert_eq!((dials(&effects), grants(&effects)), (1, 0));
    assert_eq!(book.look(id, |_| true, now, &mut effects), Look::Settled);
    assert_eq!((dials(&effects), grants(&effects)), (1, 1));
}

#[test]
fn the_queue_is_bounded() {
    let now = Instant::now();
    let mut book = TestBook::new(Limits { max_waiting: 2, ..limits() }, Protocol::Exclusive);
    queue(&mut book, now, 2);
    assert!(matches!(acquire(&mut book, now, 9, &mut TestEffects::new()), Acquired::Refused));
}

#[derive(Debug, Clone)]
enum Step {
    Acquire(Freshness),
    Cancel(usize),
    Dialed(Protocol),
    DiesWhileOpening,
    DialFailed,
    Release(usize),
    Settle(usize),
    Settled(usize, bool),
    EndStream(usize),
    Die(usize),
    Limit(usize, usize),
    Drain(usize),
    Advance(u64),
    Sweep,
    Warm,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Acquire(Freshness::Any)),
        1 => Just(Step::Acquire(Freshness::New)),
        1 => any::<usize>().prop_map(Step::Cancel),
        3 => Just(Step::Dialed(Protocol::Exclusive)),
        3 => Just(Step::Dialed(Protocol::Shared)),
        1 => Just(Step::DiesWhileOpening),
        1 => Just(Step::DialFailed),
        4 => any::<usize>().prop_map(Step::Release),
        1 => any::<usize>().prop_map(Step::Settle),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(index, ready)| Step::Settled(index, ready)),
        4 => any::<usize>().prop_map(Step::EndStream),
        2 => any::<usize>().prop_map(Step::Die),
        1 => (any::<usize>(), 0..4usize).prop_map(|(index, limit)| Step::Limit(index, limit)),
        1 => any::<usize>().prop_map(Step::Drain),
        2 => (0..40u64).prop_map(Step::Advance),
        1 => Just(Step::Sweep),
        1 => Just(Step::Warm),
    ]
}

/// What the world outside the book knows.
struct World {
    book: TestBook,
    now: Instant,
    next: u32,
    dials: usize,
    connections: HashMap<ConnectionId, Protocol>,
    exclusive: Vec<(ConnectionId, u32)>,
    settling: Vec<ConnectionId>,
    streams: Vec<ConnectionId>,
    /// Handles that are with nobody but the book.
    inside: HashSet<u32>,
    waiting: Vec<(WaiterId, u32)>,
    uses_new: bool,
}

fn pick<T>(items: &[T], index: usize) -> Option<usize> {
    (!items.is_empty()).then(|| index % items.len())
}

impl World {
    fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn granted(&mut self, grant: &Grant<u32, u32>) {
        match *grant {
            Grant::Exclusive(id, handle) => {
                assert!(self.inside.remove(&handle), "a handle is granted by whoever holds it");
                assert_eq!(self.connections.get(&id), Some(&Protocol::Exclusive));
                self.settling.retain(|settling| *settling != id);
                self.exclusive.push((id, handle));
            }
            Grant::Shared(id, _) => {
                assert_eq!(self.connections.get(&id), Some(&Protocol::Shared));
                self.streams.push(id);
                let on_it = self.streams.iter().filter(|stream| **stream == id).count();
                assert!(on_it <= self.book.limits.max_streams, "streams of one connection");
            }
        }
    }

    fn perform(&mut self, effects: TestEffects) {
        for effect in effects {
            match effect {
                Effect::Grant(waiter, grant) => {
                    self.answered(waiter);
                    self.granted(&grant);
                }
                Effect::Fail(waiter) => self.answered(waiter),
                Effect::Dial => self.dials += 1,
                Effect::Close(handle) => {
                    self.inside.remove(&handle);
                }
            }
        }
    }

    fn answered(&mut self, waiter: u32) {
        let position = self.waiting.iter().position(|entry| entry.1 == waiter);
        self.waiting.remove(position.expect("an answer goes to somebody who waits, once"));
    }

    fn dialed(&mut self, protocol: Protocol, dies: bool, effects: &mut TestEffects) {
        if self.dials == 0 {
            return;
        }
        self.dials -= 1;
        let id = self.book.opening(protocol);
        let handle = self.fresh();
        self.inside.insert(handle);
        if dies {
            self.book.closed(id, effects);
        } else {
            self.connections.insert(id, protocol);
        }
        match protocol {
            Protocol::Shared => self.book.publish_shared(id, handle, self.now, effects),
            _ => self.book.publish_exclusive(id, handle, self.now, effects),
        }
    }

    fn take(&mut self, step: &Step) {
        let mut effects = TestEffects::new();
        match *step {
            Step::Acquire(freshness) => {
                let waiter = self.fresh();
                self.uses_new |= freshness == Freshness::New;
                let acquired = self.book.acquire(self.now, freshness, || waiter, &mut effects);
                match acquired {
                    Acquired::Granted(grant) => self.granted(&grant),
                    Acquired::Waiting(id) => self.waiting.push((id, waiter)),
                    Acquired::Refused => assert_eq!(self.waiting.len(), self.book.limits.max_waiting),
                }
            }
            Step::Cancel(index) => {
                if let Some(index) = pick(&self.waiting, index) {
                    assert!(self.book.cancel(self.waiting.remove(index).0));
                }
            }
            Step::Dialed(protocol) => self.dialed(protocol, false, &mut effects),
            Step::DiesWhileOpening => self.dialed(Protocol::Exclusive, true, &mut effects),
            Step::DialFailed => {
                if self.dials > 0 {
                    self.dials -= 1;
                    self.book.dial_failed(&mut effects);
                }
            }
            Step::Release(index) | Step::Settle(index) => {
                if let Some(index) = pick(&self.exclusive, index) {
                    let (id, handle) = self.exclusive.swap_remove(index);
                    self.inside.insert(handle);
                    if matches!(step, Step::Settle(_)) {
                        if self.connections.contains_key(&id) {
                            self.settling.push(id);
                        }
                        self.book.settle(id, handle, self.now, &mut effects);
                    } else {
                        self.book.release_exclusive(id, handle, self.now, &mut effects);
                    }
                }
            }
            Step::Settled(index, ready) => {
                if let Some(index) = pick(&self.settling, index) {
                    let id = self.settling[index];
                    if self.book.look(id, |_| ready, self.now, &mut effects) == Look::Settled {
                        self.settling.retain(|settling| *settling != id);
                    }
                }
            }
            Step::EndStream(index) => {
                if let Some(index) = pick(&self.streams, index) {
                    let id = self.streams.swap_remove(index);
                    self.book.release_shared(id, self.now, &mut effects);
                }
            }
            Step::Die(index) | Step::Limit(index, _) | Step::Drain(index) => {
                let mut ids: Vec<_> = self.connections.keys().copied().collect();
                ids.sort_by_key(|id| (id.index, id.generation));
                if let Some(index) = pick(&ids, index) {
                    let id = ids[index];
                    match *step {
                        Step::Limit(_, limit) => self.book.limit_streams(id, limit, &mut effects),
                        Step::Drain(_) => self.book.drain(id),
                        _ => {
                            self.connections.remove(&id);
                            self.settling.retain(|settling| *settling != id);
                            self.book.closed(id, &mut effects);
                        }
                    }
                }
            }
            Step::Advance(seconds) => self.now += Duration::from_secs(seconds),
            Step::Sweep => self.book.sweep(self.now, &mut effects),
            Step::Warm => self.book.warm(&mut effects),
        }
        self.perform(effects);
    }

    fn check(&self) {
        let counts = self.book.counts();
        let limits = &self.book.limits;
        assert_eq!(counts.dialing, self.dials, "dials that the book counts are those under way");
        assert_eq!(counts.open, self.connections.len());
        assert_eq!(counts.waiting, self.waiting.len());
        assert!(counts.open + counts.dialing <= limits.max_connections);
        assert!(counts.waiting <= limits.max_waiting);
        let streams = self.streams.iter().filter(|id| self.connections.contains_key(id)).count();
        assert_eq!(counts.streams, streams);
        if counts.waiting > 0 {
            let full = counts.open + counts.dialing == limits.max_connections;
            assert!(counts.dialing > 0 || full || self.book.imminent() > 0, "nobody waits for nothing");
            assert!(self.book.idle.is_empty() || self.uses_new, "nobody waits beside an idle connection");
        }
    }
}

proptest! {
    #[test]
    fn no_history_breaks_the_counts(
        protocol in prop_oneof![Just(Protocol::Unknown), Just(Protocol::Exclusive), Just(Protocol::Shared)],
        max_connections in 1..5usize,
        max_idle in 0..3usize,
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let limits = Limits {
            max_connections,
            max_idle,
            max_waiting: 6,
            max_streams: 3,
            idle_timeout: Duration::from_secs(60),
        };
        let mut world = World {
            book: TestBook::new(limits, protocol),
            now: Instant::now(),
            next: 0,
            dials: 0,
            connections: HashMap::new(),
            exclusive: Vec::new(),
            settling: Vec::new(),
            streams: Vec::new(),
            inside: HashSet::new(),
            waiting: Vec::new(),
            uses_new: false,
        };
        for step in &steps {
            world.take(step);
            world.check();
        }
        // Everything ends: everybody gives up, every dial fails, every connection closes.
        while !world.waiting.is_empty() {
            world.take(&Step::Cancel(0));
        }
        while world.dials > 0 {
            world.take(&Step::DialFailed);
        }
        while !world.connections.is_empty() {
            world.take(&Step::Die(0));
        }
        world.check();
        prop_assert!(world.book.is_quiet());
        prop_assert_eq!(world.book.counts(), Counts::default());
    }
}
