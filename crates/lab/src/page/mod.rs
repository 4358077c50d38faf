//! What a result of the lab looks like: one page of text, tables and charts.
//!
//! Owns the page as a value and its HTML. Must not compute: figures come ready. One value for every output, so that the
//! terminal, the browser and a test look at the same page; the HTML needs nothing from anywhere else, because it is mailed,
//! archived and opened behind firewalls.

mod axis;
mod bars;
mod html;
mod lines;
pub mod words;

pub use bars::{Bar, Bars};
pub use lines::{Line, Lines, Scale};

/// A page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Its title.
    pub title: String,
    /// Its parts, in order.
    pub blocks: Vec<Block>,
}

/// A part of a page.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A heading.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// What the reader should not miss, one by one.
    Warnings(Vec<String>),
    /// Figures.
    Table(Table),
    /// Bars, with intervals where they are known.
    Bars(Bars),
    /// Curves.
    Lines(Lines),
}

/// A table of ready texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The heads of the columns. The first column holds names, the others figures.
    pub head: Vec<String>,
    /// The rows, as long as the head.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new<'a>(head: impl IntoIterator<Item = &'a str>) -> Self {
        Self { head: head.into_iter().map(str::to_owned).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn push<T: Into<String>>(&mut self, row: impl IntoIterator<Item = T>) {
        self.rows.push(row.into_iter().map(Into::into).collect());
    }
}

impl Page {
    /// An empty page.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), blocks: Vec::new() }
    }

    /// Adds a part.
    pub fn push(&mut self, block: Block) {
        self.blocks.push(block);
    }

    /// Adds a heading.
    pub fn heading(&mut self, text: impl Into<String>) {
        self.push(Block::Heading(text.into()));
    }

    /// Adds a paragraph.
    pub fn text(&mut self, text: impl Into<String>) {
        self.push(Block::Text(text.into()));
    }

    /// Adds warnings, if there are any.
    pub fn warnings(&mut self, warnings: Vec<String>) {
        if !warnings.is_empty() {
            self.push(Block::Warnings(warnings));
        }
    }

    /// The page as one HTML document that loads nothing.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::document(self)
    }
}

#[cfg(test)]
mod tests;
