//! Runs the examples of the documentation against the built binary, so that no page shows what is not so.
//!
//! A block's info string says what happens to it, page by page, in order, in one folder per page:
//! - `yaml check` must pass `trunkline check` without a warning; `file=NAME` keeps it under that name for what follows;
//! - any block with `file=NAME` is written to that file;
//! - `console run` runs each line after `$ ` in a shell; every further line must be in its output (blanks do not count, `...`
//!   stands for anything).

use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

struct Block {
    line: usize,
    info: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                open = Some(Block { line: number + 1, info: info.trim().to_owned(), text: String::new() })
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

fn shell(folder: &Path, command: &str) -> (bool, String) {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_trunkline"));
    let path = format!(
        "{}:{}",
        binary.parent().expect("a file stands in a folder").display(),
        std::env::var("PATH").expect("there is a PATH")
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{command} 2>&1")]).current_dir(folder).env_clear().env("PATH", path);
    for variable in [
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "GEMINI_API_KEY",
        "OPENAI_EU_KEY",
        "WEB_TEAM_KEY",
        "TRUNKLINE_KEY_SECRET",
    ] {
        shell.env(variable, format!("{variable}-for-the-documentation"));
    }
    let output = shell.output().expect("sh runs");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Words with single blanks between them, so that tables and wrapping do not count.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn run(block: &Block, folder: &Path, wrong: &mut Vec<String>) {
    let mut output = String::new();
    for line in block.text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            output = words(&shell(folder, command).1);
            continue;
        }
        for piece in line.split("...").map(words).filter(|piece| !piece.is_empty()) {
            if !output.contains(&piece) {
                wrong.push(format!("line {}: `{piece}` is not in the output: {output}", block.line));
            }
        }
    }
}

fn try_page(page: &Path) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut wrong = Vec::new();
    for block in blocks(&std::fs::read_to_string(page).expect("the page can be read")) {
        let info: Vec<&str> = block.info.split_whitespace().collect();
        let name = info.iter().find_map(|word| word.strip_prefix("file="));
        let file = folder.path().join(name.unwrap_or("example.yaml"));
        if name.is_some() || info.contains(&"check") {
            std::fs::write(&file, &block.text).expect("the example can be written");
        }
        if info.contains(&"check") {
            let (passed, output) = shell(folder.path(), &format!("trunkline check {}", file.display()));
            if !passed || output.contains("warning") {
                wrong.push(format!("line {}: {output}", block.line));
            }
        }
        if info.contains(&"run") {
            run(&block, folder.path(), &mut wrong);
        }
    }
    wrong
        .into_iter()
        .map(|text| format!("{}: {text}", page.file_name().expect("a page has a name").display()))
        .collect()
}

fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            pages.extend(self::pages(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages.sort();
    pages
}

#[test]
fn every_example_of_the_documentation_works() {
    let root = Path::new(ROOT);
    let mut all = pages(&root.join("docs"));
    all.push(root.join("README.md"));
    let wrong: Vec<String> = all.iter().flat_map(|page| try_page(page)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The pages that list what the code defines must list all of it.
/// curl calls what it sends a form, which is refused.
#[test]
fn every_body_that_a_page_sends_says_that_it_is_json() {
    let mut wrong = Vec::new();
    for page in pages(&PathBuf::from(ROOT).join("docs")) {
        let text = std::fs::read_to_string(&page).expect("a readable page").replace("\\\n", " ");
        let sends = |line: &&str| line.contains("curl ") && line.contains(" -d ");
        let silent =
            text.lines().filter(sends).filter(|line| !line.contains("content-type: application/json"));
        wrong.extend(silent.map(|line| format!("{}: {line}", page.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn reference_pages_name_everything_there_is() {
    let page =
        |name: &str| std::fs::read_to_string(Path::new(ROOT).join("docs/reference").join(name)).unwrap();
    let mut missing = Vec::new();
    let mut need = |file: &str, name: &str| {
        if !page(file).contains(&format!("`{name}`")) {
            missing.push(format!("{file}: {name}"));
        }
    };
    for class in trunkline_model::failure::FailureClass::ALL {
        need("errors.md", class.name());
    }
    for feature in trunkline_route::features::Feature::ALL {
        need("policy-language.md", feature.name());
        let (kind, cost) = (feature.kind().name(), feature.cost().name());
        let row = format!("| `{feature}` | {kind} | {cost} | {} |", feature.meaning());
        assert!(page("policy-language.md").contains(&row), "the line of {feature} should be: {row}");
    }
    let source = include_str!("../../../gateway/src/exposition.rs");
    for name in source.split('"').filter(|text| text.starts_with("trunkline_") && !text.contains('{')) {
        need("metrics.md", name);
    }
    let source = include_str!("../../../gateway/src/metrics.rs");
    for rest in source.split("registry.register(").skip(1) {
        need("metrics.md", &format!("trunkline_{}", rest.split('"').nth(1).unwrap()));
    }
    let (_, help) = shell(Path::new(ROOT), "trunkline --help");
    for line in help.lines().skip_while(|line| !line.starts_with("Commands")).skip(1) {
        let Some(command) =
            line.strip_prefix("  ").and_then(|line| line.split(' ').next()).filter(|word| !word.is_empty())
        else {
            break;
        };
        if command != "help" {
            need("cli.md", &format!("trunkline {command}"));
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

/// The page on fallbacks shows the table of reactions that `route` keeps as a snapshot; continuing a broken-off answer is the one
/// reaction that is not performed yet.
#[test]
fn the_table_of_reactions_is_the_one_of_the_code() {
    let root = Path::new(ROOT);
    let snapshots = root.join("crates/route/src/drive/tests/snapshots");
    let snapshot =
        std::fs::read_to_string(snapshots.join("trunkline_route__drive__tests__table__reactions.snap"))
            .unwrap();
    let page = std::fs::read_to_string(root.join("docs/fall-back.md")).unwrap();
    let missing: Vec<String> = snapshot
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.replace(", or continued", ""))
        .filter(|line| !page.contains(line))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}
