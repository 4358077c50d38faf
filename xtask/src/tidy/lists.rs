//! Checks that explicit lists and folders say the same: provider presets and provider adapters.
//!
//! Owns where the lists and folders are. A list keeps the order and makes a build fail on a missing file; this check
//! finds the other mistake, a file that nobody listed and that would therefore silently do nothing.

use super::finding::{Finding, SourceFile};
use super::lexer;

const PRESETS: &str = "crates/providers/presets/";
const ADAPTERS: &str = "crates/providers/src/adapters/";

/// Names presets in the folder that the list in `providers` does not name, and the other way round.
pub(crate) fn check_presets(files: &[SourceFile]) -> Vec<Finding> {
    let in_folder: Vec<&str> = files.iter().filter_map(|file| preset_name(&file.path)).collect();
    if in_folder.is_empty() {
        return Vec::new();
    }
    let sources: Vec<&SourceFile> =
        files.iter().filter(|file| file.path.starts_with("crates/providers/src/preset")).collect();
    let Some(list) = sources.iter().find(|file| item(&lexer::lex(&file.text).code, "ALL").is_some()) else {
        let problem = "no list `ALL` of presets in crates/providers/src/preset*";
        return vec![Finding::error(
            "crates/providers/src",
            0,
            problem,
            "name every preset once in `const ALL`",
        )];
    };
    let lexed = lexer::lex(&list.text);
    let tests = lexer::test_lines(&lexed.code);
    let listed: Vec<(usize, &str)> = lexed
        .literals
        .iter()
        .filter(|literal| !tests.iter().any(|lines| lines.contains(&literal.line)))
        .map(|literal| (literal.line, literal.text.as_str()))
        .collect();
    let mut findings = Vec::new();
    for name in &in_folder {
        if !listed.iter().any(|(_, text)| text == name || preset_literal(text) == Some(name)) {
            let place = format!("{PRESETS}{name}.toml");
            let remedy = format!("add it to `ALL` in {}, or remove the file", list.path);
            findings.push(Finding::error(&place, 0, "a preset that the list does not name", remedy));
        }
    }
    for (line, name) in listed.iter().filter_map(|(line, text)| Some((line, preset_literal(text)?))) {
        if !in_folder.contains(&name) {
            let problem = format!("the list names the preset `{name}`, which has no file");
            findings.push(Finding::error(&list.path, *line, problem, format!("add {PRESETS}{name}.toml")));
        }
    }
    findings
}

/// Names adapter folders that the list `ALL` beside them does not name.
pub(crate) fn check_adapters(files: &[SourceFile]) -> Vec<Finding> {
    let mut folders: Vec<&str> = files
        .iter()
        .filter_map(|file| file.path.strip_prefix(ADAPTERS)?.strip_suffix("/mod.rs"))
        .filter(|name| !name.contains('/'))
        .collect();
    folders.sort_unstable();
    if folders.is_empty() {
        return Vec::new();
    }
    let place = format!("{ADAPTERS}mod.rs");
    let code = files.iter().find(|file| file.path == place).map(|file| lexer::lex(&file.text).code);
    let Some((line, list)) = code.as_deref().and_then(|code| item(code, "ALL")) else {
        return vec![Finding::error(
            &place,
            0,
            "no list `ALL` of adapters",
            "name every adapter once in `const ALL`",
        )];
    };
    let words: Vec<&str> = list.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    folders
        .into_iter()
        .filter(|folder| !words.contains(folder))
        .map(|folder| {
            let problem = format!("the adapter in `{folder}/` is not named by `ALL`");
            Finding::error(
                &place,
                line,
                problem,
                format!("add `{folder}::...` to `ALL`, or remove the folder"),
            )
        })
        .collect()
}

/// `crates/providers/presets/NAME.toml` gives `NAME`.
fn preset_name(path: &str) -> Option<&str> {
    path.strip_prefix(PRESETS)?.strip_suffix(".toml").filter(|name| !name.contains('/'))
}

/// `.../presets/NAME.toml` in a literal gives `NAME`.
fn preset_literal(text: &str) -> Option<&str> {
    let (_, file) = text.rsplit_once("presets/")?;
    file.strip_suffix(".toml")
}

/// Line and text of the constant or static `name`, from its name to the semicolon that ends it.
fn item<'code>(code: &'code str, name: &str) -> Option<(usize, &'code str)> {
    for keyword in ["const", "static"] {
        let opening = format!("{keyword} {name}:");
        if let Some(start) = code.find(&opening) {
            let body = &code[start..];
            let value = body.find('=').unwrap_or(0);
            let end = body[value..].find(';').map_or(body.len(), |end| value + end);
            return Some((lexer::line_at(code, start), &body[..end]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(findings: Vec<Finding>) -> Vec<(String, String)> {
        findings.into_iter().map(|finding| (finding.path, finding.problem)).collect()
    }

    const LIST: &str = "//! Presets.\npub const ALL: &[(&str, &str)] = &[\n    \
                        (\"groq\", include_str!(\"../presets/groq.toml\")),\n];\n";

    #[test]
    fn a_preset_that_nobody_listed_is_found() {
        let files = [
            SourceFile::new("crates/providers/src/preset.rs", LIST),
            SourceFile::new("crates/providers/presets/groq.toml", ""),
            SourceFile::new("crates/providers/presets/together.toml", ""),
        ];
        assert_eq!(
            problems(check_presets(&files)),
            [(
                "crates/providers/presets/together.toml".to_owned(),
                "a preset that the list does not name".to_owned()
            )]
        );
    }

    #[test]
    fn a_listed_preset_without_its_file_is_found() {
        let files = [
            SourceFile::new("crates/providers/src/preset.rs", LIST),
            SourceFile::new("crates/providers/presets/other.toml", ""),
        ];
        assert_eq!(check_presets(&files).len(), 2);
        assert_eq!(check_presets(&files)[1].line, 3);
    }

    #[test]
    fn presets_without_a_list_are_found_and_no_presets_need_none() {
        assert_eq!(check_presets(&[SourceFile::new("crates/providers/presets/groq.toml", "")]).len(), 1);
        assert_eq!(check_presets(&[SourceFile::new("crates/providers/src/preset.rs", LIST)]), []);
    }

    #[test]
    fn an_adapter_that_nobody_listed_is_found() {
        let list = "//! Adapters.\nmod one;\nmod two;\npub const ALL: &[&Adapter; 1] = &[&one::ADAPTER];\n";
        let files = [
            SourceFile::new("crates/providers/src/adapters/mod.rs", list),
            SourceFile::new("crates/providers/src/adapters/one/mod.rs", ""),
            SourceFile::new("crates/providers/src/adapters/two/mod.rs", ""),
        ];
        assert_eq!(
            problems(check_adapters(&files)),
            [(
                "crates/providers/src/adapters/mod.rs".to_owned(),
                "the adapter in `two/` is not named by `ALL`".to_owned()
            )]
        );
        assert_eq!(check_adapters(&files[1..]).len(), 1);
    }
}
