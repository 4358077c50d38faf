//! Limits per minute and at once, and the reservation seam through which every charge goes.
//!
//! Owns the sliding windows, the limiter of one key or deployment, and the reservation that holds a worst case until the
//! real figure is known. Must not know whose limit it is, nor how a refusal looks to the client.
//!
//! Mechanism. A minute is 60 slots of one second and the running one. A charge is written into the slot of its
//! admission and leaves the window when that whole slot is more than a minute old. That is up to a second stricter than a
//! window that moves by the microsecond, and it buys three exact promises in constant memory:
//!
//! 1. In any interval of 60 seconds, wherever it begins, what was admitted never exceeds the limit. Tokens count at the
//!    moment of admission, as the reserved worst case while the request runs and as what was used from then on; only usage
//!    above the reservation can exceed the limit, and it is then owed: nothing is admitted until the window has room again.
//! 2. Retry-After is true: who waits exactly that long is admitted, unless somebody else came first or a running request
//!    settled above its reservation.
//! 3. A refusal changes nothing: it costs no request and no token.
//!
//! A request whose worst case alone exceeds the limit can never be admitted; it is refused without a Retry-After, because
//! every waiting time would be a lie. So is one above the concurrency limit: nobody knows when another will end.
//!
//! Money plugs in as another [`Account`]: `admit` reserves on every account or on none, `record` settles.

mod limiter;
mod reservation;
mod window;

pub use limiter::{Limiter, Limits, Remaining, Standing};
pub use reservation::{Account, Estimate, Hold, Limit, Refused, Reservation, Settlement};
