//! The beginning of a text, kept for an estimate of how many tokens the whole of it has.
//!
//! Owns the bound. Must not know tokens: what it is read for happens rarely, where a provider says nothing of its tokens, and
//! keeping it must cost next to nothing for everybody else.

/// The first bytes of a text that comes in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// The most that is kept, in bytes.
    pub const LONGEST: usize = 512;

    /// Takes the next piece, or what there is room for.
    #[inline]
    pub fn push(&mut self, piece: &str) {
        let room = Self::LONGEST - self.0.len();
        if room == 0 || piece.is_empty() {
            return;
        }
        if !self.0.is_empty() {
            // It comes in pieces: more will follow, and the buffer is moved once.
            self.0.reserve_exact(room);
        }
        self.0.push_str(&piece[..piece.floor_char_boundary(room)]);
    }

    /// What was kept.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Excerpt {
    fn from(text: &str) -> Self {
        let mut excerpt = Self::default();
        excerpt.push(text);
        excerpt
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_beginning_and_bounded(pieces in proptest::collection::vec("\\PC{0,200}", 0..12)) {
            let mut excerpt = Excerpt::default();
            pieces.iter().for_each(|piece| excerpt.push(piece));
            let whole = pieces.concat();
            prop_assert!(excerpt.as_str().len() <= Excerpt::LONGEST);
            if whole.len() <= Excerpt::LONGEST {
                prop_assert_eq!(excerpt.as_str(), whole);
            } else {
                // A character that does not fit may be followed by one that does.
                prop_assert!(excerpt.as_str().len() > Excerpt::LONGEST - 4);
            }
        }
    }
}
