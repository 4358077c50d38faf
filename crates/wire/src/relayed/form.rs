//! A form with files (`multipart/form-data`, RFC 7578), looked at in place.
//!
//! Owns finding the parts of a body: their names and where their contents lie. Must not copy contents nor decode them. It is
//! strict on purpose: what is found here decides which model a key may use, so a body that another reader could cut otherwise
//! (a boundary inside of a part, a name in two spellings, folded lines) is refused.

use crate::codec::{BadRequest, Field};
use memchr::memmem::Finder;
use std::ops::Range;

/// The most parts of one form.
pub const MOST_PARTS: usize = 256;
/// The longest boundary (RFC 2046, section 5.1.1).
const LONGEST_BOUNDARY: usize = 70;
/// The longest head of a part, in bytes.
const LONGEST_HEAD: usize = 8 * 1024;

/// The parts of a form in order: name and contents, by place.
///
/// # Errors
/// What is wrong with the content type or the body, with the byte where it shows.
pub(super) fn parts(content_type: &str, body: &[u8]) -> Result<Vec<Field>, BadRequest> {
    let delimiter = format!("--{}", boundary(content_type)?);
    let finder = Finder::new(&delimiter);
    let mut found = finder.find_iter(body);
    let Some(first) = found.next() else {
        return Err(wrong(0, "the boundary that the content type names does not occur in the body"));
    };
    check_line_start(body, first)?;
    let mut parts = Vec::new();
    let mut at = first + delimiter.len();
    loop {
        if body.get(at..at + 2) == Some(b"--") {
            return Ok(parts);
        }
        let head = line_end(body, at)?;
        let (name, contents) = head_of(body, head)?;
        let Some(next) = found.next() else {
            return Err(wrong(body.len(), "the form ends without its closing boundary"));
        };
        check_line_start(body, next)?;
        if next < contents + 2 {
            return Err(wrong(next, "a boundary stands inside of a part's head"));
        }
        if parts.len() == MOST_PARTS {
            return Err(wrong(head, &format!("the form has more than {MOST_PARTS} parts")));
        }
        parts.push(Field { name, value: contents..next - 2 });
        at = next + delimiter.len();
    }
}

/// The boundary of a content type.
fn boundary(content_type: &str) -> Result<&str, BadRequest> {
    let missing = || {
        BadRequest::at(
            "content-type",
            "content-type: a form needs the `boundary` of its parts; let your HTTP client set the header",
        )
    };
    let value = parameter(content_type, "boundary").ok_or_else(missing)?;
    let fits = (1..=LONGEST_BOUNDARY).contains(&value.len());
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
    if !fits || !value.bytes().all(plain) || value.ends_with(' ') {
        return Err(BadRequest::at(
            "content-type",
            "content-type: the `boundary` must be 1 to 70 printable characters",
        ));
    }
    Ok(value)
}

/// A delimiter stands at the start of the body or of a line; anywhere else it is part of what it must not occur in.
fn check_line_start(body: &[u8], at: usize) -> Result<(), BadRequest> {
    if at == 0 || body[..at].ends_with(b"\r\n") {
        return Ok(());
    }
    Err(wrong(at, "the boundary occurs inside of a part; it must not"))
}

/// The end of a delimiter's line: blanks, then a line break.
fn line_end(body: &[u8], at: usize) -> Result<usize, BadRequest> {
    let rest = body.get(at..).unwrap_or_default();
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    match rest.get(blanks..blanks + 2) {
        Some(b"\r\n") => Ok(at + blanks + 2),
        _ => Err(wrong(at + blanks, "a boundary is followed by something else than a line break")),
    }
}

/// The name of a part and where its contents begin.
fn head_of(body: &[u8], start: usize) -> Result<(Range<usize>, usize), BadRequest> {
    let window = &body[start..body.len().min(start + LONGEST_HEAD)];
    let end = match memchr::memmem::find(window, b"\r\n\r\n") {
        Some(end) => end,
        None => return Err(wrong(start, "the head of a part does not end within 8 KiB")),
    };
    let mut name = None;
    let mut at = start;
    for line in window[..end].split(|byte| *byte == b'\n') {
        let line_start = at;
        at += line.len() + 1;
        if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            return Err(wrong(line_start, "a line of a part's head is continued on the next"));
        }
        let text = std::str::from_utf8(line)
            .map_err(|_| wrong(line_start, "the head of a part is not UTF-8 text"))?;
        let Some((header, value)) = text.split_once(':') else {
            return Err(wrong(line_start, "a line of a part's head is no header"));
        };
        if !header.trim().eq_ignore_ascii_case("content-disposition") {
            continue;
        }
        let value_start = line_start + header.len() + 1;
        let found = disposition(value, value_start)?;
        if name.replace(found).is_some() {
            return Err(wrong(line_start, "a part has two content dispositions"));
        }
    }
    let name = name.ok_or_else(|| wrong(start, "a part has no `Content-Disposition` with a `name`"))?;
    Ok((name, start + end + 4))
}

/// The name in a content disposition that begins at a byte of the body.
fn disposition(value: &str, start: usize) -> Result<Range<usize>, BadRequest> {
    let kind = value.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("form-data") {
        return Err(wrong(start, "a part is not `form-data`"));
    }
    let mut names = parameters(value)
        .filter(|(name, _)| name.eq_ignore_ascii_case("name") || name.eq_ignore_ascii_case("name*"));
    match (names.next(), names.next()) {
        (Some((name, place)), None) if !name.ends_with('*') => Ok(start + place.start..start + place.end),
        (None, _) => Err(wrong(start, "a part has no `name`")),
        _ => Err(wrong(start, "a part is named twice, or by `name*`")),
    }
}

/// The parameter of a header's value.
fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let (_, place) = parameters(value).find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    value.get(place)
}

/// The parameters of a header's value: name and place of the value, without its quotes.
fn parameters(value: &str) -> impl Iterator<Item = (&str, Range<usize>)> {
    let mut at = value.find(';').unwrap_or(value.len());
    std::iter::from_fn(move || {
        loop {
            at += 1;
            let rest = value.get(at..)?;
            let equals = rest.find(['=', ';'])?;
            let name = rest[..equals].trim();
            if rest.as_bytes()[equals] == b';' {
                at += equals;
                continue;
            }
            let start = at + equals + 1;
            let given = &value[start..];
            if let Some(quoted) = given.strip_prefix('"') {
                let length = quoted_length(quoted);
                let place = start + 1..start + 1 + length;
                let after = value.get(place.end..).unwrap_or_default();
                at = place.end + after.find(';').unwrap_or(after.len());
                return Some((name, place));
            }
            let length = given.find(';').unwrap_or(given.len());
            at = start + length;
            let trimmed = given[..length].trim();
            let lead = given[..length].len() - given[..length].trim_start().len();
            return Some((name, start + lead..start + lead + trimmed.len()));
        }
    })
}

/// The length of a quoted text up to its closing quote; a backslash protects what follows it.
fn quoted_length(text: &str) -> usize {
    let mut is_protected = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_protected => is_protected = false,
            b'\\' => is_protected = true,
            b'"' => return index,
            _ => {}
        }
    }
    text.len()
}

fn wrong(offset: usize, what: &str) -> BadRequest {
    BadRequest { message: format!("invalid form at byte {offset}: {what}"), path: None, offset: Some(offset) }
}
