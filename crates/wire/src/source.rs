//! A request body on its way into a decoder.
//!
//! Owns the difference between bytes that are only lent and a body that text can be a share of. Must not read either.

use crate::codec::Envelope;
use crate::scan::LongStrings;
use bytes::Bytes;

/// A body: lent, or to be shared.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    bytes: &'a [u8],
    shared: Option<&'a Bytes>,
    strings: Option<&'a LongStrings>,
}

impl<'a> Source<'a> {
    /// A body to be shared that was looked at before: what was noted of it then need not be found again.
    #[must_use]
    pub fn seen(body: &'a Bytes, envelope: &'a Envelope) -> Self {
        let strings = Some(&envelope.strings).filter(|strings| strings.are_of(body));
        Self { strings, ..Self::from(body) }
    }

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

    /// Where its long strings are, if that is known.
    pub(crate) const fn strings(self) -> Option<&'a LongStrings> {
        self.strings
    }
}

impl<'a> From<&'a [u8]> for Source<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { bytes, shared: None, strings: None }
    }
}

impl<'a, const LENGTH: usize> From<&'a [u8; LENGTH]> for Source<'a> {
    fn from(bytes: &'a [u8; LENGTH]) -> Self {
        Self { bytes, shared: None, strings: None }
    }
}

impl<'a> From<&'a Vec<u8>> for Source<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self { bytes, shared: None, strings: None }
    }
}

impl<'a> From<&'a Bytes> for Source<'a> {
    fn from(body: &'a Bytes) -> Self {
        Self { bytes: body, shared: Some(body), strings: None }
    }
}
