//! Text to vector: tokenize, add up the rows, scale to unit length. Owns the bounds on the text and the buffers, knows
//! nothing of what vectors are compared with. There is no model to run: the table's rows already carry the weight of
//! each piece, so that a sum is all that is left to do.

use crate::table::{DIMENSIONS, Embedding, Table, TableError};
use crate::tokenizer::{Scratch, Tokenizer};

/// How much of a text is read: the first pieces, and of very long words or much white space the first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most pieces that are added up.
    pub pieces: usize,
    /// The most bytes that are looked at, cut to whole characters.
    pub bytes: usize,
}

impl Default for Bounds {
    /// 8,192 pieces and 128 KiB.
    fn default() -> Self {
        Self { pieces: 8_192, bytes: 128 << 10 }
    }
}

/// How much of a text its vector stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Pieces that were added up, unknown ones included.
    pub pieces: usize,
    /// Pieces that stand for words which the vocabulary cannot spell; they add nothing.
    pub unknown: usize,
    /// Whether the bounds cut the text.
    pub cut: bool,
}

/// Embeds texts one after another with the same buffers. One per thread; making one is cheap.
#[derive(Debug, Clone)]
pub struct Embedder<'a> {
    tokenizer: &'a Tokenizer,
    table: Table<'a>,
    bounds: Bounds,
    scratch: Scratch,
}

impl Embedder<'static> {
    /// An embedder over the bundled table and vocabulary.
    pub fn bundled() -> Self {
        Self::new(Tokenizer::bundled(), Table::bundled())
            .expect("a test pairs the bundled table and vocabulary")
    }
}

impl<'a> Embedder<'a> {
    /// An embedder over a table and the tokenizer that it was made for.
    ///
    /// # Errors
    /// When table and vocabulary differ in size.
    pub fn new(tokenizer: &'a Tokenizer, table: Table<'a>) -> Result<Self, TableError> {
        let (rows, pieces) = (table.rows(), tokenizer.pieces());
        if rows != pieces {
            return Err(TableError::Vocabulary { rows, pieces });
        }
        Ok(Self { tokenizer, table, bounds: Bounds::default(), scratch: Scratch::default() })
    }

    /// The same with other bounds.
    #[must_use]
    pub fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// The vector of a text: of unit length, or zero when no known piece is in it.
    pub fn embed(&mut self, text: &str) -> Embedding {
        let mut embedding = [0.0; DIMENSIONS];
        self.embed_parts([text], &mut embedding);
        embedding
    }

    /// Writes the vector of a text given in parts (the messages of a conversation, the blocks of a message) without
    /// joining them. A word does not reach from one part into the next; the bounds hold for all parts together.
    pub fn embed_parts<'t>(
        &mut self,
        parts: impl IntoIterator<Item = &'t str>,
        embedding: &mut Embedding,
    ) -> Coverage {
        let cut = self.tokenize(parts);
        let mut sum = [0.0; DIMENSIONS];
        for id in &self.scratch.ids {
            self.table.add(*id, &mut sum);
        }
        normalize(&mut sum);
        *embedding = sum;
        let unknown = self.tokenizer.unknown();
        Coverage {
            pieces: self.scratch.ids.len(),
            unknown: self.scratch.ids.iter().filter(|id| **id == unknown).count(),
            cut,
        }
    }

    /// The pieces of the text that was embedded last.
    #[must_use]
    pub fn pieces(&self) -> &[u32] {
        &self.scratch.ids
    }

    /// Fills the buffer with identifiers; tells whether the bounds cut anything off.
    fn tokenize<'t>(&mut self, parts: impl IntoIterator<Item = &'t str>) -> bool {
        self.scratch.ids.clear();
        let mut bytes = self.bounds.bytes;
        // One piece more than the bound tells a text that just fits from one that is cut.
        let limit = self.bounds.pieces.saturating_add(1);
        for part in parts {
            let read = &part[..part.floor_char_boundary(bytes)];
            self.tokenizer.encode_into(read, limit, &mut self.scratch);
            let pieces = self.scratch.ids.len();
            self.scratch.ids.truncate(self.bounds.pieces);
            if read.len() < part.len() || pieces > self.bounds.pieces {
                return true;
            }
            bytes -= read.len();
        }
        false
    }
}

/// Scales to unit length; zero stays zero.
pub(crate) fn normalize(vector: &mut [f32]) {
    // In double precision, so that neither very large nor very small vectors lose their direction.
    let squares: f64 = vector.iter().map(|component| f64::from(*component).powi(2)).sum();
    if squares > 0.0 {
        let factor = squares.sqrt().recip();
        for component in vector {
            *component = (f64::from(*component) * factor) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(left: &str, right: &str) -> f32 {
        let mut embedder = Embedder::bundled();
        let (left, right) = (embedder.embed(left), embedder.embed(right));
        left.iter().zip(right).map(|(left, right)| left * right).sum()
    }

    #[test]
    fn close_in_meaning_is_close_in_space() {
        let close = cosine("how do I reset my password", "I forgot the password of my account");
        let far = cosine("how do I reset my password", "the boiling point of liquid nitrogen");
        assert!(close > far + 0.3, "{close} {far}");
    }

    #[test]
    fn parts_add_up_and_are_bounded_together() {
        let mut embedder = Embedder::bundled();
        let whole = embedder.embed("one two three four");
        let mut parts = [0.0; DIMENSIONS];
        let coverage = embedder.embed_parts(["one two", "", "three four"], &mut parts);
        assert_eq!(parts, whole);
        assert_eq!(coverage, Coverage { pieces: 4, unknown: 0, cut: false });

        let mut bounded = embedder.clone().with_bounds(Bounds { pieces: 4, bytes: 100 });
        assert!(!bounded.embed_parts(["one two three", "four"], &mut parts).cut);
        assert_eq!(parts, whole);
        let coverage = bounded.embed_parts(["one two three", "four five", "six"], &mut parts);
        assert_eq!(coverage, Coverage { pieces: 4, unknown: 0, cut: true });
        assert_eq!(parts, whole);

        let mut bounded = embedder.clone().with_bounds(Bounds { pieces: 4, bytes: 8 });
        let coverage = bounded.embed_parts(["one two\u{e9}"], &mut parts);
        assert_eq!(coverage, Coverage { pieces: 2, unknown: 0, cut: true });
        assert_eq!(parts, embedder.embed("one two"));
    }

    #[test]
    fn unknown_words_are_counted_and_mean_nothing() {
        let mut embedder = Embedder::bundled();
        let mut embedding = [1.0; DIMENSIONS];
        let coverage = embedder.embed_parts(["\u{1f980}\u{1f980}"], &mut embedding);
        assert_eq!(coverage, Coverage { pieces: 1, unknown: 1, cut: false });
        assert_eq!(embedding, [0.0; DIMENSIONS]);
        assert_eq!(embedder.embed(""), [0.0; DIMENSIONS]);
    }

    #[test]
    fn a_table_of_another_vocabulary_is_refused() {
        let other = Tokenizer::from_vocabulary("[UNK]\none\n").unwrap();
        let refusal = Embedder::new(&other, Table::bundled()).unwrap_err();
        insta::assert_snapshot!(
            format!("failed to read the embedding table: {refusal}"),
            @"failed to read the embedding table: 30522 rows for 2 pieces of the vocabulary; table and vocabulary must be of the same model"
        );
    }
}
