//! Grounding: what a candidate's text rests on.
//!
//! Owns `groundingMetadata` (sources as `groundingChunks`, and `groundingSupports` that say which stretch of the text rests on which)
//! and `citationMetadata`, read and written. Must not know candidates. Positions count bytes of UTF-8 within one part, the end
//! exclusive. Source: `Segment`, `GroundingSupport` and `CitationSource` of the service's protocol buffers.

mod read;
mod write;

pub(super) use read::{Metadata, Texts, citations};
pub(super) use write::Grounds;
