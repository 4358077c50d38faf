//! The requests that are open in a run.
//!
//! Owns their places. A place is used again with another round number, so that an event of a closed request finds nothing.

use crate::simulate::provider::Course;
use smallvec::SmallVec;
use trunkline_model::failure::Failure;
use trunkline_model::moment::Moment;
use trunkline_model::money::Cost;
use trunkline_model::record::AttemptKind;
use trunkline_route::drive::{Attempt, AttemptNumber, Commit, Drive};
use trunkline_route::fleet::DeploymentIndex;
use trunkline_route::health::Call;
use trunkline_route::hedge::HedgeReservation;

/// Names an open request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CaseKey {
    place: u32,
    round: u32,
}

/// An open request.
pub(super) struct Case {
    pub(super) drive: Drive,
    /// Counts requests from 0.
    pub(super) number: u64,
    /// Which of the traffic's requests it is.
    pub(super) request: usize,
    pub(super) arrived: Moment,
    pub(super) first_token: Option<Moment>,
    pub(super) commit: Commit,
    pub(super) running: SmallVec<[Running; 2]>,
    pub(super) hedge: Option<HedgeReservation>,
    pub(super) costs: SmallVec<[Cost; 2]>,
}

/// A call under way.
pub(super) struct Running {
    pub(super) number: AttemptNumber,
    pub(super) deployment: DeploymentIndex,
    pub(super) kind: AttemptKind,
    pub(super) call: Call,
    /// No first token after this moment is waited for.
    pub(super) limit: Moment,
    /// There is an event for that moment.
    pub(super) watched: bool,
    /// Its first token came.
    pub(super) answered: bool,
    pub(super) in_slot: bool,
    pub(super) course: Option<Course>,
    /// How it will end, if not well.
    pub(super) failure: Option<Failure>,
}

impl Case {
    pub(super) fn new(drive: Drive, number: u64, request: usize, arrived: Moment) -> Self {
        Self {
            drive,
            number,
            request,
            arrived,
            first_token: None,
            commit: Commit::Before,
            running: SmallVec::new(),
            hedge: None,
            costs: SmallVec::new(),
        }
    }
}

impl Running {
    pub(super) const fn new(attempt: &Attempt, call: Call, limit: Moment) -> Self {
        Self {
            number: attempt.number,
            deployment: attempt.leg.deployment.index(),
            kind: attempt.kind,
            call,
            limit,
            watched: false,
            answered: false,
            in_slot: false,
            course: None,
            failure: None,
        }
    }
}

/// All open requests.
#[derive(Default)]
pub(super) struct Cases {
    places: Vec<(u32, Option<Case>)>,
    free: Vec<u32>,
}

impl Cases {
    pub(super) fn add(&mut self, case: Case) -> CaseKey {
        if let Some(place) = self.free.pop() {
            let (round, slot) = &mut self.places[place as usize];
            *slot = Some(case);
            return CaseKey { place, round: *round };
        }
        let place = u32::try_from(self.places.len()).expect("memory ends before 2^32 open requests");
        self.places.push((0, Some(case)));
        CaseKey { place, round: 0 }
    }

    pub(super) fn find(&mut self, key: CaseKey) -> Option<&mut Case> {
        let (round, case) = self.places.get_mut(key.place as usize)?;
        if *round == key.round { case.as_mut() } else { None }
    }

    /// A request and the place of one of its calls.
    pub(super) fn running(&mut self, key: CaseKey, number: AttemptNumber) -> Option<(&mut Case, usize)> {
        let case = self.find(key)?;
        let place = case.running.iter().position(|running| running.number == number)?;
        Some((case, place))
    }

    pub(super) fn remove(&mut self, key: CaseKey) -> Option<Case> {
        let (round, slot) = self.places.get_mut(key.place as usize)?;
        if *round != key.round {
            return None;
        }
        let case = slot.take()?;
        *round = round.wrapping_add(1);
        self.free.push(key.place);
        Some(case)
    }

    pub(super) fn open(&self) -> u64 {
        (self.places.len() - self.free.len()) as u64
    }
}
