//! Bounds on the shape of a rule before it is parsed.
//!
//! Owns a scan for nesting and operators that knows texts from code, and nothing else of the language. The parser and every
//! walk over its tree are recursive; a bound on brackets and operators bounds their depth, so that no text can exhaust the
//! stack.

use super::Problem;

/// Deepest nesting of brackets.
pub(super) const DEEPEST: usize = 24;

/// Most operators, dots included.
pub(super) const MOST_OPERATORS: usize = 200;

/// Refuses what is nested too deep or has too many operators, with the place where it does.
pub(super) fn check(source: &str) -> Result<(), (usize, Problem)> {
    let bytes = source.as_bytes();
    let (mut depth, mut operators, mut at) = (0_usize, 0_usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => at = text_end(bytes, at, quote),
            b'(' | b'[' | b'{' => {
                depth += 1;
                if depth > DEEPEST {
                    return Err((at, Problem::TooDeep { limit: DEEPEST }));
                }
            }
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'!' | b'-' | b'+' | b'*' | b'/' | b'%' | b'?' | b'<' | b'>' | b'=' | b'&' | b'|' | b'.' => {
                operators += 1;
                // Two characters of one operator count once; signs and negations count each.
                let pairs = matches!(
                    (bytes[at], bytes.get(at + 1)),
                    (b'&', Some(b'&')) | (b'|', Some(b'|')) | (b'<' | b'>' | b'=' | b'!', Some(b'='))
                );
                at += usize::from(pairs);
            }
            _ => {}
        }
        if operators > MOST_OPERATORS {
            return Err((at, Problem::TooComplex { limit: MOST_OPERATORS }));
        }
        at += 1;
    }
    Ok(())
}

/// The position of the quote that ends a text, or the last byte when none does.
fn text_end(bytes: &[u8], start: usize, quote: u8) -> usize {
    let raw = start > 0 && matches!(bytes[start - 1], b'r' | b'R');
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' && !raw { 2 } else { 1 };
    }
    at.min(bytes.len())
}
