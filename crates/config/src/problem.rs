//! Mistakes in a configuration: where, what, and a way out.
//!
//! Owns their collection and their rendering with the lines they stand in. Must not know any setting. Problems are values
//! that pile up, not errors that end the reading: a user mends a file once, not once per mistake.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::fmt;
use std::ops::Range;

use crate::source::Source;

/// A place in one of the sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which source.
    pub source: usize,
    /// Which bytes of it.
    pub span: Range<usize>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but probably not as meant.
    Warning,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What, in one sentence without a full stop.
    pub message: String,
    /// A way out.
    pub hint: Option<String>,
    /// How bad.
    pub severity: Severity,
}

impl Problem {
    /// An error at a place.
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), hint: None, severity: Severity::Error }
    }

    /// The same with a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same as a warning.
    #[must_use]
    pub const fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }
}

/// All mistakes found so far, bounded: after 100 nobody reads on.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
    errors: usize,
    unlisted: usize,
}

impl Problems {
    const MOST: usize = 100;

    /// Adds one, unless it was said before. Errors count even where no more are listed: a hundred warnings must not make a
    /// configuration usable.
    pub fn push(&mut self, problem: Problem) {
        if self.list.contains(&problem) {
            return;
        }
        if problem.severity == Severity::Error {
            self.errors += 1;
        }
        if self.list.len() < Self::MOST {
            self.list.push(problem);
        } else {
            self.unlisted += 1;
        }
    }

    /// Brings them into the order of the text.
    pub(crate) fn sort(&mut self) {
        self.list.sort_by_key(|problem| (problem.place.source, problem.place.span.start));
    }

    /// Whether any of them makes the configuration unusable.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// All of them, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// As text for a terminal, with the lines they stand in.
    #[must_use]
    pub fn render(&self, sources: &[Source], styled: bool) -> String {
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for problem in &self.list {
            text.push_str(&render_one(&renderer, problem, sources));
            text.push_str("\n\n");
        }
        if self.unlisted > 0 {
            text.push_str(&format!("... and {} more\n\n", self.unlisted));
        }
        let errors = self.errors;
        let warnings = self.list.len() + self.unlisted - errors;
        text.push_str(&format!(
            "{errors} {}, {warnings} {}\n",
            plural(errors, "error"),
            plural(warnings, "warning")
        ));
        text
    }
}

fn render_one(renderer: &Renderer, problem: &Problem, sources: &[Source]) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group =
        level.primary_title(&problem.message).elements(std::iter::empty::<annotate_snippets::Element<'_>>());
    if let Some(source) = sources.get(problem.place.source) {
        let end = source.text.floor_char_boundary(problem.place.span.end);
        let start = source.text.floor_char_boundary(problem.place.span.start.min(end));
        // A long value (a map, a list) is shown by its first line only.
        let first_line = source.text[start..end].find('\n').map_or(end, |offset| start + offset);
        group = group.element(
            Snippet::source(&source.text)
                .path(&source.path)
                .annotation(AnnotationKind::Primary.span(start..first_line)),
        );
    }
    if let Some(hint) = &problem.hint {
        group = group.element(Level::HELP.message(hint));
    }
    renderer.render(&[group])
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Clone, Debug)]
pub struct InvalidConfiguration {
    /// The mistakes.
    pub problems: Problems,
    /// The texts they stand in, for showing: credentials written out in them are masked.
    pub sources: Vec<Source>,
}

impl fmt::Display for InvalidConfiguration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.problems.render(&self.sources, false))
    }
}

impl std::error::Error for InvalidConfiguration {}

/// `did you mean ...` for a name that does not exist; falls back to naming what there is.
#[must_use]
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    let near = trunkline_model::nearest::nearest(name, known.iter().copied(), 3);
    if !near.is_empty() {
        return Some(format!("did you mean {}?", join_or(&near)));
    }
    (!known.is_empty() && known.len() <= 24).then(|| format!("there is {}", join_or(&known)))
}

fn join_or(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
