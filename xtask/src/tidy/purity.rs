//! Checks that every pure crate carries the same bans for clippy.
//!
//! Owns the comparison of the pure crates' `clippy.toml` files. Clippy reads the nearest file only, so each of these
//! must repeat the root's settings, and one that drifted would silently ban less.

use super::finding::{Finding, SourceFile};
use super::graph::PURE;

/// The settings every crate has.
const ROOT: &str = "clippy.toml";

/// Names pure crates whose `clippy.toml` is missing, differs from the others or leaves out a setting of the root.
pub(crate) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let text = |path: &str| files.iter().find(|file| file.path == path).map(|file| file.text.as_str());
    let model = format!("crates/{}/clippy.toml", PURE[0]);
    let expected = text(&model);
    let mut findings = Vec::new();
    for name in PURE {
        let path = format!("crates/{name}/clippy.toml");
        match (text(&path), expected) {
            (None, _) => findings.push(Finding::error(
                &path,
                0,
                "a pure crate without its bans on clocks, files and environment",
                format!("copy {model}"),
            )),
            (Some(found), Some(expected)) if found != expected => findings.push(Finding::error(
                &path,
                first_difference(found, expected),
                format!("differs from {model}"),
                "keep the files equal: every pure crate has the same bans",
            )),
            _ => {}
        }
    }
    if let (Some(root), Some(pure)) = (text(ROOT), expected) {
        for setting in root.lines().filter(|line| line.contains('=')) {
            if !pure.lines().any(|line| line == setting) {
                let problem = format!("the root's setting `{setting}` is not repeated");
                findings.push(Finding::error(
                    &model,
                    0,
                    problem,
                    "add it: clippy reads the nearest file only",
                ));
            }
        }
    }
    findings
}

fn first_difference(found: &str, expected: &str) -> usize {
    let common = found.lines().zip(expected.lines()).take_while(|(left, right)| left == right).count();
    common + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(changed: &str, text: Option<&str>) -> Vec<SourceFile> {
        let mut files = vec![SourceFile::new(ROOT, "limit = 80\n")];
        for name in PURE {
            let path = format!("crates/{name}/clippy.toml");
            match (path == changed, text) {
                (true, None) => {}
                (true, Some(text)) => files.push(SourceFile::new(&path, text)),
                (false, _) => files.push(SourceFile::new(&path, "limit = 80\nbans = []\n")),
            }
        }
        files
    }

    #[test]
    fn equal_files_that_repeat_the_root_are_fine() {
        assert_eq!(check(&files("", None)), []);
    }

    #[test]
    fn a_missing_file_and_a_drifted_file_are_found() {
        let missing = check(&files("crates/wire/clippy.toml", None));
        assert_eq!(missing.len(), 1);
        assert!(missing[0].problem.starts_with("a pure crate without its bans"));
        let drifted = check(&files("crates/wire/clippy.toml", Some("limit = 80\nbans = [1]\n")));
        assert_eq!(
            (drifted[0].line, drifted[0].problem.as_str()),
            (2, "differs from crates/model/clippy.toml")
        );
    }

    #[test]
    fn a_setting_of_the_root_that_is_not_repeated_is_found() {
        let mut files = files("", None);
        files[0].text.push_str("more = true\n");
        assert_eq!(check(&files)[0].problem, "the root's setting `more = true` is not repeated");
    }
}
