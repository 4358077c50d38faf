//! `cargo xtask test`: the one command that runs everything that must pass.
//!
//! Owns the list of steps and the closing summary. It must not know what a step tests. All steps run even after one
//! has failed, because a person who waits ten minutes wants every answer at once; a step that cannot run here is a
//! skip on a desk and a failure in continuous integration, where nobody would read that it was skipped.

mod check;
mod count;
mod environment;
mod official;
mod rust;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use self::count::Count;
pub(crate) use self::official::{ConformanceOptions, chore as run_conformance};
use crate::workspace;

/// Options of `cargo xtask test`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Run only this step; may be given several times.
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
}

/// A step of the run, in the order in which they run: the quick ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// `cargo fmt --check`.
    Format,
    /// `cargo xtask tidy`: the invariants of the repository.
    Tidy,
    /// `cargo clippy` on every target, warnings refused.
    Lints,
    /// `cargo deny`: licences, banned packages, sources.
    Licences,
    /// Unit, property, golden, corpus and end-to-end tests.
    Tests,
    /// Tests of what is behind features that are off.
    Features,
    /// Examples in documentation.
    Doctests,
    /// The official clients and frameworks against the gateway and the simulators; also `cargo xtask conformance`.
    Clients,
}

/// How a step ended.
#[derive(Debug)]
struct Outcome {
    count: Count,
    /// Why something was skipped, or what failed beyond what the step itself printed.
    note: Option<String>,
}

impl Outcome {
    fn passed() -> Self {
        Self { count: Count { passed: 1, ..Count::default() }, note: None }
    }

    fn failed(note: impl Into<String>) -> Self {
        Self { count: Count { failed: 1, ..Count::default() }, note: Some(note.into()) }
    }

    /// A step that cannot run here: a skip on a desk, a failure in continuous integration.
    fn unavailable(reason: &str) -> Self {
        if workspace::is_continuous_integration() {
            return Self::failed(format!("could not run: {reason}"));
        }
        Self { count: Count { skipped: 1, ..Count::default() }, note: Some(format!("skipped: {reason}")) }
    }
}

/// Runs the steps and prints the summary, whose last line is `N passed, N failed, N skipped`.
///
/// # Errors
/// Never for a failing step, which is a failing exit code; only when the run itself cannot go on.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let steps =
        Step::value_variants().iter().filter(|step| options.only.is_empty() || options.only.contains(step));
    let mut finished = Vec::new();
    for step in steps {
        println!("\n==> {}", step.name());
        let start = Instant::now();
        match step.run() {
            Ok(Some(outcome)) => finished.push((step.name(), start.elapsed(), outcome)),
            Ok(None) => println!("nothing to run"),
            Err(error) => {
                finished.push((step.name(), start.elapsed(), Outcome::failed(format!("{error:#}"))))
            }
        }
    }
    print!("{}", summary(&finished));
    let failed = finished.iter().any(|(.., outcome)| outcome.count.failed > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Step {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Runs the step; `None` when the repository has nothing for it yet.
    fn run(self) -> anyhow::Result<Option<Outcome>> {
        match self {
            Self::Format => check::format().map(Some),
            Self::Tidy => check::tidy().map(Some),
            Self::Lints => check::lints().map(Some),
            Self::Licences => check::licences().map(Some),
            Self::Tests => rust::tests().map(Some),
            Self::Features => rust::features().map(Some),
            Self::Doctests => rust::doctests().map(Some),
            Self::Clients => official::run(),
        }
    }
}

fn summary(finished: &[(String, Duration, Outcome)]) -> String {
    let mut text = String::from("\n==> summary\n");
    let mut total = Count::default();
    for (name, took, outcome) in finished {
        let verdict = match outcome.count {
            Count { failed: 1.., .. } => "FAILED",
            Count { passed: 0, .. } => "skipped",
            Count { .. } => "ok",
        };
        text.push_str(&format!("{name:<10} {verdict:<8} {:>6.1} s   {}", took.as_secs_f64(), outcome.count));
        if let Some(note) = &outcome.note {
            text.push_str(&format!("   ({note})"));
        }
        text.push('\n');
        total += outcome.count;
    }
    text.push_str(&format!("\n{total}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_ends_with_the_sum_alone_on_its_line() {
        let finished = [
            ("format".to_owned(), Duration::from_millis(1500), Outcome::passed()),
            (
                "tests".to_owned(),
                Duration::from_secs(80),
                Outcome { count: Count { passed: 120, failed: 2, skipped: 1 }, note: None },
            ),
            (
                "clients".to_owned(),
                Duration::ZERO,
                Outcome {
                    count: Count { skipped: 1, ..Count::default() },
                    note: Some("skipped: no pip".into()),
                },
            ),
        ];
        assert_eq!(
            summary(&finished),
            "\n==> summary\n\
             format     ok          1.5 s   1 passed, 0 failed, 0 skipped\n\
             tests      FAILED     80.0 s   120 passed, 2 failed, 1 skipped\n\
             clients    skipped     0.0 s   0 passed, 0 failed, 1 skipped   (skipped: no pip)\n\
             \n121 passed, 2 failed, 2 skipped\n"
        );
    }
}
