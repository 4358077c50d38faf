//! Runs the router benchmark without the binary: `cargo run --release -p trunkline-lab --example bench_router -- DATA [SEED] [quick]`.

use std::path::Path;
use std::time::Instant;
use trunkline_lab::bench::{Data, Options, Texts, run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = Path::new(arguments.first().map_or("../shared/data", String::as_str));
    let seed = arguments.get(1).and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let read = |name: &str| std::fs::read_to_string(folder.join(name));
    let (routellm, train, test) = (
        read("routellm/compact.jsonl")?,
        read("ulab_llmrouter/dcrouter_train.json")?,
        read("ulab_llmrouter/dcrouter_test.json")?,
    );
    let data = Data::read(Texts { routellm: &routellm, ulab_train: &train, ulab_test: &test })?;
    let quick = arguments.get(2).is_some_and(|word| word == "quick");
    let options = if quick { Options::quick(seed) } else { Options::full(seed) };
    let start = Instant::now();
    println!("{}", run(&data, &options, None, &|| ())?);
    println!("took {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
