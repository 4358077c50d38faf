//! Which processor each process of the benchmark runs on, and how many files it may open.
//!
//! Owns the calls that bind the calling thread to one core and raise its limit of open files; both are inherited by
//! child processes, which is how programs that know nothing of the benchmark are pinned. On a machine with one core,
//! or where the calls are refused, everything shares what there is and the report says so.

#![expect(
    unsafe_code,
    reason = "the standard library has no calls for processor affinity and resource limits"
)]

use std::mem;

use anyhow::ensure;

/// The cores that the parts of the benchmark use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cores {
    /// For the process under test, alone.
    pub(super) tested: usize,
    /// For the upstream.
    pub(super) upstream: usize,
    /// For the load generator: the upstream's core on a machine with two.
    pub(super) load: usize,
}

impl Cores {
    /// Spreads the parts over the cores this process may use.
    pub(super) fn assign(available: &[usize]) -> Option<Self> {
        match *available {
            [] | [_] => None,
            [tested, other] => Some(Self { tested, upstream: other, load: other }),
            [tested, upstream, load, ..] => Some(Self { tested, upstream, load }),
        }
    }
}

/// The cores this process may run on, in order.
pub(super) fn available() -> Vec<usize> {
    // SAFETY: a zeroed `cpu_set_t` is an empty set, and the size passed is that of the set behind the pointer.
    let (set, result) = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        let result = libc::sched_getaffinity(0, mem::size_of::<libc::cpu_set_t>(), &raw mut set);
        (set, result)
    };
    if result != 0 {
        return Vec::new();
    }
    let limit = usize::try_from(libc::CPU_SETSIZE).unwrap_or(0);
    // SAFETY: `core` is below the size of the set.
    (0..limit).filter(|core| unsafe { libc::CPU_ISSET(*core, &set) }).collect()
}

/// Binds the calling thread, and every process it starts from now on, to `cores`.
///
/// # Errors
/// When the system refuses.
pub(super) fn pin(cores: &[usize]) -> anyhow::Result<()> {
    // SAFETY: a zeroed `cpu_set_t` is an empty set, each core is below the size of the set (they come from `available`),
    // and the size passed is that of the set behind the pointer.
    let result = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        for core in cores {
            libc::CPU_SET(*core, &mut set);
        }
        libc::sched_setaffinity(0, mem::size_of::<libc::cpu_set_t>(), &raw const set)
    };
    ensure!(result == 0, "failed to bind to cores {cores:?}: {}", std::io::Error::last_os_error());
    Ok(())
}

/// Lets the calling thread run only when nobody else wants its core.
///
/// # Errors
/// When the system refuses.
pub(super) fn yield_to_everybody() -> anyhow::Result<()> {
    // SAFETY: the call reads one `sched_param`, which lives on this stack frame; zero is the only priority that this policy has.
    let result = unsafe {
        let parameters: libc::sched_param = mem::zeroed();
        libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters)
    };
    ensure!(result == 0, "failed to ask for the lowest priority: {}", std::io::Error::last_os_error());
    Ok(())
}

/// Raises the number of files this process and its children may open to the most that is allowed. Returns that number.
pub(super) fn raise_open_files() -> u64 {
    // SAFETY: the calls read and write one `rlimit`, which lives on this stack frame.
    unsafe {
        let mut limit: libc::rlimit = mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return 0;
        }
        let wanted = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wanted) == 0 {
            wanted.rlim_cur
        } else {
            limit.rlim_cur
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tested_process_has_a_core_to_itself() {
        assert_eq!(Cores::assign(&[3]), None);
        assert_eq!(Cores::assign(&[0, 1]), Some(Cores { tested: 0, upstream: 1, load: 1 }));
        assert_eq!(Cores::assign(&[2, 4, 6, 8]), Some(Cores { tested: 2, upstream: 4, load: 6 }));
    }

    #[test]
    fn a_thread_can_be_bound_to_one_of_its_cores() {
        let cores = available();
        assert!(!cores.is_empty());
        std::thread::spawn(move || {
            pin(&cores[..1]).unwrap();
            assert_eq!(available(), &cores[..1]);
        })
        .join()
        .unwrap();
    }
}
