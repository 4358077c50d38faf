//! The older endpoint that continues a bare text, over providers that hold conversations only.
//!
//! Owns the request read as a conversation of one message and the answer written back in the endpoint's own form. Must not be used
//! where the provider has the endpoint: a text that is continued and a message that is answered are not the same, which is why
//! the client is warned. Source: `CreateCompletionRequest` and `CreateCompletionResponse` of the vendor's OpenAPI document.

mod answer;
mod request;

#[cfg(test)]
mod tests;

pub(crate) use answer::Encoder;
pub(crate) use request::decode;
pub use request::{unsupported, warnings};
