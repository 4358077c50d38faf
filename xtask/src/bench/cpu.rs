//! What the operating system says a process has used: processor time and memory.
//!
//! Owns the reading of another process's CPU clock (nanoseconds, all threads, those that ended included) and of its
//! resident memory. It must not know what the process is. Time is taken from a quiet process to a quiet process, so
//! that work put off to a background writer is counted with the requests that caused it.

#![expect(unsafe_code, reason = "the standard library cannot read another process's CPU clock")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// How often a process is looked at while waiting for it to fall quiet.
const GLANCE: Duration = Duration::from_millis(60);
/// Processor time per glance below which a process counts as quiet.
const QUIET: Duration = Duration::from_micros(600);
/// Quiet glances in a row that are enough.
const GLANCES: u32 = 2;
/// The longest wait for quiet; a process that is never quiet is measured as it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Processor time that process `pid` has used so far, in user and kernel mode, over all its threads.
///
/// # Errors
/// When there is no such process.
pub(super) fn time(pid: u32) -> anyhow::Result<Duration> {
    let pid = libc::pid_t::try_from(pid).context("failed to read a process identifier")?;
    let mut clock: libc::clockid_t = 0;
    let mut value = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both calls write one value each, which live on this stack frame.
    let result = unsafe {
        match libc::clock_getcpuclockid(pid, &raw mut clock) {
            0 => libc::clock_gettime(clock, &raw mut value),
            error => error,
        }
    };
    ensure!(result == 0, "failed to read the CPU clock of process {pid}: it is gone");
    Ok(Duration::new(u64::try_from(value.tv_sec).unwrap_or(0), u32::try_from(value.tv_nsec).unwrap_or(0)))
}

/// Waits until the process does next to nothing and returns its processor time then.
///
/// # Errors
/// When there is no such process.
pub(super) fn time_when_quiet(pid: u32) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let mut before = time(pid)?;
    let mut quiet = 0;
    while quiet < GLANCES && start.elapsed() < PATIENCE {
        std::thread::sleep(GLANCE);
        let now = time(pid)?;
        quiet = if now.saturating_sub(before) < QUIET { quiet + 1 } else { 0 };
        before = now;
    }
    Ok(before)
}

/// Processor time of each living thread of process `pid`, in nanoseconds, added up by the thread's name.
///
/// # Errors
/// When there is no such process.
pub(super) fn threads(pid: u32) -> anyhow::Result<BTreeMap<String, u64>> {
    let folder = format!("/proc/{pid}/task");
    let mut threads = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("failed to read {folder}"))? {
        let thread = entry.with_context(|| format!("failed to read {folder}"))?.path();
        // A thread that ended since the folder was read has nothing to say.
        let read = |name: &str| std::fs::read_to_string(thread.join(name)).unwrap_or_default();
        let used = read("schedstat").split(' ').next().and_then(|first| first.parse::<u64>().ok());
        *threads.entry(read("comm").trim().to_owned()).or_default() += used.unwrap_or(0);
    }
    Ok(threads)
}

/// Resident memory of process `pid`, in bytes.
///
/// # Errors
/// When there is no such process or the system does not say.
pub(super) fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    size_in(&status, "VmRSS:").with_context(|| format!("failed to find VmRSS in {path}"))
}

/// The most resident memory that process `pid` has had since its peak was forgotten, in bytes.
///
/// # Errors
/// When there is no such process or the system does not say.
pub(super) fn peak_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    size_in(&status, "VmHWM:").with_context(|| format!("failed to find VmHWM in {path}"))
}

/// Sets the peak of process `pid` to what it has now.
///
/// # Errors
/// When there is no such process or it is somebody else's.
pub(super) fn forget_peak(pid: u32) -> anyhow::Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    // See proc_pid_clear_refs(5): 5 resets the high-water mark and touches nothing else.
    std::fs::write(&path, "5").with_context(|| format!("failed to write {path}"))
}

fn size_in(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_time_when_it_works() {
        let before = time(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while time(std::process::id()).unwrap() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(time(std::process::id()).unwrap() > before);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        // Above the largest identifier that Linux gives.
        assert!(time(100_000_000).is_err());
    }

    #[test]
    fn threads_are_told_apart_by_their_names() {
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("counted".to_owned());
        let handle = thread.spawn(move || wait.recv().is_err()).unwrap();
        let known = || threads(std::process::id()).unwrap().contains_key("counted");
        // The name is set by the new thread itself, a moment after it was started.
        while !known() {
            std::thread::yield_now();
        }
        drop(end);
        assert!(handle.join().unwrap());
    }

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t   2000 kB\nVmRSS:\t   1234 kB\nThreads:\t1\n";
        assert_eq!(size_in(status, "VmRSS:"), Some(1234 * 1024));
        assert_eq!(size_in(status, "VmHWM:"), Some(2000 * 1024));
        assert_eq!(size_in("Name:\tx\n", "VmRSS:"), None);
        let own = std::process::id();
        assert!(resident_bytes(own).unwrap() > 100_000);
        forget_peak(own).unwrap();
        let before = peak_bytes(own).unwrap();
        let block = std::hint::black_box(vec![1_u8; 50_000_000]);
        assert!(peak_bytes(own).unwrap() >= before + 40_000_000, "{}", block.len());
    }
}
