//! What the approximate index costs and finds, against the exact scan: `cargo run --release -p trunkline-embed --example
//! index_speed [ENTRIES]`, 150,000 entries of 256 components when not said. Vectors are made up in clusters, as texts are.

use std::time::Instant;
use trunkline_embed::{Graph, Index, Nearest, Precision};

const DIMENSIONS: usize = 256;
const CLUSTERS: usize = 500;
const QUERIES: usize = 200;
const NEIGHBOURS: usize = 10;

struct Random(u64);

impl Random {
    fn unit(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    }

    fn vector(&mut self) -> Vec<f32> {
        (0..DIMENSIONS).map(|_| self.unit()).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "this program measures time")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let entries: usize = std::env::args().nth(1).map_or(Ok(150_000), |text| text.parse())?;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let centres: Vec<Vec<f32>> = (0..CLUSTERS).map(|_| random.vector()).collect();
    let mut near = |at: usize| -> Vec<f32> {
        let centre = &centres[at % CLUSTERS];
        centre.iter().map(|component| component + 0.8 * random.unit()).collect()
    };
    let vectors: Vec<Vec<f32>> = (0..entries).map(&mut near).collect();
    let queries: Vec<Vec<f32>> = (0..QUERIES).map(&mut near).collect();
    // The exact scan holds at most 100,000 entries, so that the truth comes from several.
    let mut scans: Vec<Index> = Vec::new();
    for (id, vector) in (0..).zip(&vectors) {
        if scans.last().is_none_or(|scan| scan.len() == scan.capacity()) {
            scans.push(Index::new(DIMENSIONS, 100_000, Precision::Full)?);
        }
        if let Some(scan) = scans.last_mut() {
            scan.push(id, vector)?;
        }
    }
    let mut graph = Graph::new(DIMENSIONS, entries, 1)?;
    let start = Instant::now();
    for (id, vector) in (0..).zip(&vectors) {
        graph.push(id, vector)?;
    }
    let built = start.elapsed();
    println!("{entries} entries of {DIMENSIONS} components, {NEIGHBOURS} nearest of {QUERIES} queries");
    println!(
        "building the graph    {:8.1} s, {:.0} us per entry",
        built.as_secs_f64(),
        built.as_micros() as f64 / entries as f64
    );
    let (mut hits, mut scanned, mut walked) = (0, Vec::new(), Vec::new());
    for query in &queries {
        let start = Instant::now();
        let mut truth = Vec::new();
        for scan in &scans {
            truth.extend(scan.nearest(query, NEIGHBOURS)?);
        }
        scanned.push(start.elapsed());
        truth.sort_by(|one, other| other.similarity.total_cmp(&one.similarity));
        truth.truncate(NEIGHBOURS);
        let start = Instant::now();
        let found = graph.nearest(query, NEIGHBOURS)?;
        walked.push(start.elapsed());
        hits += found.iter().filter(|found| truth.iter().any(|true_one| true_one.id == found.id)).count();
    }
    for (name, mut times) in [("exact scan", scanned), ("graph", walked)] {
        times.sort_unstable();
        println!(
            "{name:20}  {:8} us p50, {:8} us p99",
            times[QUERIES / 2].as_micros(),
            times[QUERIES * 99 / 100].as_micros()
        );
    }
    println!("recall                {:8.3}", hits as f64 / (QUERIES * NEIGHBOURS) as f64);
    Ok(())
}
