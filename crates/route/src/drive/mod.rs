//! The attempt machine: what to do next with a request, given how its attempts ended.
//!
//! Owns the reactions to every class of failure, the one attempt budget and the one deadline of a request, waits, hedges and
//! continuations. Must not know what a request or an answer looks like, nor perform anything: the gateway asks `next`, does
//! it, and reports. Streamed or not makes no difference; only the report says whether the client has seen a first byte.
//!
//! Mechanism. `next` looks at the deployments the plan lists for the situation (the list depends on the last failure: after
//! 429 `on_rate_limit`, after a prompt too long `on_context_length`, after a refusal `on_content_filter`, otherwise `legs`)
//! and takes the least bad: open and untried first, then a half-open probe, a full one, one that already failed in this
//! request, one whose breaker is open, and last one whose credentials were rejected. Waiting counts as badness too, so a
//! short Retry-After beats a broken deployment and a long one does not. When every breaker is open the least bad is tried
//! all the same: refusing would be certain failure.
//!
//! What bounds it: upstream calls (`Plan::attempts`, hedges and continuations included), the deadline, the fleet's retry
//! budget for failures that smell of trouble upstream, the number of waits, and the fact that a deployment that refused
//! locally or could not express the request is not asked again.
//!
//! Special cases. When the ordinary deployments are rate limited already, as other requests found out, the list for rate limits
//! applies from the first attempt on. A rejected credential bars, for this request, every deployment whose credentials are known to be out. A
//! used-up quota bars its deployment. A failure after the commit point ends the request, except for one continuation where
//! the plan allows it. An attempt that fails while another still runs waits for that one. The client is told the most
//! telling failure, not the last: what it can act on first, then what a provider went through,
//! then limits (with the earliest Retry-After of them all), then what nobody answered or only the operator can mend.

mod attempt;
mod choice;
mod machine;
mod reaction;
mod verdict;

pub use attempt::{Attempt, AttemptNumber, Commit, Losers, Next};
pub use machine::{Drive, DrivePolicy};
pub use reaction::{Again, Elsewhere, Reaction, reaction};
pub use verdict::{Verdict, Why};

#[cfg(test)]
mod tests;
