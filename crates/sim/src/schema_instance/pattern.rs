//! A shortest text that matches a regular expression.
//!
//! Owns the walk over the parsed expression; look-around is not part of the syntax and yields nothing.

use regex_syntax::hir::{Class, Hir, HirKind};

/// The most repetitions of one group that are written out.
const REPETITIONS: u32 = 1024;

/// A text matching `pattern`, or nothing if the pattern cannot be read.
pub(crate) fn matching(pattern: &str) -> Option<String> {
    let expression = regex_syntax::parse(pattern).ok()?;
    let mut text = String::new();
    write(&expression, &mut text);
    Some(text)
}

fn write(expression: &Hir, text: &mut String) {
    match expression.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(Class::Unicode(class)) => {
            text.extend(class.ranges().first().map(|range| range.start()))
        }
        HirKind::Class(Class::Bytes(class)) => {
            text.extend(class.ranges().first().map(|range| char::from(range.start())));
        }
        HirKind::Repetition(repetition) => {
            for _ in 0..repetition.min.min(REPETITIONS) {
                write(&repetition.sub, text);
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, text),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write(part, text)),
        HirKind::Alternation(branches) => branches.iter().take(1).for_each(|branch| write(branch, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_shortest_of_its_kind() {
        let cases = [("^[A-Z]{3}\\d{2}$", "AAA00"), ("(cat|dog)s?", "cat"), ("a+b*c{2,}", "acc"), ("", "")];
        for (pattern, text) in cases {
            assert_eq!(matching(pattern).as_deref(), Some(text), "{pattern}");
        }
        assert_eq!(matching("(?=look)"), None);
    }
}
