//! Forms with files, as the vendor's audio and image endpoints take them.
//!
//! Owns a plain reading of `multipart/form-data`: every part is copied. It is not the gateway's reader on purpose, so that a
//! misreading of either shows.

use http::header::CONTENT_TYPE;

use super::super::Inbound;

/// A part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dialect) struct FormPart {
    pub(in crate::dialect) name: String,
    pub(in crate::dialect) is_file: bool,
    pub(in crate::dialect) file_name: Option<String>,
    pub(in crate::dialect) contents: Vec<u8>,
}

/// The parts of a request's form; none when it is no form.
pub(in crate::dialect) fn parts(inbound: &Inbound) -> Vec<FormPart> {
    let Some(boundary) = boundary(inbound) else { return Vec::new() };
    // The line break before a delimiter belongs to it.
    let body = [b"\r\n".as_slice(), &inbound.body].concat();
    let delimiter = format!("\r\n--{boundary}");
    let starts: Vec<usize> = memchr::memmem::find_iter(&body, &delimiter).collect();
    starts.windows(2).filter_map(|pair| part(&body[pair[0] + delimiter.len()..pair[1]])).collect()
}

/// The text of a field.
pub(in crate::dialect) fn text(parts: &[FormPart], name: &str) -> Option<String> {
    let part = parts.iter().rev().find(|part| part.name == name)?;
    String::from_utf8(part.contents.clone()).ok()
}

fn boundary(inbound: &Inbound) -> Option<String> {
    let value = inbound.header(CONTENT_TYPE.as_str())?;
    let (kind, parameters) = value.split_once(';')?;
    let boundary = parameters.split(';').find_map(|pair| pair.trim().strip_prefix("boundary="))?;
    kind.trim().eq_ignore_ascii_case("multipart/form-data").then(|| boundary.trim_matches('"').to_owned())
}

fn part(text: &[u8]) -> Option<FormPart> {
    let head_end = memchr::memmem::find(text, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&text[..head_end]).into_owned();
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    let attribute = |name: &str| {
        let found = line.split(';').find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='));
        found.map(|value| value.trim_matches('"').to_owned())
    };
    let (name, file_name) = (attribute("name")?, attribute("filename"));
    Some(FormPart {
        name,
        is_file: line.contains("filename="),
        file_name,
        contents: text[head_end + 4..].to_vec(),
    })
}
