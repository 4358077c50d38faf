//! The files that the process may open.
//!
//! Owns the one system limit that a server outgrows first. Shells start processes with room for 1,024 files, while the system
//! allows far more to those that ask; every client and every call takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many as are asked for where the system names no limit: some refuse to be asked for more.
const ENOUGH: u64 = 1 << 20;
/// What every system grants that names no limit.
const CERTAIN: u64 = 10_240;

/// Takes as many as the system allows, and returns their number.
pub(crate) fn take_all() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let now = limit.current.unwrap_or(u64::MAX);
    for wanted in [limit.maximum.unwrap_or(ENOUGH), CERTAIN] {
        let asked = Rlimit { current: Some(wanted), maximum: limit.maximum };
        if wanted > now && setrlimit(Resource::Nofile, asked).is_ok() {
            return wanted;
        }
    }
    now
}
