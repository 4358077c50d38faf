//! Prints how long it takes to embed a prompt of 15 words and to scan 10,000 entries.
//!
//! `cargo run --release --package trunkline-embed --example embed_speed`

#![expect(clippy::disallowed_methods, reason = "measuring is what this example is for")]

use std::hint::black_box;
use std::time::Instant;

use trunkline_embed::{DIMENSIONS, Embedder, Index, Nearest, Precision, Tokenizer};

/// Words of the prompts; each prompt takes fifteen of them, so that its rows are not always in a cache.
const WORDS: &str = "the of and to in a is that for it as was with be by on not he his but at are this have from or had an \
    they which one you were all her she there would their we him been has when who will no more if out so up said what \
    its about than into them can only other time new some could these two may first then do any like my now over such \
    our man me even most made after also well many must before way write python function explain derivative integral \
    photosynthesis translate summarize quantum cryptography kubernetes microservice polymorphism password account refund \
    invoice contract summary paragraph sentence german french database index query latency average standard deviation \
    history revolution treaty chemistry molecule protein vaccine engine battery garden recipe chicken weather travel";

fn main() {
    let start = Instant::now();
    black_box((Tokenizer::bundled(), Embedder::bundled()));
    println!("first use: {:.2} ms", start.elapsed().as_secs_f64() * 1e3);

    let mut numbers = Numbers(7);
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let prompts: Vec<String> = (0..20_000)
        .map(|_| (0..15).map(|_| words[numbers.below(words.len())]).collect::<Vec<_>>().join(" "))
        .collect();
    let mut embedder = Embedder::bundled();
    let mut embedding = [0.0; DIMENSIONS];
    let pieces: usize =
        prompts.iter().map(|prompt| embedder.embed_parts([prompt.as_str()], &mut embedding).pieces).sum();
    println!("{:.1} pieces per prompt of 15 words", pieces as f64 / prompts.len() as f64);
    report("embed 15 words", prompts.iter(), |prompt| {
        embedder.embed_parts([prompt], &mut embedding);
        black_box(&embedding);
    });
    let accented: Vec<String> =
        prompts.iter().map(|prompt| format!("\u{201c}{}\u{201d}", prompt.replace('e', "\u{e9}"))).collect();
    report("embed 15 words with accents and curly quotes", accented.iter(), |prompt| {
        embedder.embed_parts([prompt], &mut embedding);
        black_box(&embedding);
    });
    let long = prompts[..800].join(". ");
    report("embed 12,000 words, cut at 8,192 pieces", std::iter::repeat_n(&long, 200), |prompt| {
        embedder.embed_parts([prompt], &mut embedding);
        black_box(&embedding);
    });

    for (precision, entries) in [
        (Precision::Full, 10_000),
        (Precision::Byte, 10_000),
        (Precision::Full, 100_000),
        (Precision::Byte, 100_000),
    ] {
        let mut index = Index::new(DIMENSIONS, entries, precision).expect("within the limits");
        let mut vector = [0.0; DIMENSIONS];
        for id in 0..entries as u64 {
            vector.fill_with(|| numbers.component());
            index.push(id, &vector).expect("there is room");
        }
        let mut found = Vec::new();
        report(
            &format!("10 nearest of {entries} x {DIMENSIONS}, {precision:?}"),
            prompts.iter().take(10_000_000 / entries),
            |prompt| {
                let query = embedder.embed(prompt);
                index.nearest_into(&query, 10, &mut found).expect("of the same length");
                black_box(&found);
            },
        );
    }
}

/// Times `work` on every item and prints the middle and the slowest hundredth.
fn report<'a>(name: &str, items: impl Iterator<Item = &'a String>, mut work: impl FnMut(&str)) {
    let mut times: Vec<f64> = items
        .map(|item| {
            let start = Instant::now();
            work(item);
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[(times.len() as f64 * share) as usize];
    println!("{name}: p50 {:.2} us, p99 {:.2} us", at(0.5), at(0.99));
}

/// Numbers that are the same on every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn component(&mut self) -> f32 {
        self.below(20_001) as f32 / 10_000.0 - 1.0
    }
}
