//! Asking a process to end.
//!
//! Owns the one signal the benchmark sends. A server that ends by itself writes what it keeps until then: its log, and, in a
//! build that counts how often its code runs, the counts.

#![expect(unsafe_code, reason = "the standard library can only kill")]

/// Asks the process to end as an operator would; false where it cannot be asked.
pub(super) fn ask(pid: u32) -> bool {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return false };
    // SAFETY: takes two numbers and touches no memory of this process.
    pid > 0 && unsafe { libc::kill(pid, libc::SIGTERM) } == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    #[test]
    fn a_process_ends_when_it_is_asked_to() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(ask(child.id()));
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
        assert!(!ask(0) && !ask(u32::MAX));
    }
}
