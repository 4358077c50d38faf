//! Checks of modules as wholes: they open with their documentation and stay small.
//!
//! Owns the limits of size. It must not judge what the documentation says beyond its being there: that is a reviewer's
//! work.

use super::finding::{Finding, SourceFile};

/// Lines above which a file is named in a warning.
const LONG: usize = 600;
/// Lines above which a file fails the run.
const TOO_LONG: usize = 900;
/// Line that exempts a file which is one list, such as a catalogue: splitting it would only scatter it.
const ONE_LIST: &str = "// tidy: one list";
/// Characters below which a module's documentation cannot say anything.
const SHORTEST_DOC: usize = 24;

/// Names modules that do not open with `//!`, or whose documentation says nothing.
pub(crate) fn check_docs(files: &[SourceFile]) -> Vec<Finding> {
    files.iter().filter(|file| is_module(file)).filter_map(doc_finding).collect()
}

/// Names Rust files that have grown too long.
pub(crate) fn check_sizes(files: &[SourceFile]) -> Vec<Finding> {
    let rust = files.iter().filter(|file| file.path.ends_with(".rs"));
    rust.filter(|file| !file.text.lines().any(|line| line.trim_end() == ONE_LIST))
        .filter_map(|file| {
            let lines = file.text.lines().count();
            let problem = |limit: usize| format!("{lines} lines, more than {limit}");
            let remedy = format!(
                "split it by what it knows; a file that is one list says `{ONE_LIST}` on its own line"
            );
            if lines > TOO_LONG {
                Some(Finding::error(&file.path, 0, problem(TOO_LONG), remedy))
            } else if lines > LONG {
                Some(Finding::warning(&file.path, 0, problem(LONG), remedy))
            } else {
                None
            }
        })
        .collect()
}

fn is_module(file: &SourceFile) -> bool {
    let in_xtask = file.path.starts_with("xtask/src/") && file.path.ends_with(".rs");
    file.source_of().is_some() || in_xtask
}

fn doc_finding(file: &SourceFile) -> Option<Finding> {
    let remedy = "open the file with `//!`: what it owns, what it must not know, the one non-obvious reason";
    if !file.text.starts_with("//!") {
        return Some(Finding::error(&file.path, 1, "no module documentation on the first line", remedy));
    }
    let doc: String = file
        .text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ");
    (doc.trim().len() < SHORTEST_DOC)
        .then(|| Finding::error(&file.path, 1, "module documentation that says nothing", remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_documentation_is_found() {
        let files = [
            SourceFile::new(
                "crates/net/src/a.rs",
                "use x;\n//! Too late to be the documentation of anything.",
            ),
            SourceFile::new("xtask/src/b.rs", "//! Placeholder.\n"),
            SourceFile::new(
                "crates/net/src/c.rs",
                "//! Pools: who may use a connection, and when it is closed.\n",
            ),
            SourceFile::new("crates/net/tests/d.rs", "use x;\n"),
        ];
        let found: Vec<_> =
            check_docs(&files).into_iter().map(|finding| (finding.path, finding.problem)).collect();
        assert_eq!(
            found,
            [
                ("crates/net/src/a.rs".into(), "no module documentation on the first line".into()),
                ("xtask/src/b.rs".into(), "module documentation that says nothing".into()),
            ]
        );
    }

    #[test]
    fn long_files_are_warned_about_and_then_refused() {
        let of = |lines: usize| SourceFile::new("crates/net/src/a.rs", &"x\n".repeat(lines));
        assert_eq!(check_sizes(&[of(LONG)]), []);
        assert_eq!(check_sizes(&[of(LONG + 1)])[0].severity, super::super::Severity::Warning);
        assert_eq!(check_sizes(&[of(TOO_LONG + 1)])[0].severity, super::super::Severity::Error);
    }

    #[test]
    fn a_file_that_is_one_list_may_be_long() {
        let text = format!("//! Names.\n{ONE_LIST}\n{}", "x\n".repeat(TOO_LONG));
        assert_eq!(check_sizes(&[SourceFile::new("crates/net/src/a.rs", &text)]), []);
    }
}
