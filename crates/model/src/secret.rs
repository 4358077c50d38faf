//! A value that cannot be printed.
//!
//! Owns the one type that holds provider credentials and virtual keys in clear. Must not implement `Display`, `Serialize`
//! or a `Debug` that shows anything: a leak should be a compile error, not a review finding.

use std::fmt;
use zeroize::Zeroize;

/// A secret text; wiped when dropped, shown as `[secret]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes ownership of a secret.
    #[must_use]
    pub const fn new(value: String) -> Self {
        Self(value)
    }

    /// The value itself; call it only where it goes on the wire or into a hash.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Some(Secret::new("sk-1".into()))), "Some([secret])");
    }
}
