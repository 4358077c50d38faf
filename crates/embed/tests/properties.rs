//! What holds for every text and every set of vectors.

use proptest::prelude::*;
use trunkline_embed::{
    Bounds, DIMENSIONS, Embedder, Index, IndexError, Nearest, Neighbor, Precision, Tokenizer,
};

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|component| component * component).sum::<f32>().sqrt()
}

/// Any characters, with those that the tokenizer treats in a special way made likely.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z]{1,12}",
        2 => any::<char>().prop_map(String::from),
        2 => "[ \\t\\n.,'\\[\\]#\\x00]{1,3}",
        1 => "[\u{300}-\u{36f}\u{e0}-\u{ff}\u{4e00}-\u{4e20}\u{ac00}-\u{ac20}]{1,4}",
        1 => Just("[MASK]".to_owned()),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn vector(dimensions: usize) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(prop_oneof![8 => -1.0f32..1.0, 1 => Just(0.0), 1 => -1e30f32..1e30], dimensions)
}

#[derive(Debug, Clone)]
enum Step {
    Push(u64, Vec<f32>),
    Remove(u64),
}

fn steps(dimensions: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..24u64, vector(dimensions)).prop_map(|(id, vector)| Step::Push(id, vector)),
        1 => (0..24u64).prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 0..60)
}

/// Cosine similarities by the definition, best first.
fn naive(entries: &[(u64, Vec<f32>)], query: &[f32]) -> Vec<Neighbor> {
    let wide =
        |vector: &[f32]| -> Vec<f64> { vector.iter().map(|component| f64::from(*component)).collect() };
    let product = |left: &[f64], right: &[f64]| -> f64 { left.iter().zip(right).map(|(l, r)| l * r).sum() };
    let query = wide(query);
    let mut all: Vec<Neighbor> = entries
        .iter()
        .map(|(id, vector)| {
            let vector = wide(vector);
            let lengths = (product(&vector, &vector) * product(&query, &query)).sqrt();
            let similarity = if lengths > 0.0 { product(&vector, &query) / lengths } else { 0.0 };
            Neighbor { id: *id, similarity: similarity as f32 }
        })
        .collect();
    all.sort_by(Neighbor::rank);
    all
}

proptest! {
    #[test]
    fn an_embedding_is_of_unit_length_or_zero(text in text()) {
        let embedding = Embedder::bundled().embed(&text);
        let length = length(&embedding);
        prop_assert!(length == 0.0 || (length - 1.0).abs() < 1e-5, "{}", length);
    }

    #[test]
    fn any_text_is_tokenized_within_the_vocabulary(text in any::<String>()) {
        let tokenizer = Tokenizer::bundled();
        for id in tokenizer.encode(&text) {
            prop_assert!(tokenizer.piece(id).is_some());
        }
    }

    #[test]
    fn case_and_accents_do_not_matter(words in "[a-z]{1,10}( [a-z]{1,10}){0,8}", accent in "[\u{300}-\u{314}]") {
        let mut embedder = Embedder::bundled();
        let plain = embedder.embed(&words);
        prop_assert_eq!(embedder.embed(&words.to_uppercase()), plain);
        let accented: String = words.chars().flat_map(|letter| [letter].into_iter().chain(accent.chars())).collect();
        prop_assert_eq!(embedder.embed(&accented), plain);
        prop_assert_eq!(embedder.embed(&words.replace('e', "\u{e9}").replace('o', "\u{d6}")), plain);
    }

    #[test]
    fn bounds_take_the_first_pieces(text in text(), pieces in 0..20usize) {
        let tokenizer = Tokenizer::bundled();
        let all = tokenizer.encode(&text);
        let mut embedder = Embedder::bundled().with_bounds(Bounds { pieces, ..Bounds::default() });
        let mut embedding = [0.0; DIMENSIONS];
        let coverage = embedder.embed_parts([text.as_str()], &mut embedding);
        prop_assert_eq!(coverage.pieces, pieces.min(all.len()));
        prop_assert_eq!(coverage.cut, all.len() > pieces);
        let unknown = all.iter().take(pieces).filter(|id| **id == tokenizer.unknown()).count();
        prop_assert_eq!(coverage.unknown, unknown);
    }

    #[test]
    fn an_embedder_remembers_nothing(first in text(), second in text()) {
        let mut used = Embedder::bundled();
        used.embed(&first);
        prop_assert_eq!(used.embed(&second), Embedder::bundled().embed(&second));
    }

    #[test]
    fn the_scan_equals_the_definition(steps in steps(19), query in vector(19), count in 0..30usize) {
        for (precision, slack) in [(Precision::Full, 1e-5), (Precision::Byte, 1e-2)] {
            let mut index = Index::new(19, 16, precision).unwrap();
            let mut entries: Vec<(u64, Vec<f32>)> = Vec::new();
            for step in &steps {
                match step {
                    Step::Push(id, vector) => {
                        let pushed = index.push(*id, vector);
                        match entries.iter().position(|(known, _)| known == id) {
                            Some(at) => entries[at].1.clone_from(vector),
                            None if entries.len() == 16 => {
                                prop_assert_eq!(pushed, Err(IndexError::Full { capacity: 16 }));
                                continue;
                            }
                            None => entries.push((*id, vector.clone())),
                        }
                        prop_assert_eq!(pushed, Ok(()));
                    }
                    Step::Remove(id) => {
                        prop_assert_eq!(index.remove(*id), entries.iter().any(|(known, _)| known == id));
                        entries.retain(|(known, _)| known != id);
                    }
                }
            }
            prop_assert_eq!(index.len(), entries.len());
            let found = index.nearest(&query, count).unwrap();
            let all = naive(&entries, &query);
            prop_assert_eq!(found.len(), count.min(entries.len()));
            prop_assert!(found.is_sorted_by(|before, after| before.rank(after).is_lt()));
            for (found, best) in found.iter().zip(&all) {
                prop_assert!((found.similarity - best.similarity).abs() < slack, "{:?} {:?}", found, best);
                let own = all.iter().find(|one| one.id == found.id).unwrap();
                prop_assert!((found.similarity - own.similarity).abs() < slack, "{:?} {:?}", found, own);
            }
        }
    }

    #[test]
    fn fewer_neighbours_are_the_first_of_more(vectors in prop::collection::vec(vector(8), 0..60), query in vector(8)) {
        let mut index = Index::new(8, 60, Precision::Byte).unwrap();
        for (id, vector) in (0..).zip(&vectors) {
            index.push(id, vector).unwrap();
        }
        let all = index.nearest(&query, usize::MAX).unwrap();
        prop_assert_eq!(all.len(), vectors.len());
        for count in 0..=vectors.len() {
            prop_assert_eq!(&index.nearest(&query, count).unwrap()[..], &all[..count]);
        }
    }
}
