//! The text of a prompt, for steps that must read it.
//!
//! Owns the trait through which text is asked for and the way from text to its vector, so that every step, and training, reads
//! the same bytes of it. Must not hold text: the gateway has the body, a replay has none, and a step that needs text and gets
//! none does not answer. Bounded by the reader: each method may cut what it returns, and only the first pieces are embedded.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;
use trunkline_embed::{Bounds, Coverage, DIMENSIONS, Embedder, Embedding};

/// Access to the text of one request.
pub trait Prompt {
    /// The text of the last turn of the user.
    fn last_user_text(&self) -> Cow<'_, str>;

    /// The text of the system prompt; empty when there is none.
    fn system_text(&self) -> Cow<'_, str>;

    /// Whether the system prompt is at hand; where it is not, its text says nothing.
    fn has_system_text(&self) -> bool {
        true
    }

    /// What came of the wish to have the last turn encoded by the encoder of that name; `None` when nobody tried.
    fn encoded(&self, encoder: &str) -> Option<Result<Arc<[f32]>, String>> {
        let _ = encoder;
        None
    }
}

/// What of a text is embedded: about 1,500 words take 0.2 ms, and the meaning of longer ones is settled by then.
const BOUNDS: Bounds = Bounds { pieces: 2_048, bytes: 32 << 10 };

/// A text as a vector.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptVector {
    /// Of unit length, or zero for a text without known pieces.
    pub vector: Embedding,
    /// How much of the text it stands for.
    pub coverage: Coverage,
}

/// Embeds a text with the bundled table, as every step sees it.
#[must_use]
pub fn embed(text: &str) -> PromptVector {
    thread_local! {
        // The buffers grow once per thread; the table itself is part of the binary.
        static EMBEDDER: RefCell<Embedder<'static>> = RefCell::new(Embedder::bundled().with_bounds(BOUNDS));
    }
    EMBEDDER.with_borrow_mut(|embedder| {
        let mut vector = [0.0; DIMENSIONS];
        let coverage = embedder.embed_parts([text], &mut vector);
        PromptVector { vector, coverage }
    })
}
