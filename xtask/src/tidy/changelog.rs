//! Checks `changelog.d/`: one fragment per visible change, named `SLUG.KIND.md`.
//!
//! Owns the kinds. It must not know how fragments become a changelog.

use super::finding::{Finding, SourceFile};

/// What a change can be, in the words of the changelog's headings.
const KINDS: &[&str] = &["added", "changed", "fixed", "removed", "performance"];

/// Names fragments with a wrong name or nothing in them.
pub(crate) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let Some(name) = file.path.strip_prefix("changelog.d/") else { continue };
        if matches!(name, "README.md" | ".gitkeep") {
            continue;
        }
        if !is_fragment(name) {
            let remedy =
                format!("name it SLUG.KIND.md: SLUG of a-z, 0-9 and `-`, KIND one of {}", KINDS.join(", "));
            findings.push(Finding::error(&file.path, 0, "not the name of a changelog fragment", remedy));
        } else if file.text.trim().is_empty() {
            findings.push(Finding::error(
                &file.path,
                0,
                "an empty changelog fragment",
                "say what changed for a user",
            ));
        }
    }
    findings
}

fn is_fragment(name: &str) -> bool {
    let mut parts = name.split('.');
    let (Some(slug), Some(kind), Some("md"), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let slug_is_plain =
        slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    !slug.is_empty() && slug_is_plain && KINDS.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misnamed_and_empty_fragments_are_found() {
        let files = [
            SourceFile::new("changelog.d/README.md", ""),
            SourceFile::new("changelog.d/first-gateway.added.md", "One binary.\n"),
            SourceFile::new("changelog.d/first-gateway.new.md", "One binary.\n"),
            SourceFile::new("changelog.d/First.added.md", "One binary.\n"),
            SourceFile::new("changelog.d/notes.md", "One binary.\n"),
            SourceFile::new("changelog.d/nothing.fixed.md", " \n"),
            SourceFile::new("docs/notes.md", ""),
        ];
        let found: Vec<_> =
            check(&files).into_iter().map(|finding| (finding.path, finding.problem)).collect();
        let misnamed = "not the name of a changelog fragment".to_owned();
        assert_eq!(
            found,
            [
                ("changelog.d/first-gateway.new.md".to_owned(), misnamed.clone()),
                ("changelog.d/First.added.md".to_owned(), misnamed.clone()),
                ("changelog.d/notes.md".to_owned(), misnamed),
                ("changelog.d/nothing.fixed.md".to_owned(), "an empty changelog fragment".to_owned()),
            ]
        );
    }
}
