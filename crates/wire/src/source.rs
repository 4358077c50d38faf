//! A request body on its way into a decoder.
//!
//! Owns the difference between bytes that are only lent and a body that text can be a share of. Must not read either.

use bytes::Bytes;

/// A body: lent, or to be shared.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    bytes: &'a [u8],
    shared: Option<&'a Bytes>,
}

impl<'a> Source<'a> {
    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The body, where parts of it can be kept.
    #[must_use]
    pub const fn shared(self) -> Option<&'a Bytes> {
        self.shared
    }
}

impl<'a> From<&'a [u8]> for Source<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { bytes, shared: None }
    }
}

impl<'a, const LENGTH: usize> From<&'a [u8; LENGTH]> for Source<'a> {
    fn from(bytes: &'a [u8; LENGTH]) -> Self {
        Self { bytes, shared: None }
    }
}

impl<'a> From<&'a Vec<u8>> for Source<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self { bytes, shared: None }
    }
}

impl<'a> From<&'a Bytes> for Source<'a> {
    fn from(body: &'a Bytes) -> Self {
        Self { bytes: body, shared: Some(body) }
    }
}
