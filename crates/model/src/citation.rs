//! What the text of an answer rests on, in canonical form.
//!
//! Owns one form for the citations, annotations and grounding of all dialects: the source, its words, and where in the answer
//! it is cited. Must not know how any dialect spells it. Positions count characters (Unicode code points) of the answer's text:
//! all text parts of a choice, one after the other, as a client sees them in whose dialect an answer is one text. Dialects cut
//! texts differently and count bytes or within parts; that text is what they have in common.

use crate::dialect::Dialect;
use crate::json::Json;
use std::ops::Range;

/// One source cited in an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Citation {
    /// What is cited.
    pub source: CitedSource,
    /// The words of the source, where the provider gives them.
    pub quote: Option<String>,
    /// What in the answer rests on it.
    pub claim: Claim,
    /// The provider's own form, for clients of its dialect; `None` where that dialect has none for one citation alone.
    pub native: Option<Native>,
}

/// A citation as its provider wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Native {
    /// The dialect of the provider.
    pub origin: Dialect,
    /// What it wrote.
    pub json: Json,
}

/// What is cited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CitedSource {
    /// A page of the web.
    Web {
        /// Its address.
        url: String,
        /// Its title.
        title: Option<String>,
    },
    /// A document of the request, or a file that the provider keeps.
    Document {
        /// Which of the request's documents, from 0.
        index: Option<u64>,
        /// Its title or the file's name.
        title: Option<String>,
        /// The file's id at the provider, or the id that the request gave the document.
        id: Option<String>,
        /// Where in it.
        within: Option<Within>,
    },
    /// One of the search results that the request brought along.
    SearchResult {
        /// Which of them, from 0.
        index: u64,
        /// What the request called its source; often an address.
        source: String,
        /// Its title.
        title: Option<String>,
        /// Which blocks of its content, from 0.
        blocks: Range<u64>,
    },
    /// Something that only the provider's own form tells.
    Other,
}

/// A stretch of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Within {
    /// Characters, from 0.
    Characters(Range<u64>),
    /// Pages, from 1.
    Pages(Range<u64>),
    /// Blocks of a document that the request gave in blocks, from 0.
    Blocks(Range<u64>),
}

/// What in the answer rests on a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The provider does not say.
    Unsaid,
    /// All of the part it came in, which takes up these characters of the answer's text.
    Part(Range<usize>),
    /// These characters of the answer's text.
    Stretch(Range<usize>),
}

impl Claim {
    /// The characters of the answer's text, where they are known.
    #[must_use]
    pub const fn characters(&self) -> Option<&Range<usize>> {
        match self {
            Self::Unsaid => None,
            Self::Part(range) | Self::Stretch(range) => Some(range),
        }
    }
}

impl Citation {
    /// The provider's own form, if it is that of this dialect.
    #[must_use]
    pub fn native_of(&self, dialect: Dialect) -> Option<&Json> {
        self.native.as_ref().filter(|native| native.origin == dialect).map(|native| &native.json)
    }

    /// The address and title of a source that can be opened: a page, or a search result whose source is one.
    #[must_use]
    pub fn page(&self) -> Option<(&str, Option<&str>)> {
        match &self.source {
            CitedSource::Web { url, title } => Some((url, title.as_deref())),
            CitedSource::SearchResult { source, title, .. }
                if source.starts_with("https://") || source.starts_with("http://") =>
            {
                Some((source, title.as_deref()))
            }
            CitedSource::SearchResult { .. } | CitedSource::Document { .. } | CitedSource::Other => None,
        }
    }
}
