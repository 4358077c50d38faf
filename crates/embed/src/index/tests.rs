//! What the exact index does at its edges: ties, bounds, replaced and removed entries, refusals.

use super::*;
use crate::MOST_DIMENSIONS;

const BOTH: [Precision; 2] = [Precision::Full, Precision::Byte];

fn ids(index: &Index, query: &[f32], count: usize) -> Vec<u64> {
    index.nearest(query, count).unwrap().iter().map(|neighbor| neighbor.id).collect()
}

#[test]
fn the_most_alike_come_first_whatever_their_length() {
    for precision in BOTH {
        let mut index = Index::new(2, 10, precision).unwrap();
        index.push(1, &[0.0, 1.0]).unwrap();
        index.push(2, &[500.0, 10.0]).unwrap();
        index.push(3, &[-1.0, 0.0]).unwrap();
        index.push(4, &[1.0, 1.0]).unwrap();
        let found = index.nearest(&[2.0, 0.0], 9).unwrap();
        assert_eq!(found.iter().map(|neighbor| neighbor.id).collect::<Vec<_>>(), [2, 4, 1, 3]);
        assert!((found[1].similarity - 0.5f32.sqrt()).abs() < 0.01);
        assert!((found[3].similarity + 1.0).abs() < 1e-4);
    }
}

#[test]
fn of_equals_the_lower_identifier_comes_first_in_any_order_of_entry() {
    for precision in BOTH {
        let mut index = Index::new(3, 100, precision).unwrap();
        for id in [50, 7, 99, 3, 21, 8, 64, 1] {
            index.push(id, &[0.5, 0.25, -0.25]).unwrap();
        }
        assert_eq!(ids(&index, &[1.0, 0.0, 0.0], 3), [1, 3, 7]);
        assert!(index.remove(3));
        assert_eq!(ids(&index, &[1.0, 0.0, 0.0], 3), [1, 7, 8]);
    }
}

#[test]
fn an_entry_is_replaced_and_its_place_freed() {
    for precision in BOTH {
        let mut index = Index::new(2, 2, precision).unwrap();
        index.push(1, &[1.0, 0.0]).unwrap();
        index.push(2, &[0.0, 1.0]).unwrap();
        assert_eq!(index.push(3, &[1.0, 1.0]), Err(IndexError::Full { capacity: 2 }));
        index.push(1, &[0.0, -1.0]).unwrap();
        assert_eq!(ids(&index, &[0.0, -1.0], 1), [1]);
        assert!(index.remove(1));
        assert!(!index.remove(1));
        index.push(3, &[1.0, 1.0]).unwrap();
        assert_eq!(index.len(), 2);
        assert_eq!(index.ids(), [2, 3]);
        assert_eq!(ids(&index, &[1.0, 0.9], 5), [3, 2]);
    }
}

#[test]
fn a_zero_vector_is_like_nothing_and_an_empty_index_finds_nothing() {
    for precision in BOTH {
        let mut index = Index::new(2, 2, precision).unwrap();
        assert!(index.is_empty());
        assert!(ids(&index, &[1.0, 0.0], 5).is_empty());
        index.push(1, &[0.0, 0.0]).unwrap();
        assert_eq!(index.nearest(&[1.0, 0.0], 1).unwrap(), [Neighbor { id: 1, similarity: 0.0 }]);
        assert_eq!(index.nearest(&[0.0, 0.0], 1).unwrap(), [Neighbor { id: 1, similarity: 0.0 }]);
        assert!(ids(&index, &[1.0, 0.0], 0).is_empty());
    }
}

#[test]
fn the_longest_vectors_do_not_overflow() {
    for precision in BOTH {
        let mut index = Index::new(MOST_DIMENSIONS, 2, precision).unwrap();
        let flat = vec![1.0; MOST_DIMENSIONS];
        let mut peak = vec![0.0; MOST_DIMENSIONS];
        peak[17] = -1.0;
        index.push(1, &flat).unwrap();
        index.push(2, &peak).unwrap();
        for vector in [&flat, &peak] {
            let found = index.nearest(vector, 2).unwrap();
            assert!((found[0].similarity - 1.0).abs() < 1e-3, "{found:?}");
            assert!((found[1].similarity + 1.0 / 64.0).abs() < 1e-3, "{found:?}");
        }
    }
}

#[test]
fn refusals_say_what_is_wrong() {
    let mut index = Index::new(3, 0, Precision::Full).unwrap();
    let shown: Vec<String> = [
        Index::new(0, 1, Precision::Full).unwrap_err(),
        Index::new(5_000, 1, Precision::Full).unwrap_err(),
        Index::new(256, 1_000_000, Precision::Byte).unwrap_err(),
        index.push(1, &[1.0]).unwrap_err(),
        index.push(1, &[1.0, f32::NAN, 0.0]).unwrap_err(),
        index.nearest(&[1.0, 0.0, f32::INFINITY], 1).unwrap_err(),
        index.push(1, &[1.0, 0.0, 0.0]).unwrap_err(),
    ]
    .iter()
    .map(|error| format!("failed to use the index: {error}"))
    .collect();
    insta::assert_snapshot!(shown.join("\n"));
}
