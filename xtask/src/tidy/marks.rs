//! Marks that must not be committed: unfinished work, silenced lints, ignored tests, paths of one machine.
//!
//! Owns the list of marks. Those that are Rust are looked for in code only, never in comments or strings, so that this
//! file may name them; paths are looked for everywhere.

use super::finding::{Finding, SourceFile};
use super::lexer;

/// Rust that is refused, and what to do instead.
const IN_CODE: &[(&str, &str)] = &[
    ("#[allow(", "write `#[expect(lint, reason = \"...\")]`, which complains once it is no longer needed"),
    ("#![allow(", "write `#![expect(lint, reason = \"...\")]`, which complains once it is no longer needed"),
    ("todo!(", "finish it, or return a typed error that says what is not supported"),
    ("unimplemented!(", "finish it, or return a typed error that says what is not supported"),
    ("#[ignore", "make the test fast and steady, or remove it: a test that never runs shows nothing"),
    ("dbg!(", "remove it"),
];

/// Folders of one machine. Split in two so that this file does not hold them.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];

/// Names every mark that must not be committed.
pub(crate) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        if file.path.ends_with(".rs") {
            code_marks(file, &mut findings);
        }
        for (number, line) in file.text.lines().enumerate() {
            if let Some(path) = MACHINE_PATHS.iter().find(|path| names_folder(line, path)) {
                let problem = format!("a path of one machine, `{path}`");
                findings.push(Finding::error(
                    &file.path,
                    number + 1,
                    problem,
                    "use a path relative to the repository",
                ));
            }
        }
    }
    findings
}

fn code_marks(file: &SourceFile, findings: &mut Vec<Finding>) {
    let code = lexer::lex(&file.text).code;
    for (number, line) in code.lines().enumerate() {
        for (mark, remedy) in IN_CODE {
            if names_macro(line, mark) {
                findings.push(Finding::error(
                    &file.path,
                    number + 1,
                    format!("`{mark}` is not committed"),
                    *remedy,
                ));
            }
        }
    }
}

/// True when `mark` stands in the line and is not the tail of a longer word.
fn names_macro(line: &str, mark: &str) -> bool {
    line.match_indices(mark).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|character| character.is_alphanumeric() || character == '_')
    })
}

/// True when an absolute path in the line starts with `folder`; a relative path or an address that goes through a
/// folder of that name is not meant.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let findings = check(&[SourceFile::new(path, text)]);
        findings.into_iter().map(|finding| (finding.line, finding.problem)).collect()
    }

    #[test]
    fn unfinished_and_silenced_code_is_found() {
        let text = "fn a() { todo!() }\n#[allow(dead_code)]\n#[test]\n#[ignore = \"slow\"]\nfn b() {}\n";
        assert_eq!(
            found("a.rs", text),
            [
                (1, "`todo!(` is not committed".to_owned()),
                (2, "`#[allow(` is not committed".to_owned()),
                (4, "`#[ignore` is not committed".to_owned()),
            ]
        );
    }

    #[test]
    fn the_same_words_in_comments_strings_and_longer_names_are_fine() {
        assert_eq!(found("a.rs", "// todo!()\nlet a = \"#[allow(x)]\";\nmy_todo!(b);\n"), []);
        assert_eq!(found("a.md", "todo!()\n"), []);
    }

    #[test]
    fn paths_of_one_machine_are_found_in_any_file() {
        let folder = MACHINE_PATHS[0];
        let problem = format!("a path of one machine, `{folder}`");
        assert_eq!(found("docs/a.md", &format!("fine\nsee {folder}shared\n")), [(2, problem.clone())]);
        assert_eq!(found("a.rs", &format!("let a = \"{folder}shared\";")), [(1, problem)]);
    }

    #[test]
    fn relative_paths_and_addresses_through_such_a_folder_are_fine() {
        let folder = MACHINE_PATHS[0];
        assert_eq!(
            found(
                "docs/a.md",
                &format!("https://example.com{folder}x and .{folder}y and ${{HOME}}{folder}z")
            ),
            []
        );
    }
}
