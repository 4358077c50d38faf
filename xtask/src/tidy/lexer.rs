//! A reader of Rust text that tells code, comments and string literals apart.
//!
//! Owns just enough lexing for checks by text: it must not become a parser. A plain text search would trip over the
//! word in a comment or in a test; this one looks only where the compiler would.

/// A string literal of a Rust file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Literal {
    /// Line where it starts, counted from 1.
    pub(crate) line: usize,
    /// What stands between the quotes, escapes left as written.
    pub(crate) text: String,
}

/// A Rust file taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lexed {
    /// The text with comments and the insides of literals blanked; same lines, same columns.
    pub(crate) code: String,
    /// String literals in order.
    pub(crate) literals: Vec<Literal>,
}

/// Takes a Rust file apart. Text that is not Rust gives a useless answer but never fails.
pub(crate) fn lex(text: &str) -> Lexed {
    let mut reader =
        Reader { rest: text, code: String::with_capacity(text.len()), line: 1, literals: Vec::new() };
    while let Some(next) = reader.rest.chars().next() {
        reader.step(next);
    }
    Lexed { code: reader.code, literals: reader.literals }
}

/// Lines (counted from 1) of items marked `#[cfg(test)]`, from the attribute to the closing brace.
pub(crate) fn test_lines(code: &str) -> Vec<std::ops::RangeInclusive<usize>> {
    const MARK: &str = "#[cfg(test)]";
    let mut ranges = Vec::new();
    let mut from = 0;
    while let Some(found) = code[from..].find(MARK) {
        let start = from + found;
        let end = item_end(code, start + MARK.len());
        ranges.push(line_at(code, start)..=line_at(code, end));
        from = end.max(start + MARK.len());
    }
    ranges
}

/// Line of a byte offset, counted from 1.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, character) in code[from..].char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth <= 1 => return from + offset,
            '}' => depth -= 1,
            ';' if depth == 0 => return from + offset,
            _ => {}
        }
    }
    code.len()
}

struct Reader<'text> {
    rest: &'text str,
    code: String,
    line: usize,
    literals: Vec<Literal>,
}

impl Reader<'_> {
    fn step(&mut self, next: char) {
        if self.rest.starts_with("//") {
            let length = self.rest.find('\n').unwrap_or(self.rest.len());
            self.blank(length);
        } else if self.rest.starts_with("/*") {
            let length = block_comment(self.rest);
            self.blank(length);
        } else if let Some((opening, hashes)) = raw_opening(self.rest) {
            self.keep(opening);
            let closing = format!("\"{}", "#".repeat(hashes));
            let length = self.rest.find(&closing).unwrap_or(self.rest.len());
            self.literal(length);
            self.keep(closing.len().min(self.rest.len()));
        } else if next == '"' {
            self.keep(1);
            let length = string_length(self.rest);
            self.literal(length);
            self.keep(1.min(self.rest.len()));
        } else if next == '\'' {
            let length = character_length(self.rest);
            self.keep(1);
            self.blank(length.saturating_sub(1));
        } else if next.is_alphanumeric() || next == '_' {
            // A whole word at once, so that the `r` of `for"` is not taken for the start of a raw string.
            let word = |c: char| !(c.is_alphanumeric() || c == '_');
            let length = self.rest.find(word).unwrap_or(self.rest.len());
            self.keep(length);
        } else {
            self.keep(next.len_utf8());
        }
    }

    fn literal(&mut self, length: usize) {
        self.literals.push(Literal { line: self.line, text: self.rest[..length].to_owned() });
        self.blank(length);
    }

    fn keep(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.code.push_str(taken);
        self.rest = rest;
    }

    fn blank(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.code.extend(taken.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        self.rest = rest;
    }
}

/// Length of the opening of a raw string up to its quote, and its number of hashes; also `b"`, `c"`, `br#"`.
fn raw_opening(text: &str) -> Option<(usize, usize)> {
    let prefix = ["br", "cr", "r"].into_iter().find(|prefix| text.starts_with(prefix))?;
    let rest = &text[prefix.len()..];
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    rest[hashes..].starts_with('"').then_some((prefix.len() + hashes + 1, hashes))
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut offset = 0;
    while offset < text.len() {
        let rest = &text[offset..];
        if rest.starts_with("/*") {
            depth += 1;
            offset += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            offset += 2;
            if depth == 0 {
                return offset;
            }
        } else {
            offset += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (offset, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return offset,
            _ => {}
        }
    }
    text.len()
}

/// Length of a character literal with its quotes; 1 when the quote opens a lifetime.
fn character_length(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => {
            characters.next();
            characters.find(|(_, character)| *character == '\'').map_or(1, |(offset, _)| offset + 1)
        }
        Some(_) => match characters.next() {
            Some((offset, '\'')) => offset + 1,
            _ => 1,
        },
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literals(text: &str) -> Vec<String> {
        lex(text).literals.into_iter().map(|literal| literal.text).collect()
    }

    #[test]
    fn comments_and_literals_are_blanked_and_everything_keeps_its_place() {
        let text = "let a = \"x // y\"; // note \"z\"\n/* one /* two */ */ let b = 'c';\n";
        let lexed = lex(text);
        assert_eq!(lexed.code, "let a = \"      \";            \n                    let b = '  ;\n");
        assert_eq!(lexed.literals, [Literal { line: 1, text: "x // y".into() }]);
        assert_eq!(lexed.code.lines().count(), text.lines().count());
    }

    #[test]
    fn raw_byte_and_escaped_strings_are_read_whole() {
        assert_eq!(literals(r###"let a = r#"say "hi""#;"###), [r#"say "hi""#]);
        assert_eq!(literals(r#"let a = b"by\"te";"#), [r#"by\"te"#]);
        assert_eq!(literals("call(for\"x\")"), ["x"]);
        assert_eq!(literals("let open = \"never closed"), ["never closed"]);
    }

    #[test]
    fn quotes_of_lifetimes_and_characters_do_not_open_strings() {
        assert_eq!(literals("fn f<'a>(x: &'a str) { g('\"', '\\'', \"in\") }"), ["in"]);
    }

    #[test]
    fn a_literal_knows_the_line_it_starts_on() {
        assert_eq!(lex("\n\n\"a\nb\"\n\"c\"").literals.iter().map(|l| l.line).collect::<Vec<_>>(), [3, 5]);
    }

    #[test]
    fn test_modules_are_found_to_their_closing_brace() {
        let code =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { c(); }\n}\nfn d() {}\n#[cfg(test)]\nmod more;\n";
        assert_eq!(test_lines(code), [2..=5, 7..=8]);
    }
}
