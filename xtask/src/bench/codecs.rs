//! What the codecs take of each pair of protocols, counted in instructions and so free of noise.
//!
//! Owns the plan that the example of `trunkline-wire` runs, the reading of callgrind's counts and the table. It must not judge: what
//! is to be reached is reached by the gateway as a whole, and `pairs` measures that. A pair that strays there strays here too, and
//! here a neighbour that uses the machine does not show. Where valgrind is missing the table tells the best time of many.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, ensure};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use trunkline_model::dialect::Dialect;

use super::pairs::{Pair, Provider};
use super::protocols::{Prompt, Protocol};
use super::scenario::{CHUNKS, LONG_CHUNKS};
use super::upstreams::Spoken;
use crate::workspace;

/// The function of the example that holds what is counted.
const MEASURED: &str = "codecs::measured";

/// What is run of each pair, and how it is told.
struct Shape {
    title: &'static str,
    kind: Kind,
}

enum Kind {
    Request(Prompt),
    /// A stream, told per chunk.
    Stream(usize),
}

const SHAPES: [Shape; 6] = [
    Shape { title: "1 kB", kind: Kind::Request(Prompt::of(1024)) },
    Shape { title: "10 kB", kind: Kind::Request(Prompt::of(10 * 1024)) },
    Shape { title: "100 kB", kind: Kind::Request(Prompt::of(100 * 1024)) },
    Shape { title: "100 turns", kind: Kind::Request(Prompt::MANY_TURNS) },
    Shape { title: "chunk of 100", kind: Kind::Stream(CHUNKS) },
    Shape { title: "chunk of 2,000", kind: Kind::Stream(LONG_CHUNKS) },
];

/// Runs every pair and prints the table.
///
/// # Errors
/// When the example cannot be built or fails, or its counts cannot be read.
pub(super) fn run() -> anyhow::Result<ExitCode> {
    let program = build()?;
    let folder = workspace::target_directory()?.join("bench");
    std::fs::create_dir_all(&folder).context("failed to create target/bench")?;
    let folder =
        tempfile::Builder::new().prefix("codecs-").tempdir_in(&folder).context("failed to make a folder")?;
    let plan = write_plan(folder.path())?;
    let is_counted = has_valgrind();
    let figures = if is_counted { counted(&program, &plan)? } else { timed(&program, &plan)? };
    let expected = Pair::all().len() * SHAPES.len();
    ensure!(figures.len() == expected, "{} figures where {expected} were expected", figures.len());
    println!("{}", render(&figures, if is_counted { "thousands of instructions" } else { "us" }));
    println!(
        "{}; a translated pair: how much more than the same dialect, and times as much",
        if is_counted { "counted" } else { "valgrind is not installed: best times, which stray" }
    );
    Ok(ExitCode::SUCCESS)
}

fn build() -> anyhow::Result<PathBuf> {
    let mut build = workspace::cargo();
    build.args(["build", "--locked", "--release", "--package", "trunkline-wire", "--example", "codecs"]);
    let status = build.status().context("failed to start cargo build")?;
    ensure!(status.success(), "failed to build what is to be measured");
    Ok(workspace::target_directory()?.join("release/examples/codecs"))
}

/// A line per shape of each pair, in their order.
fn write_plan(folder: &Path) -> anyhow::Result<PathBuf> {
    let write = |name: &str, content: &[u8]| {
        let file = folder.join(name);
        std::fs::write(&file, content).with_context(|| format!("failed to write {}", file.display()))
    };
    let mut plan = String::new();
    for pair in Pair::all() {
        let (client, provider) = (client(pair.client), provider(pair.provider));
        for (index, shape) in SHAPES.iter().enumerate() {
            let (word, file, content) = match shape.kind {
                Kind::Request(prompt) => {
                    let body = pair.client.body(&pair.model(), prompt, false);
                    ("request", format!("{client}-{index}"), body.into_bytes())
                }
                Kind::Stream(chunks) => {
                    let events = spoken(pair.provider).stream(chunks).events;
                    ("stream", format!("{provider}-{index}"), events.concat())
                }
            };
            write(&file, &content)?;
            plan.push_str(&format!("{word} {client} {provider} {file}\n"));
        }
    }
    write("plan", plan.as_bytes())?;
    Ok(folder.join("plan"))
}

const fn client(protocol: Protocol) -> Dialect {
    match protocol {
        Protocol::Chat => Dialect::OpenAi,
        Protocol::Responses => Dialect::Responses,
        Protocol::Messages => Dialect::Anthropic,
        Protocol::Contents => Dialect::Gemini,
    }
}

const fn provider(provider: Provider) -> Dialect {
    match provider {
        Provider::Compatible => Dialect::OpenAi,
        Provider::OpenAi => Dialect::Responses,
        Provider::Anthropic => Dialect::Anthropic,
        Provider::Gemini => Dialect::Gemini,
        Provider::Mistral => Dialect::Mistral,
        Provider::Converse => Dialect::Converse,
        Provider::Cohere => Dialect::Cohere,
    }
}

const fn spoken(provider: Provider) -> Spoken {
    match provider {
        Provider::Compatible | Provider::Mistral => Spoken::Client(Protocol::Chat),
        Provider::OpenAi => Spoken::Client(Protocol::Responses),
        Provider::Anthropic => Spoken::Client(Protocol::Messages),
        Provider::Gemini => Spoken::Client(Protocol::Contents),
        Provider::Converse => Spoken::Converse,
        Provider::Cohere => Spoken::Cohere,
    }
}

fn has_valgrind() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Thousands of instructions of each line of the plan.
fn counted(program: &Path, plan: &Path) -> anyhow::Result<Vec<f64>> {
    let counts = plan.with_file_name("counts");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet"]);
    command.arg(format!("--callgrind-out-file={}", counts.display()));
    // A file of counts is written each time the function ends, and nothing is counted outside of it.
    command.args([format!("--toggle-collect={MEASURED}"), format!("--dump-after={MEASURED}")]);
    let status = command.arg(program).arg(plan).arg("--counted").status();
    ensure!(status.context("failed to start valgrind")?.success(), "failed to run the codecs under valgrind");
    let mut figures = Vec::new();
    while let Ok(text) = std::fs::read_to_string(counts.with_extension(format!("{}", figures.len() + 1))) {
        figures.push(total(&text).context("failed to find the total in callgrind's counts")? / 1_000.0);
    }
    Ok(figures)
}

fn total(counts: &str) -> Option<f64> {
    counts.lines().find_map(|line| line.strip_prefix("summary: "))?.trim().parse().ok()
}

/// Microseconds of each line of the plan.
fn timed(program: &Path, plan: &Path) -> anyhow::Result<Vec<f64>> {
    let output = Command::new(program).arg(plan).output().context("failed to start the codecs")?;
    ensure!(output.status.success(), "failed to run the codecs: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).context("failed to read what the codecs took")?;
    let nanoseconds = |line: &str| line.parse::<f64>().map(|nanoseconds| nanoseconds / 1_000.0);
    text.lines().map(nanoseconds).collect::<Result<_, _>>().context("failed to read what the codecs took")
}

/// A row per pair: the untranslated ones as they are, the others as what they take more and how many times as much.
fn render(figures: &[f64], unit: &str) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(std::iter::once(unit).chain(SHAPES.iter().map(|shape| shape.title)));
    let mut same: &[f64] = &[];
    for (pair, row) in Pair::all().into_iter().zip(figures.chunks(SHAPES.len())) {
        let is_same = pair.is_untranslated();
        if is_same {
            same = row;
        }
        let mut cells = vec![Cell::new(format!("{} to {}", pair.client.name(), pair.provider.name()))];
        cells.extend(row.iter().zip(same).zip(&SHAPES).map(|((figure, same), shape)| {
            let units = if let Kind::Stream(chunks) = shape.kind { chunks as f64 } else { 1.0 };
            let shown = if is_same {
                format!("{:.2}", figure / units)
            } else {
                format!("{:+.2} ({:.2} x)", (figure - same) / units, figure / same)
            };
            Cell::new(shown).set_alignment(CellAlignment::Right)
        }));
        table.add_row(cells);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_has_a_line_and_a_file_for_each_shape_of_each_pair() {
        let folder = tempfile::tempdir().unwrap();
        let plan = std::fs::read_to_string(write_plan(folder.path()).unwrap()).unwrap();
        assert_eq!(plan.lines().count(), Pair::all().len() * SHAPES.len());
        for line in plan.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [kind, client, provider, file] = words[..] else { panic!("{line}") };
            assert!(["request", "stream"].contains(&kind));
            for name in [client, provider] {
                assert!(Dialect::ALL.iter().any(|dialect| dialect.name() == name), "{name}");
            }
            assert!(std::fs::metadata(folder.path().join(file)).unwrap().len() > 512, "{line}");
        }
        assert!(plan.contains(&format!("{} {} ", Dialect::Gemini, Dialect::Mistral)));
    }

    #[test]
    fn callgrinds_total_is_found() {
        let counts = "# callgrind format\nevents: Ir\nsummary: 12345\n\nfn=(1) x\n1 12345\n";
        assert_eq!(total(counts), Some(12_345.0));
        assert_eq!(total("events: Ir\n"), None);
    }

    #[test]
    fn pairs_are_told_by_what_they_take_more_than_their_clients_own() {
        let figures: Vec<f64> = Pair::all()
            .iter()
            .flat_map(|pair| [if pair.is_untranslated() { 200.0 } else { 300.0 }; SHAPES.len()])
            .collect();
        let shown = render(&figures, "us");
        let line = |name: &str| shown.lines().find(|line| line.contains(name)).unwrap().to_owned();
        assert!(line("chat to up-openai").contains("200.00") && line("chat to up-openai").contains("2.00"));
        assert!(line("contents to up-mistral").contains("+100.00 (1.50 x)"));
        assert!(line("contents to up-mistral").contains("+1.00 (1.50 x)"));
    }
}
