//! Opaque state of one dialect carried in another dialect's slots.
//!
//! Owns the text form in which a signature made by one provider travels through a client of another dialect and comes back.
//! Must not read or change the state itself. The form names its origin, so that it can never reach a provider that did not
//! make it, and its place, because dialects disagree on which parts may carry state.

use trunkline_model::content::Opaque;
use trunkline_model::dialect::Dialect;

/// What every carried value starts with.
pub(crate) const MARK: &str = "trunkline:";

/// Where the state belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The part it is written on.
    Own,
    /// The part before the one it is written on.
    Before,
    /// An empty text part of its own.
    Alone,
    /// A redacted thinking part of its own.
    Redacted,
}

impl Place {
    const ALL: [Self; 4] = [Self::Own, Self::Before, Self::Alone, Self::Redacted];

    const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Before => "before",
            Self::Alone => "alone",
            Self::Redacted => "redacted",
        }
    }
}

/// The text form of state that is away from home.
pub(crate) fn carry(opaque: &Opaque, place: Place) -> String {
    format!("{MARK}{}:{}:{}", opaque.origin.name(), place.name(), opaque.value)
}

/// Reads the text form; `None` when the value is not one of ours.
pub(crate) fn unpack(text: &str) -> Option<(Opaque, Place)> {
    let (origin, rest) = text.strip_prefix(MARK)?.split_once(':')?;
    let (place, value) = rest.split_once(':')?;
    let origin = Dialect::ALL.into_iter().find(|dialect| dialect.name() == origin)?;
    let place = Place::ALL.into_iter().find(|known| known.name() == place)?;
    Some((Opaque { origin, value: value.to_owned() }, place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn comes_back_as_it_left(value in ".*", origin in 0usize..3, place in 0usize..4) {
            let opaque = Opaque { origin: Dialect::ALL[origin], value };
            let text = carry(&opaque, Place::ALL[place]);
            prop_assert_eq!(unpack(&text), Some((opaque, Place::ALL[place])));
        }
    }

    #[test]
    fn other_values_are_not_ours() {
        assert_eq!(unpack("EqQBCgIYAhIM"), None);
        assert_eq!(unpack("trunkline:nobody:own:x"), None);
    }
}
