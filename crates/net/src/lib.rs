//! The upstream transport: one HTTP client, for HTTP/1.1 and HTTP/2, cleartext and TLS.
//!
//! Owns dialing, TLS, connection pools, cancellation and the timing of each phase, and beside them `credentials`, which keeps
//! expiring credentials fresh, and `media`, which fetches what clients name by URL. Knows no dialect, model, route or vendor: headers come ready-made from the caller, and what a failure means is the caller's to say. Its timeouts
//! end with the response headers; those between tokens are the caller's, who polls the body.
//!
//! Why not a ready-made client: hyper's legacy client and reqwest keep one HTTP/2 connection per origin, and providers
//! cap the streams on it at about a hundred. hyper-util's `client-pool` has the parts (`Cache`, `Singleton`) but a
//! singleton is again one connection, nothing in it is bounded or has a deadline, and the phases of a dial are lost.
//!
//! Out of scope: proxies, decompression (`accept-encoding: identity` is sent unless the caller says otherwise),
//! redirects, upgrades, trailers.

#[cfg(not(any(feature = "ring", feature = "aws-lc")))]
compile_error!("trunkline-net needs a cryptography provider: enable the feature `ring` or `aws-lc`");

mod config;
mod credentials;
mod dial;
mod driver;
mod error;
mod joined;
mod media;
mod origin;
mod pool;
mod request;
mod resolve;
mod response;
mod stream;
mod tls;
mod transport;

pub use config::{Http2, Roots, TransportConfig};
pub use credentials::{CredentialError, Keeper};
pub use error::{BodyError, DialPhase, SendError, TransportError};
pub use joined::Joined;
pub use media::{FetchError, FetchSettings, Fetched, Fetcher, Guard};
pub use origin::{Origin, OriginError, Scheme};
pub use pool::OriginStats;
pub use request::{Interrupted, RequestBody, UpstreamRequest};
pub use response::{Phases, UpstreamBody, UpstreamResponse};
pub use transport::Transport;
