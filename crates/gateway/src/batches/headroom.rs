//! Whether a line may be sent now, or leaves the room to live requests.
//!
//! Owns the rule, and nothing that changes: figures in, a wait out. The deployments that would serve a line are those of the first
//! tier of its route that takes requests at all; one of them must have more of its limits left than live requests are promised.
//! What counts as left is what the provider's headers say and the deployment's own limits, whichever is less.

use std::time::Duration;
use trunkline_model::moment::Moment;
use trunkline_route::view::{Availability, View};

/// How long a line waits for room that comes back at a time nobody knows.
const UNKNOWN: Duration = Duration::from_secs(1);
/// The longest wait before it is looked again.
const LONGEST: Duration = Duration::from_secs(60);

/// How long a line has to wait, by its route's tiers; `None` when it may be sent.
pub(super) fn wait<T>(
    tiers: impl Iterator<Item = T>,
    view: impl Fn(T::Item) -> View,
    share: f64,
    now: Moment,
) -> Option<Duration>
where
    T: IntoIterator,
{
    let mut soonest: Option<Duration> = None;
    let mut is_hopeless = true;
    for tier in tiers {
        let mut is_served = false;
        for view in tier.into_iter().map(&view) {
            match view.availability {
                Availability::Open | Availability::Broken { probe: true, .. } => {
                    is_served = true;
                    if f64::from(view.headroom) >= share {
                        return None;
                    }
                    soonest = Some(soonest.map_or(UNKNOWN, |wait| wait.min(UNKNOWN)));
                }
                Availability::Full => soonest = Some(soonest.map_or(UNKNOWN, |wait| wait.min(UNKNOWN))),
                Availability::RateLimited { until } | Availability::Broken { until, probe: false } => {
                    let wait = until.since(now);
                    soonest = Some(soonest.map_or(wait, |soonest| soonest.min(wait)));
                }
                // No wait helps; the request is told why.
                Availability::CredentialsOut { .. } | Availability::QuotaExhausted { .. } => continue,
            }
            is_hopeless = false;
        }
        if is_served {
            break;
        }
    }
    if is_hopeless {
        return None;
    }
    soonest.map(|wait| wait.clamp(Duration::from_millis(100), LONGEST))
}

/// Whether live requests leave a place for a line among the requests that may be open at the same time.
pub(super) fn has_place(open: u32, most: u32, share: f64) -> bool {
    f64::from(open) < f64::from(most) * (1.0 - share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Moment = Moment::from_micros(1_000_000);

    fn open(headroom: f32) -> View {
        View { headroom, ..View::FRESH }
    }

    fn out(seconds: u64) -> View {
        let until = NOW + Duration::from_secs(seconds);
        View { availability: Availability::RateLimited { until }, ..View::FRESH }
    }

    fn asked(tiers: &[Vec<View>]) -> Option<Duration> {
        wait(tiers.iter().map(|tier| tier.iter().copied()), |view| view, 0.2, NOW)
    }

    #[test]
    fn a_line_goes_where_there_is_room_and_waits_where_there_is_none() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(asked(&[vec![open(1.0)]]), None);
        assert_eq!(asked(&[vec![open(0.1), open(0.2)]]), None, "one of them is enough");
        assert_eq!(asked(&[vec![open(0.1)], vec![open(1.0)]]), seconds(1), "the first tier would be asked");
        assert_eq!(asked(&[vec![out(7)], vec![open(1.0)]]), None, "the first tier takes nothing");
        assert_eq!(asked(&[vec![out(7), out(3)]]), seconds(3), "the provider's own time counts");
        assert_eq!(asked(&[vec![out(7_000)]]), seconds(60));
        let full = View { availability: Availability::Full, ..View::FRESH };
        assert_eq!(asked(&[vec![full]]), seconds(1));
        let until = NOW + Duration::from_secs(9);
        let rejected = View { availability: Availability::CredentialsOut { until }, ..View::FRESH };
        assert_eq!(asked(&[vec![rejected]]), None, "no wait helps");
    }

    proptest! {
        #[test]
        fn more_room_never_means_a_wait(rooms in proptest::collection::vec(0.0_f32..1.0, 1..6)) {
            let views: Vec<View> = rooms.iter().map(|room| open(*room)).collect();
            let waits = asked(&[views]).is_some();
            prop_assert_eq!(waits, rooms.iter().all(|room| *room < 0.2));
        }
    }

    #[test]
    fn live_requests_keep_their_places() {
        assert!(has_place(79, 100, 0.2) && !has_place(80, 100, 0.2));
        assert!(!has_place(1, 1, 0.5));
    }
}
