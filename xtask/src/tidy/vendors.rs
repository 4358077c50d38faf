//! Checks that vendors' names stay where vendors are known: in `providers`, `wire`, `sim`, tests and documentation.
//!
//! Owns the names and the crates that must not say them. Only string literals of shipped code are read, and of those
//! only the ones without spaces: a name in a comment or in a hint for a person explains, and `Dialect::Anthropic` is a
//! protocol; but a vendor's name as an identifier means that code decides by vendor, reads a vendor's field or spells a
//! vendor's header outside the crates made for it.

use super::finding::{Finding, SourceFile};
use super::lexer;

/// Crates that know no vendor.
const BLIND: &[&str] = &["route", "config", "gateway", "net", "store", "model"];

/// Vendors and their model families, as words of lower-case letters. Those that are common English words are left out.
const NAMES: &[&str] = &[
    "openai",
    "gpt",
    "chatgpt",
    "anthropic",
    "claude",
    "gemini",
    "google",
    "bedrock",
    "amazon",
    "azure",
    "cohere",
    "mistral",
    "groq",
    "deepseek",
    "openrouter",
    "xai",
    "grok",
    "cerebras",
    "nvidia",
    "ollama",
    "vllm",
    "moonshot",
    "qwen",
    "dashscope",
];

/// Places that may say a name nevertheless: file, word, reason. Everything here is a name of a protocol in its
/// written form, never a decision by vendor.
const ALLOWED: &[(&str, &[&str], &str)] = &[
    (
        "crates/model/src/dialect.rs",
        &["openai", "anthropic", "gemini", "bedrock", "cohere", "mistral"],
        "the written names of the dialects, which configuration and log use",
    ),
    (
        "crates/gateway/src/endpoint.rs",
        &["anthropic"],
        "the header by which a caller on a path that protocols share shows which one it speaks",
    ),
    (
        "crates/gateway/src/batches/details.rs",
        &["anthropic", "openai"],
        "headers of the clients' protocols that go with every line of a batch",
    ),
    (
        "crates/gateway/src/limit_headers.rs",
        &["anthropic"],
        "the rate-limit headers of the client's own protocol",
    ),
    (
        "crates/gateway/src/subject/headers.rs",
        &["anthropic", "openai"],
        "headers of the clients' protocols that pass on unchanged to a provider of the same protocol",
    ),
];

/// Names string literals that hold a vendor's name where no vendor is known.
pub(crate) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let blind = file.source_of().is_some_and(|name| BLIND.contains(&name));
        if !blind || file.is_test_only() {
            continue;
        }
        let lexed = lexer::lex(&file.text);
        let tests = lexer::test_lines(&lexed.code);
        let prose = prose_lines(&lexed.code);
        for literal in &lexed.literals {
            let in_tests = tests.iter().any(|lines| lines.contains(&literal.line));
            let is_sentence = literal.text.contains(char::is_whitespace);
            if in_tests || is_sentence || prose.contains(&literal.line) {
                continue;
            }
            if let Some(name) = names_in(&literal.text).find(|name| !is_allowed(&file.path, name)) {
                let problem = format!("the vendor's name `{name}` in \"{}\"", abbreviated(&literal.text));
                let remedy = "move what is about one vendor to `providers` (or `wire`, if it is about a protocol); a \
                              protocol's written name goes into ALLOWED in xtask/src/tidy/vendors.rs with its reason";
                findings.push(Finding::error(&file.path, literal.line, problem, remedy));
            }
        }
    }
    findings
}

/// Vendors' names in a text, as whole words: `OPENAI_API_KEY` holds one, `toolchain` none.
fn names_in(text: &str) -> impl Iterator<Item = &'static str> {
    let words = text.split(|character: char| !character.is_ascii_alphabetic());
    words.filter_map(|word| NAMES.iter().copied().find(|name| name.eq_ignore_ascii_case(word)))
}

fn is_allowed(path: &str, name: &str) -> bool {
    ALLOWED.iter().any(|(file, names, _)| *file == path && names.contains(&name))
}

/// Lines of attributes that hold prose: documentation, reasons and schema descriptions.
fn prose_lines(code: &str) -> Vec<usize> {
    let is_prose = |line: &str| {
        [
            "#[doc",
            "#[expect",
            "#![expect",
            "#[schemars(description",
            "#[schemars(example",
            "#[arg(",
            "#[command(",
        ]
        .iter()
        .any(|start| line.trim_start().starts_with(start))
    };
    code.lines().enumerate().filter(|(_, line)| is_prose(line)).map(|(number, _)| number + 1).collect()
}

fn abbreviated(text: &str) -> String {
    const LONGEST: usize = 40;
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= LONGEST {
        return line.to_owned();
    }
    line.chars().take(LONGEST).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let findings = check(&[SourceFile::new(path, text)]);
        findings.into_iter().map(|finding| (finding.line, finding.problem)).collect()
    }

    #[test]
    fn a_decision_by_vendor_is_found() {
        let text = "match provider {\n    \"anthropic\" => one(),\n    _ => env(\"OPENAI_API_KEY\"),\n}\n";
        assert_eq!(
            found("crates/route/src/plan.rs", text),
            [
                (2, "the vendor's name `anthropic` in \"anthropic\"".to_owned()),
                (3, "the vendor's name `openai` in \"OPENAI_API_KEY\"".to_owned()),
            ]
        );
    }

    #[test]
    fn comments_dialects_tests_and_prose_may_name_vendors() {
        let text = "// As anthropic documents.\nlet dialect = Dialect::Anthropic;\n#[doc = \"openai\"]\nfn a() {}\n\
                    #[cfg(test)]\nmod tests {\n    const A: &str = \"openai/gpt-5\";\n}\n";
        assert_eq!(found("crates/route/src/plan.rs", text), []);
        assert_eq!(found("crates/route/src/plan/tests.rs", "const A: &str = \"openai\";"), []);
    }

    #[test]
    fn crates_made_for_vendors_may_name_them() {
        for path in
            ["crates/providers/src/a.rs", "crates/wire/src/a.rs", "crates/sim/src/a.rs", "xtask/src/a.rs"]
        {
            assert_eq!(found(path, "const A: &str = \"openai\";"), [], "{path}");
        }
    }

    #[test]
    fn hints_for_people_may_name_vendors() {
        assert_eq!(found("crates/config/src/a.rs", "hint(\"for example `openai: { key: ... }`\");"), []);
    }

    #[test]
    fn a_name_is_a_whole_word() {
        assert_eq!(found("crates/net/src/a.rs", "a(\"altogether\", \"tools\", \"openairy\");"), []);
        assert_eq!(found("crates/net/src/a.rs", "a(\"x-openai-version\");").len(), 1);
    }

    #[test]
    fn an_exception_is_for_one_file_and_the_words_it_lists() {
        let text = "a(\"anthropic-messages\");";
        assert_eq!(found("crates/model/src/dialect.rs", text), []);
        assert_eq!(found("crates/model/src/usage.rs", text).len(), 1);
        assert_eq!(found("crates/model/src/dialect.rs", "a(\"claude\");").len(), 1);
    }

    #[test]
    fn every_exception_gives_its_reason() {
        for (path, _, reason) in ALLOWED {
            assert!(reason.len() > 20, "{path}");
        }
    }
}
