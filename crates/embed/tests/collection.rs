//! The approximate index against the exact one: what it finds, that it repeats, and that nothing removed is found.

use proptest::prelude::*;
use trunkline_embed::{Collection, Graph, Index, IndexError, Nearest, Neighbor, Precision};

const DIMENSIONS: usize = 24;

/// Vectors in clusters, as texts are: uniform ones are all alike in many dimensions.
struct Made(u64);

impl Made {
    fn unit(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    }

    fn vectors(seed: u64, number: usize) -> Vec<Vec<f32>> {
        let mut made = Self(seed | 1);
        let centres: Vec<Vec<f32>> =
            (0..20).map(|_| (0..DIMENSIONS).map(|_| made.unit()).collect()).collect();
        (0..number)
            .map(|at| centres[at % centres.len()].iter().map(|centre| centre + 0.6 * made.unit()).collect())
            .collect()
    }
}

fn ids(found: &[Neighbor]) -> Vec<u64> {
    found.iter().map(|neighbor| neighbor.id).collect()
}

#[test]
fn nearly_all_true_neighbours_are_found() {
    let mut vectors = Made::vectors(3, 3_100);
    let queries = vectors.split_off(3_000);
    let mut exact = Index::new(DIMENSIONS, 3_000, Precision::Full).unwrap();
    let mut graph = Graph::new(DIMENSIONS, 3_000, 7).unwrap();
    for (id, vector) in (0..).zip(&vectors) {
        exact.push(id, vector).unwrap();
        graph.push(id, vector).unwrap();
    }
    let (mut found, mut wanted) = (0, 0);
    for query in &queries {
        let (truth, near) = (exact.nearest(query, 10).unwrap(), graph.nearest(query, 10).unwrap());
        assert_eq!(near.len(), 10);
        assert!(near.is_sorted_by(|one, other| one.similarity >= other.similarity));
        for neighbor in &near {
            let same = truth.iter().find(|known| known.id == neighbor.id);
            assert!(same.is_none_or(|known| (known.similarity - neighbor.similarity).abs() < 1e-3));
        }
        let truth = ids(&truth);
        found += ids(&near).iter().filter(|id| truth.contains(id)).count();
        wanted += truth.len();
    }
    assert!(found * 100 >= wanted * 98, "{found} of {wanted}");
}

#[test]
fn the_same_entries_give_the_same_graph() {
    let vectors = Made::vectors(5, 400);
    let build = || {
        let mut graph = Graph::new(DIMENSIONS, 400, 1).unwrap();
        for (id, vector) in (0..).zip(&vectors) {
            graph.push(id, vector).unwrap();
        }
        graph
    };
    let (one, other) = (build(), build());
    for query in Made::vectors(6, 20) {
        assert_eq!(one.nearest(&query, 7).unwrap(), other.nearest(&query, 7).unwrap());
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let told = [
        Graph::new(0, 10, 1).unwrap_err(),
        Graph::new(4, 3_000_000, 1).unwrap_err(),
        Collection::new(5_000, 10, Precision::Byte, 1).unwrap_err(),
        Graph::new(2, 10, 1).unwrap().push(1, &[1.0]).unwrap_err(),
        Graph::new(2, 10, 1).unwrap().push(1, &[1.0, f32::NAN]).unwrap_err(),
        Graph::new(2, 0, 1).unwrap().push(1, &[1.0, 1.0]).unwrap_err(),
    ];
    insta::assert_snapshot!(told.map(|error: IndexError| error.to_string()).join("\n"));
    let empty = Graph::new(2, 10, 1).unwrap();
    assert_eq!(empty.nearest(&[1.0, 0.0], 3).unwrap(), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Entries come, are replaced and go; the nearest of a present entry is itself, and nothing that is gone is found.
    #[test]
    fn what_is_gone_is_not_found(steps in prop::collection::vec((0u64..60, any::<bool>()), 1..200)) {
        let vectors = Made::vectors(9, 260);
        let mut graph = Graph::new(DIMENSIONS, 60, 2).unwrap();
        let mut present: std::collections::BTreeMap<u64, usize> = std::collections::BTreeMap::new();
        for (at, (id, comes)) in steps.into_iter().enumerate() {
            if comes {
                graph.push(id, &vectors[at]).unwrap();
                present.insert(id, at);
            } else {
                prop_assert_eq!(graph.remove(id), present.remove(&id).is_some());
            }
        }
        prop_assert_eq!(graph.len(), present.len());
        for (id, at) in &present {
            let found = graph.nearest(&vectors[*at], present.len()).unwrap();
            prop_assert_eq!(found[0].id, *id);
            prop_assert_eq!(found.len(), present.len());
            prop_assert!(found.iter().all(|neighbor| present.contains_key(&neighbor.id)));
        }
    }
}
