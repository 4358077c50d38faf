//! What a check works on and what it says.
//!
//! Owns [`SourceFile`] (a path and its text) and [`Finding`] (a place, what is wrong, what to do). Neither knows where
//! files come from: a check is a function from a file list to findings, so its tests need no repository.

use std::fmt;

/// A text file of the repository.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// Path relative to the root, with `/` on every platform.
    pub(crate) path: String,
    /// The whole content.
    pub(crate) text: String,
}

impl SourceFile {
    /// A file made up by a test.
    #[cfg(test)]
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The workspace crate whose sources this file belongs to: `crates/NAME/src/...` gives `NAME`.
    pub(crate) fn source_of(&self) -> Option<&str> {
        let (name, rest) = self.path.strip_prefix("crates/")?.split_once('/')?;
        (rest.starts_with("src/") && rest.ends_with(".rs")).then_some(name)
    }

    /// True for Rust files that exist only for tests, by their name or folder.
    pub(crate) fn is_test_only(&self) -> bool {
        self.path.split('/').any(|part| matches!(part, "tests" | "benches" | "testing"))
            || self.path.ends_with("/tests.rs")
            || self.path.ends_with("_tests.rs")
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Worth a look; does not fail the run.
    Warning,
    /// Fails the run.
    Error,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// File or folder, relative to the root.
    pub(crate) path: String,
    /// Line, counted from 1; 0 when the finding is about the whole file.
    pub(crate) line: usize,
    /// Whether it fails the run.
    pub(crate) severity: Severity,
    /// What is wrong.
    pub(crate) problem: String,
    /// What to do about it.
    pub(crate) remedy: String,
}

impl Finding {
    /// A finding that fails the run. `line` counts from 1; 0 means the whole file.
    pub(crate) fn error(
        path: &str,
        line: usize,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            line,
            severity: Severity::Error,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// A finding that is only shown.
    pub(crate) fn warning(
        path: &str,
        line: usize,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, line, problem, remedy) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.severity {
            Severity::Warning => "warning: ",
            Severity::Error => "",
        };
        match self.line {
            0 => write!(formatter, "{}: {kind}{}\n    do: {}", self.path, self.problem, self.remedy),
            line => {
                write!(formatter, "{}:{line}: {kind}{}\n    do: {}", self.path, self.problem, self.remedy)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_place_problem_and_remedy() {
        let shown = Finding::error("a.rs", 3, "no docs", "write them").to_string();
        assert_eq!(shown, "a.rs:3: no docs\n    do: write them");
        let shown = Finding::warning("a.rs", 0, "long", "split it").to_string();
        assert_eq!(shown, "a.rs: warning: long\n    do: split it");
    }

    #[test]
    fn files_know_their_crate_and_whether_they_are_tests() {
        assert_eq!(SourceFile::new("crates/route/src/plan.rs", "").source_of(), Some("route"));
        assert_eq!(SourceFile::new("crates/route/tests/plan.rs", "").source_of(), None);
        assert_eq!(SourceFile::new("xtask/src/main.rs", "").source_of(), None);
        assert!(SourceFile::new("crates/route/tests/plan.rs", "").is_test_only());
        assert!(SourceFile::new("crates/route/src/plan/tests.rs", "").is_test_only());
        assert!(!SourceFile::new("crates/route/src/plan.rs", "").is_test_only());
    }
}
