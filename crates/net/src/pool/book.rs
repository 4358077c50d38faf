//! The bookkeeping of one origin's connections: who may use which, who waits, when to dial, what to close.
//!
//! Owns every decision of the pool and nothing else: no socket, no clock, no lock, no task. Each call takes the time
//! and answers with a grant or with effects that the shell around it carries out after it has let go of its lock.
//!
//! Why it is apart: the mistakes of connection pools (a waiter nobody serves, a slot counted twice, a burst of dials
//! where one would do) are mistakes of counting, and counting can be tested over thousands of random histories.
//!
//! Two kinds of connection live here. An *exclusive* one (HTTP/1.1) carries one request and is handed out whole. A
//! *shared* one (HTTP/2) carries up to its cap of streams and is handed out as a clone.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

/// How long a connection that has delivered its response may take to become ready for the next request.
///
/// It is ready within the same poll in nearly every case; what remains is a server that answered before it had read
/// the whole request and then never reads the rest.
pub(crate) const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// The bounds of one origin's pool.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) max_connections: usize,
    pub(crate) max_idle: usize,
    pub(crate) max_waiting: usize,
    /// Our own cap of streams on one shared connection; the peer's may be lower.
    pub(crate) max_streams: usize,
    pub(crate) idle_timeout: Duration,
}

/// Names one connection for its whole life; never reused for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ConnectionId {
    index: u32,
    generation: u32,
}

/// Names one waiting request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WaiterId(u64);

/// What is known of the protocol that the origin speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Only the TLS handshake will tell: one dial at a time until then, so that a burst cannot open a hundred
    /// connections where one shared connection would have carried it.
    Unknown,
    Exclusive,
    Shared,
}

/// Whether an idle connection will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    Any,
    /// After an idle connection proved dead: not another idle one, which is likely as dead.
    New,
}

/// The right to send one request on a connection.
#[derive(Debug)]
pub(crate) enum Grant<E, S> {
    Exclusive(ConnectionId, E),
    Shared(ConnectionId, S),
}

/// The answer to [`Book::acquire`].
#[derive(Debug)]
pub(crate) enum Acquired<E, S> {
    Granted(Grant<E, S>),
    /// A grant or a failure will come as an effect.
    Waiting(WaiterId),
    /// Too many wait already.
    Refused,
}

/// Something the shell must do, outside its lock.
#[derive(Debug)]
pub(crate) enum Effect<E, S, W> {
    Grant(W, Grant<E, S>),
    /// The dial that this waiter counted on has failed.
    Fail(W),
    /// Start a dial; it ends in [`Book::opening`] or [`Book::dial_failed`].
    Dial,
    /// Close this connection; its end is reported by [`Book::closed`] as any other.
    Close(E),
}

pub(crate) type Effects<E, S, W> = SmallVec<[Effect<E, S, W>; 2]>;

/// Counts for a reader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) open: usize,
    pub(crate) idle: usize,
    pub(crate) streams: usize,
    pub(crate) dialing: usize,
    pub(crate) waiting: usize,
}

/// The connections of one origin. `E` is an exclusive connection's handle, `S` a shared one's, `W` a waiting request.
#[derive(Debug)]
pub(crate) struct Book<E, S, W> {
    limits: Limits,
    protocol: Protocol,
    slots: Vec<Slot<E, S>>,
    vacant: Vec<u32>,
    /// Idle exclusive connections, the most recently used last; hence ordered by the time they became idle.
    idle: Vec<u32>,
    /// Exclusive connections that are not yet ready again.
    settling: Vec<u32>,
    /// Shared connections that take new streams, in the order they were opened.
    shared: Vec<u32>,
    waiting: VecDeque<(WaiterId, W)>,
    next_waiter: u64,
    /// Dials under way.
    dials: usize,
    /// Dials that have an id but are not yet published.
    opening: usize,
}

#[derive(Debug)]
struct Slot<E, S> {
    generation: u32,
    state: State<E, S>,
}

/// Whether a settling connection is worth waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// Nobody has looked at it since: it is ready within microseconds in all likelihood.
    Imminent,
    /// A look has found it busy: it may stay so.
    Lost,
}

/// What a look at a settling connection found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Busy,
    /// No longer settling.
    Settled,
}

#[derive(Debug)]
enum State<E, S> {
    Vacant,
    Opening,
    /// In somebody's hands, or on its way to being closed.
    Taken,
    Settling {
        since: Instant,
        handle: E,
        patience: Patience,
    },
    Idle {
        since: Instant,
        handle: E,
    },
    Shared {
        handle: S,
        streams: usize,
        cap: usize,
        idle_since: Instant,
    },
    /// A shared connection that takes no new streams; it ends when its last stream does.
    Draining {
        streams: usize,
    },
}

impl<E, S: Clone, W> Book<E, S, W> {
    pub(crate) fn new(limits: Limits, protocol: Protocol) -> Self {
        Self {
            limits,
            protocol,
            slots: Vec::new(),
            vacant: Vec::new(),
            idle: Vec::new(),
            settling: Vec::new(),
            shared: Vec::new(),
            waiting: VecDeque::new(),
            next_waiter: 0,
            dials: 0,
            opening: 0,
        }
    }

    /// Grants a connection at once, or queues the waiter that `waiter` makes.
    pub(crate) fn acquire(
        &mut self,
        now: Instant,
        freshness: Freshness,
        waiter: impl FnOnce() -> W,
        effects: &mut Effects<E, S, W>,
    ) -> Acquired<E, S> {
        if let Some(grant) = self.take_stream() {
            return Acquired::Granted(grant);
        }
        match freshness {
            Freshness::Any => {
                if let Some(grant) = self.take_idle(now, effects) {
                    return Acquired::Granted(grant);
                }
            }
            Freshness::New => {
                if self.room() == 0 && !self.idle.is_empty() {
                    let index = self.idle.remove(0);
                    self.close_idle(index, effects);
                }
            }
        }
        if self.waiting.len() >= self.limits.max_waiting {
            return Acquired::Refused;
        }
        let id = WaiterId(self.next_waiter);
        self.next_waiter += 1;
        self.waiting.push_back((id, waiter()));
        self.dial_as_needed(effects);
        Acquired::Waiting(id)
    }

    /// Forgets a waiter that gave up. True when it was still waiting.
    pub(crate) fn cancel(&mut self, id: WaiterId) -> bool {
        // Ids are handed out in order and the queue keeps that order.
        match self.waiting.binary_search_by_key(&id, |entry| entry.0) {
            Ok(position) => self.waiting.remove(position).is_some(),
            Err(_) => false,
        }
    }

    /// Asks for a dial when there is neither a connection nor a dial.
    pub(crate) fn warm(&mut self, effects: &mut Effects<E, S, W>) {
        if self.open() + self.dials == 0 {
            self.dials += 1;
            effects.push(Effect::Dial);
        }
    }

    /// A dial has succeeded: gives its connection an id, to be followed by a `publish`.
    pub(crate) fn opening(&mut self, protocol: Protocol) -> ConnectionId {
        self.protocol = protocol;
        self.dials = self.dials.saturating_sub(1);
        self.opening += 1;
        let index = match self.vacant.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot { generation: 0, state: State::Vacant });
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let slot = &mut self.slots[index as usize];
        slot.state = State::Opening;
        ConnectionId { index, generation: slot.generation }
    }

    /// Puts a freshly dialed exclusive connection to use.
    pub(crate) fn publish_exclusive(
        &mut self,
        id: ConnectionId,
        handle: E,
        now: Instant,
        effects: &mut Effects<E, S, W>,
    ) {
        match self.state(id) {
            Some(state @ State::Opening) => *state = State::Taken,
            _ => return effects.push(Effect::Close(handle)),
        }
        self.opening -= 1;
        self.release_exclusive(id, handle, now, effects);
        self.dial_as_needed(effects);
    }

    /// Puts a freshly dialed shared connection to use.
    pub(crate) fn publish_shared(
        &mut self,
        id: ConnectionId,
        handle: S,
        now: Instant,
        effects: &mut Effects<E, S, W>,
    ) {
        let cap = self.limits.max_streams;
        match self.state(id) {
            Some(state @ State::Opening) => {
                *state = State::Shared { handle, streams: 0, cap, idle_since: now };
            }
            _ => return,
        }
        self.opening -= 1;
        self.shared.push(id.index);
        self.serve_streams(effects);
        self.dial_as_needed(effects);
    }

    /// A dial has failed: those who counted on it are told.
    pub(crate) fn dial_failed(&mut self, effects: &mut Effects<E, S, W>) {
        self.dials = self.dials.saturating_sub(1);
        let covered = match self.protocol {
            Protocol::Unknown => self.waiting.len(),
            Protocol::Exclusive => 1,
            Protocol::Shared => self.limits.max_streams,
        };
        for (_, waiter) in self.waiting.drain(..covered.min(self.waiting.len())) {
            effects.push(Effect::Fail(waiter));
        }
        self.dial_as_needed(effects);
    }

    /// An exclusive connection is ready for its next request: to the first waiter, or idle.
    pub(crate) fn release_exclusive(
        &mut self,
        id: ConnectionId,
        handle: E,
        now: Instant,
        effects: &mut Effects<E, S, W>,
    ) {
        if !matches!(self.state(id), Some(State::Taken)) {
            return effects.push(Effect::Close(handle));
        }
        if let Some((_, waiter)) = self.waiting.pop_front() {
            return effects.push(Effect::Grant(waiter, Grant::Exclusive(id, handle)));
        }
        if self.limits.max_idle == 0 {
            return effects.push(Effect::Close(handle));
        }
        if self.idle.len() >= self.limits.max_idle {
            let oldest = self.idle.remove(0);
            self.close_idle(oldest, effects);
        }
        self.slots[id.index as usize].state = State::Idle { since: now, handle };
        self.idle.push(id.index);
    }

    /// An exclusive connection has delivered its response but cannot take the next request yet.
    pub(crate) fn settle(
        &mut self,
        id: ConnectionId,
        handle: E,
        now: Instant,
        effects: &mut Effects<E, S, W>,
    ) {
        match self.state(id) {
            Some(state @ State::Taken) => {
                *state = State::Settling { since: now, handle, patience: Patience::Imminent };
                self.settling.push(id.index);
            }
            _ => effects.push(Effect::Close(handle)),
        }
    }

    /// Releases a settling connection if `ready` says so; otherwise whoever waited for it gets a dial.
    pub(crate) fn look(
        &mut self,
        id: ConnectionId,
        ready: impl FnOnce(&E) -> bool,
        now: Instant,
        effects: &mut Effects<E, S, W>,
    ) -> Look {
        match self.state(id) {
            Some(State::Settling { handle, patience, .. }) if !ready(handle) => {
                *patience = Patience::Lost;
                self.dial_as_needed(effects);
                return Look::Busy;
            }
            Some(State::Settling { .. }) => {}
            _ => return Look::Settled,
        }
        self.settling.retain(|index| *index != id.index);
        let slot = &mut self.slots[id.index as usize];
        if let State::Settling { handle, .. } = std::mem::replace(&mut slot.state, State::Taken) {
            self.release_exclusive(id, handle, now, effects);
        }
        Look::Settled
    }

    /// A stream of a shared connection has ended.
    pub(crate) fn release_shared(&mut self, id: ConnectionId, now: Instant, effects: &mut Effects<E, S, W>) {
        match self.state(id) {
            Some(State::Shared { streams, idle_since, .. }) => {
                *streams = streams.saturating_sub(1);
                *idle_since = now;
            }
            Some(State::Draining { streams }) => *streams = streams.saturating_sub(1),
            _ => return,
        }
        self.serve_streams(effects);
    }

    /// The peer's limit of concurrent streams, as far as it is known.
    pub(crate) fn limit_streams(&mut self, id: ConnectionId, peer: usize, effects: &mut Effects<E, S, W>) {
        let own = self.limits.max_streams;
        if let Some(State::Shared { cap, .. }) = self.state(id) {
            *cap = own.min(peer);
            self.serve_streams(effects);
            self.dial_as_needed(effects);
        }
    }

    /// No new streams on this shared connection: it is closing or has outlived its use.
    pub(crate) fn drain(&mut self, id: ConnectionId) {
        if let Some(state) = self.state(id)
            && let State::Shared { streams, .. } = state
        {
            let streams = *streams;
            *state = State::Draining { streams };
            self.shared.retain(|index| *index != id.index);
        }
    }

    /// The connection has ended, whatever state it was in.
    pub(crate) fn closed(&mut self, id: ConnectionId, effects: &mut Effects<E, S, W>) {
        let Some(state) = self.state(id) else { return };
        match std::mem::replace(state, State::Vacant) {
            State::Vacant => return,
            State::Opening => self.opening -= 1,
            State::Taken | State::Draining { .. } => {}
            State::Settling { .. } => self.settling.retain(|index| *index != id.index),
            State::Idle { .. } => self.idle.retain(|index| *index != id.index),
            State::Shared { .. } => self.shared.retain(|index| *index != id.index),
        }
        let slot = &mut self.slots[id.index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        self.vacant.push(id.index);
        self.dial_as_needed(effects);
    }

    /// Closes what has been idle, or has been settling, for too long.
    pub(crate) fn sweep(&mut self, now: Instant, effects: &mut Effects<E, S, W>) {
        let timeout = self.limits.idle_timeout;
        while let Some(&index) = self.idle.first() {
            match &self.slots[index as usize].state {
                State::Idle { since, .. } if now.saturating_duration_since(*since) < timeout => break,
                _ => {
                    self.idle.remove(0);
                    self.close_idle(index, effects);
                }
            }
        }
        let slots = &mut self.slots;
        self.settling.retain(|index| {
            let state = &mut slots[*index as usize].state;
            if let State::Settling { since, .. } = state
                && now.saturating_duration_since(*since) < SETTLE_LIMIT
            {
                return true;
            }
            if let State::Settling { handle, .. } = std::mem::replace(state, State::Taken) {
                effects.push(Effect::Close(handle));
            }
            false
        });
        self.shared.retain(|index| {
            let state = &mut slots[*index as usize].state;
            let expired = matches!(state, State::Shared { streams: 0, idle_since, .. }
                if now.saturating_duration_since(*idle_since) >= timeout);
            if expired {
                // Dropping the last handle ends the connection.
                *state = State::Draining { streams: 0 };
            }
            !expired
        });
        self.dial_as_needed(effects);
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts {
            open: self.open(),
            idle: self.idle.len(),
            streams: 0,
            dialing: self.dials + self.opening,
            waiting: self.waiting.len(),
        };
        for slot in &self.slots {
            match &slot.state {
                State::Shared { streams, .. } => {
                    counts.streams += streams;
                    counts.idle += usize::from(*streams == 0);
                }
                State::Draining { streams } => counts.streams += streams,
                _ => {}
            }
        }
        counts
    }

    /// Nothing open, nothing under way, nobody waiting.
    pub(crate) fn is_quiet(&self) -> bool {
        self.open() + self.dials + self.waiting.len() == 0
    }

    fn open(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    fn room(&self) -> usize {
        self.limits.max_connections.saturating_sub(self.open() + self.dials)
    }

    fn state(&mut self, id: ConnectionId) -> Option<&mut State<E, S>> {
        let slot = self.slots.get_mut(id.index as usize)?;
        (slot.generation == id.generation).then_some(&mut slot.state)
    }

    /// The oldest shared connection with room: packing them lets the surplus of a burst run idle and close.
    fn take_stream(&mut self) -> Option<Grant<E, S>> {
        for &index in &self.shared {
            let slot = &mut self.slots[index as usize];
            if let State::Shared { handle, streams, cap, .. } = &mut slot.state
                && *streams < *cap
            {
                *streams += 1;
                let id = ConnectionId { index, generation: slot.generation };
                return Some(Grant::Shared(id, handle.clone()));
            }
        }
        None
    }

    fn take_idle(&mut self, now: Instant, effects: &mut Effects<E, S, W>) -> Option<Grant<E, S>> {
        while let Some(index) = self.idle.pop() {
            let slot = &mut self.slots[index as usize];
            let id = ConnectionId { index, generation: slot.generation };
            if let State::Idle { since, handle } = std::mem::replace(&mut slot.state, State::Taken) {
                if now.saturating_duration_since(since) < self.limits.idle_timeout {
                    return Some(Grant::Exclusive(id, handle));
                }
                effects.push(Effect::Close(handle));
            }
        }
        None
    }

    fn close_idle(&mut self, index: u32, effects: &mut Effects<E, S, W>) {
        let slot = &mut self.slots[index as usize];
        if let State::Idle { handle, .. } = std::mem::replace(&mut slot.state, State::Taken) {
            effects.push(Effect::Close(handle));
        }
    }

    fn serve_streams(&mut self, effects: &mut Effects<E, S, W>) {
        while !self.waiting.is_empty() {
            let Some(grant) = self.take_stream() else { return };
            if let Some((_, waiter)) = self.waiting.pop_front() {
                effects.push(Effect::Grant(waiter, grant));
            }
        }
    }

    /// Settling connections that are as good as free.
    fn imminent(&self) -> usize {
        let is_imminent = |index: &&u32| {
            let state = &self.slots[**index as usize].state;
            matches!(state, State::Settling { patience: Patience::Imminent, .. })
        };
        self.settling.iter().filter(is_imminent).count()
    }

    /// As many dials as the waiters need and the bound allows, counting those under way.
    fn dial_as_needed(&mut self, effects: &mut Effects<E, S, W>) {
        let wanted = match self.protocol {
            Protocol::Unknown => self.waiting.len().min(1),
            Protocol::Exclusive => self.waiting.len().saturating_sub(self.imminent()),
            Protocol::Shared => self.waiting.len().div_ceil(self.limits.max_streams.max(1)),
        };
        let missing = wanted.saturating_sub(self.dials + self.opening).min(self.room());
        self.dials += missing;
        for _ in 0..missing {
            effects.push(Effect::Dial);
        }
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
