//! Checks that links in Markdown lead somewhere.
//!
//! Owns the reading of links and headings. Addresses outside the repository are not followed: a check that needs a
//! network fails for reasons that are not ours.

use super::finding::{Finding, SourceFile};

/// Names links to files or headings that do not exist. `paths` are all files of the repository, text or not.
pub(crate) fn check(files: &[SourceFile], paths: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| is_documentation(&file.path)) {
        for link in links(&file.text) {
            if let Some(problem) = broken(file, &link.target, files, paths) {
                findings.push(Finding::error(
                    &file.path,
                    link.line,
                    problem,
                    "correct the link or add what it leads to",
                ));
            }
        }
    }
    findings
}

fn is_documentation(path: &str) -> bool {
    path.ends_with(".md")
        && (path.starts_with("docs/") || path.starts_with("changelog.d/") || !path.contains('/'))
}

struct Link {
    line: usize,
    target: String,
}

fn links(text: &str) -> Vec<Link> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let mut rest = line.as_str();
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            let Some(end) = rest.find(')') else { break };
            // A link may carry a title: `(page.md "The page")`.
            let target = rest[..end].split_whitespace().next().unwrap_or_default();
            found.push(Link { line: number, target: target.trim_matches(['<', '>']).to_owned() });
            rest = &rest[end..];
        }
    }
    found
}

/// Lines outside fenced blocks, with inline code blanked, numbered from 1.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let plain = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
            lines.push((number + 1, plain));
        }
    }
    lines
}

fn broken(file: &SourceFile, target: &str, files: &[SourceFile], paths: &[String]) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (place, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if place.is_empty() { file.path.clone() } else { resolve(&file.path, place) };
    let is_folder =
        |path: &str| path.is_empty() || paths.iter().any(|other| other.starts_with(&format!("{path}/")));
    if !paths.contains(&path) {
        return (!is_folder(&path)).then(|| format!("the link to `{target}` leads to no file"));
    }
    let page = files.iter().find(|other| other.path == path && path.ends_with(".md"))?;
    let known = anchor.is_empty() || anchors(&page.text).any(|other| other == anchor);
    (!known).then(|| format!("the link to `{target}` names a heading that `{path}` does not have"))
}

/// Path of `place` as seen from the folder of `from`, without `.` and `..`.
fn resolve(from: &str, place: &str) -> String {
    let mut parts: Vec<&str> = match place.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => from.rsplit_once('/').map_or(Vec::new(), |(folder, _)| folder.split('/').collect()),
    };
    for part in place.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Anchors of the headings of a page, as code hosts make them: lower case, spaces to dashes, punctuation dropped.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.into_iter().filter(|line| line.starts_with('#')).map(|line| {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        heading
            .chars()
            .filter_map(|character| match character {
                ' ' => Some('-'),
                '-' | '_' => Some(character),
                other => other.is_alphanumeric().then_some(other),
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, String)> {
        let files = [
            SourceFile::new("docs/start.md", text),
            SourceFile::new("docs/configure.md", "# Configure\n## Keys, first part\n"),
            SourceFile::new("README.md", "# Trunkline\n"),
        ];
        let mut paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
        paths.push("docs/images/demo.png".to_owned());
        let findings = check(&files, &paths);
        findings.into_iter().map(|finding| (finding.line, finding.problem)).collect()
    }

    #[test]
    fn links_to_nothing_are_found() {
        assert_eq!(
            found("# Start\n[a](missing.md) and [b](configure.md#nothing)\n[c](#nowhere)\n"),
            [
                (2, "the link to `missing.md` leads to no file".to_owned()),
                (2, "the link to `configure.md#nothing` names a heading that `docs/configure.md` does not have".to_owned()),
                (3, "the link to `#nowhere` names a heading that `docs/start.md` does not have".to_owned()),
            ]
        );
    }

    #[test]
    fn links_that_lead_somewhere_are_fine() {
        let text = "# Start\n[a](configure.md#keys-first-part) [b](../README.md \"Title\") [c](images/demo.png)\n\
                    [d](images) [e](https://example.com/x) [f](#start) [g](/docs/configure.md)\n";
        assert_eq!(found(text), []);
    }

    #[test]
    fn code_is_not_read_for_links() {
        assert_eq!(found("`[a](missing.md)`\n```\n[b](missing.md)\n```\n"), []);
    }
}
