//! How much the process has room for: what the files it may open are shared out to.
//!
//! Owns the shares. Must not ask the system: the number of files is an argument. A connection of a client and the call made for
//! it take a file each. Without bounds clients can take them all, and then every call fails as if providers could not be
//! reached, and the breakers of healthy deployments open.

use std::sync::atomic::{AtomicU32, Ordering};

/// Files that are neither a client's connection nor a call: databases, journals, the configuration, the listener.
const SET_ASIDE: u64 = 64;
/// The least of each, whatever the system says.
const LEAST: u32 = 16;

/// Bounds by the files that the process may open.
#[derive(Debug)]
pub(crate) struct Room {
    most: AtomicU32,
}

impl Default for Room {
    /// No bounds.
    fn default() -> Self {
        Self { most: AtomicU32::new(u32::MAX) }
    }
}

impl Room {
    /// Shares out this many files.
    pub(crate) fn share_out(&self, files: u64) {
        self.most.store(share(files), Ordering::Relaxed);
    }

    /// Most connections of clients, and most requests being served.
    pub(crate) fn most(&self) -> u32 {
        self.most.load(Ordering::Relaxed)
    }
}

/// Two fifths each for connections of clients and for their calls; what is left is for second attempts, idle connections to
/// providers, and work in the background.
fn share(files: u64) -> u32 {
    let share = u128::from(files.saturating_sub(SET_ASIDE)) * 2 / 5;
    u32::try_from(share).unwrap_or(u32::MAX).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn clients_and_calls_leave_files_for_the_rest() {
        let shares = [0, 64, 256, 1_024, 20_000, 1 << 20, u64::MAX].map(share);
        assert_eq!(shares, [16, 16, 76, 384, 7_974, 419_404, u32::MAX]);
    }

    #[test]
    fn without_a_number_nothing_is_bounded() {
        let room = Room::default();
        assert_eq!(room.most(), u32::MAX);
        room.share_out(1_024);
        assert_eq!(room.most(), 384);
    }

    proptest! {
        #[test]
        fn both_together_stay_within_the_files(files in 128_u64..10_000_000) {
            prop_assert!(2 * u64::from(share(files)) + SET_ASIDE <= files + SET_ASIDE);
        }
    }
}
