//! Files that clients name by URL, fetched on their behalf.
//!
//! Owns where a fetch may go (`guard`), how it goes there (`fetch`), where a redirect leads (`location`). Which files may come
//! back is the model's (`file_type`). Must not know what a file is for. A client chooses the URL and we stand inside the operator's network:
//! everything here assumes that the URL, the name service and the server behind them are hostile.

mod fetch;
mod guard;
mod location;

pub use fetch::{FetchError, FetchSettings, Fetched, Fetcher};
pub use guard::Guard;
