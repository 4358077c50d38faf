//! How long an answer is waited for, and how long it is kept.
//!
//! Owns the reading of `timeout` and `keep`, which encoders and classifiers have in common. Must not know who answers.

use crate::compile::Compiler;
use crate::scalar;
use std::time::Duration;

/// The longest wait: the client waits too.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an answer is kept when the settings do not say.
const KEEP: Duration = Duration::from_secs(3_600);

/// How long somebody is waited for and his answer kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) timeout: Duration,
    pub(super) keep: Duration,
}

/// Reads both below a path; the timeout is `usual` when the settings do not say. Nothing where one is wrong, which is reported.
pub(super) fn waiting(
    path: [&str; 2],
    (timeout, keep): (Option<&String>, Option<&String>),
    usual: Duration,
    compiler: &mut Compiler<'_>,
) -> Option<Waiting> {
    let below = |field| [path[0], path[1], field];
    let timeout = match timeout {
        None => usual,
        written => compiler.read(&below("timeout"), written, |text| {
            let timeout = scalar::duration(text)?;
            if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
                return Err(format!("`{text}` is not from 1 millisecond to 60 seconds"));
            }
            Ok(timeout)
        })?,
    };
    let keep = match keep {
        None => KEEP,
        written => compiler.read(&below("keep"), written, scalar::duration)?,
    };
    Some(Waiting { timeout, keep })
}
