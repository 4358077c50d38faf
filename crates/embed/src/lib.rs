//! Text embedding and nearest-neighbour search in process: what the choosing steps compare prompts with.
//!
//! Owns the tokenizer, the static table with its sum, and the exact index. It must not know routes, policies or
//! providers, and reads no file, clock or environment: the table and its vocabulary are part of the binary. The
//! non-obvious reason for all of it: a decision has microseconds, a network call or a transformer has milliseconds, and
//! a table of vectors per word piece, weighted beforehand, keeps most of what a transformer knows of a short text.
//!
//! ```
//! use trunkline_embed::{Embedder, Index, Nearest, Precision};
//!
//! let mut embedder = Embedder::bundled();
//! let mut index = Index::new(256, 1_000, Precision::Byte)?;
//! index.push(1, &embedder.embed("how do I reset my password"))?;
//! index.push(2, &embedder.embed("the boiling point of nitrogen"))?;
//! let found = index.nearest(&embedder.embed("I forgot my password"), 1)?;
//! assert_eq!(found[0].id, 1);
//! # Ok::<(), trunkline_embed::IndexError>(())
//! ```
//!
//! What is here:
//! - [`Tokenizer`]: uncased BERT WordPiece, equal to the reference on every Unicode character and on 2,494 lines;
//! - [`Table`]: 30,522 rows of 256 bytes, 7.9 MB of the binary, paged in as rows are touched;
//! - [`Embedder`]: text to a vector of unit length, bounded, without allocation once its buffers have grown;
//! - `sentence`: BERT sentence transformers in process, behind the feature `encoder`, off by default;
//! - [`Index`] behind the trait [`Nearest`]: exact scan to 100,000 entries; [`Graph`]: an approximate index for more; [`Collection`]: the
//!   one that the number of entries asks for.
//!
//! Measured with `examples/embed_speed.rs` (release build, one thread of a busy two-core virtual AMD EPYC, baseline
//! x86-64 instructions; `p50 / p99`):
//!
//! | what | microseconds |
//! |---|---|
//! | embed 15 words (16.8 pieces) | 2.1 / 4.5 |
//! | the same with accents and curly quotes | 3.6 / 7.7 |
//! | embed 12,000 words, cut at 8,192 pieces | 850 / 5,200 |
//! | 10 nearest of 10,000 x 256, [`Precision::Byte`] | 276 / 462 |
//! | 10 nearest of 10,000 x 256, [`Precision::Full`] | 335 / 660, once 4,600 beside other work |
//! | 10 nearest of 100,000 x 256, [`Precision::Byte`] | 2,800 / 8,600 |
//! | 10 nearest of 100,000 x 256, [`Precision::Full`] | 6,000 to 10,500 / 17,400 |
//! | first use (vocabulary map, header of the table) | 2,400 once |
//!
//! Memory beside the binary: 0.4 MB for the map, up to 64 KB of buffers per [`Embedder`], 2.6 MB per 10,000 entries as bytes
//! and 10 MB in full.

mod category;
pub mod classify;
mod collection;
mod embedder;
mod encode;
mod graph;
mod index;
mod nearest;
#[cfg(feature = "encoder")]
pub mod sentence;
mod table;
mod tokenizer;
mod tokens;
mod vocabulary;

pub use collection::Collection;
pub use embedder::{Bounds, Coverage, Embedder};
pub use encode::Encode;
pub use graph::{Graph, MOST_GRAPH_ENTRIES};
pub use index::{Index, MOST_ENTRIES, Precision};
pub use nearest::{IndexError, MOST_DIMENSIONS, Nearest, Neighbor};
pub use table::{DIMENSIONS, Embedding, Table, TableError};
pub use tokenizer::Tokenizer;
pub use tokens::tokens;
pub use vocabulary::VocabularyError;
