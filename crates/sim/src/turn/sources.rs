//! Sources that the simulated model cites.
//!
//! Owns an answer with two claims and the pages they rest on. Must not know how any dialect writes a citation. The text has
//! characters of one to four bytes before, in and between the claims, so that whoever counts in the wrong unit is seen.

use std::ops::Range;

/// What the model says when it is asked to cite.
pub(super) const CITING: &str =
    "Wie man hört 🎧: In Zürich regnet es. Dafür — wie schön — scheint in Genf die Sonne.";

/// A page and the claim that rests on it.
struct Page {
    claim: &'static str,
    url: &'static str,
    title: &'static str,
    quote: &'static str,
}

const PAGES: [Page; 2] = [
    Page {
        claim: "In Zürich regnet es.",
        url: "https://wetter.example/zuerich",
        title: "Wetter in Zürich",
        quote: "Zürich: Regen",
    },
    Page {
        claim: "scheint in Genf die Sonne.",
        url: "https://wetter.example/genf",
        title: "Wetter in Genf",
        quote: "Genf: Sonne",
    },
];

/// A source, and which bytes of the text rest on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) bytes: Range<usize>,
    pub(crate) url: &'static str,
    pub(crate) title: &'static str,
    /// The page's own words.
    pub(crate) quote: &'static str,
}

impl Source {
    /// The same place in characters.
    pub(crate) fn characters(&self, text: &str) -> Range<usize> {
        let before = |byte: usize| text[..byte].chars().count();
        before(self.bytes.start)..before(self.bytes.end)
    }
}

/// The sources of the claims that a text makes, in the order of the claims.
pub(super) fn sources(text: &str) -> Vec<Source> {
    let found = PAGES.iter().filter_map(|page| {
        let start = text.find(page.claim)?;
        let bytes = start..start + page.claim.len();
        Some(Source { bytes, url: page.url, title: page.title, quote: page.quote })
    });
    found.collect()
}

/// A text cut where its sources change: each piece with the source it rests on.
pub(crate) fn cut<'t>(text: &'t str, sources: &[Source]) -> Vec<(&'t str, Option<Source>)> {
    let mut pieces = Vec::new();
    let mut end = 0;
    for source in sources {
        pieces.push((&text[end..source.bytes.start], None));
        pieces.push((&text[source.bytes.clone()], Some(source.clone())));
        end = source.bytes.end;
    }
    pieces.push((&text[end..], None));
    pieces.retain(|(piece, _)| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_cut_out_and_counted_in_both_units() {
        let found = sources(CITING);
        let pieces: Vec<&str> = cut(CITING, &found).into_iter().map(|(piece, _)| piece).collect();
        assert_eq!(pieces.concat(), CITING);
        assert_eq!((pieces[1], pieces[3]), (PAGES[0].claim, PAGES[1].claim));
        let first = found[0].characters(CITING);
        assert!(first.start < found[0].bytes.start);
        let claim: String = CITING.chars().skip(first.start).take(first.len()).collect();
        assert_eq!(claim, PAGES[0].claim);
        assert_eq!(sources("In Zürich").len(), 0);
    }
}
