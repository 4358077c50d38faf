//! Pictures, documents, sound and films as the service takes them: bytes, or a place in its own object store.
//!
//! Owns formats and document names. Must not fetch anything: what is behind a URL comes here as bytes or not at all.

use super::block_encode::Names;
use crate::codec::EncodeError;
use crate::json_text::JsonText;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use trunkline_model::content::{Content, Media, MediaSource};
use trunkline_model::warning::Warning;

/// The longest document name, in characters.
const LONGEST_NAME: usize = 200;

/// Writes one block of media.
pub(super) fn write(
    content: &Content,
    path: &dyn Fn() -> String,
    names: &mut Names,
    out: &mut BytesMut,
    warnings: &mut Vec<Warning>,
) -> Result<(), EncodeError> {
    let refuse = |reason: &str| EncodeError::Unsupported { feature: path(), reason: reason.to_owned() };
    let (kind, media, format) = match content {
        Content::Image(media) => {
            if media.detail.as_deref().is_some_and(|detail| detail != "auto") {
                let feature = format!("{}.detail", path());
                warnings.push(Warning::dropped(feature, "Bedrock has nothing like it"));
            }
            let format = image_format(media)
                .ok_or_else(|| refuse("Bedrock takes pictures as JPEG, PNG, GIF or WebP"))?;
            ("image", media, format)
        }
        Content::Document(media) => {
            let format = document_format(media).ok_or_else(|| {
                refuse("Bedrock takes documents as PDF, CSV, Word, Excel, HTML, Markdown or plain text")
            })?;
            ("document", media, format)
        }
        Content::Video(media) => {
            let format =
                video_format(media).ok_or_else(|| refuse("Bedrock does not take this video format"))?;
            ("video", media, format)
        }
        Content::Audio(media) => {
            let format =
                audio_format(media).ok_or_else(|| refuse("Bedrock does not take this audio format"))?;
            ("audio", media, format)
        }
        _ => return Err(refuse("Bedrock has no such part here")),
    };
    out.open_object();
    out.key(kind);
    out.open_object();
    out.field("format", format);
    if kind == "document" {
        out.field("name", &names.fit(media.name.as_deref()));
    }
    out.key("source");
    write_source(&media.source, &refuse, out)?;
    out.close_object();
    out.close_object();
    Ok(())
}

fn write_source(
    source: &MediaSource,
    refuse: &dyn Fn(&str) -> EncodeError,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    out.open_object();
    match source {
        MediaSource::Base64(data) => out.field("bytes", data),
        MediaSource::Text(text) => out.field("bytes", &STANDARD.encode(text.as_str())),
        MediaSource::Url(url) if url.starts_with("s3://") => {
            out.key("s3Location");
            out.open_object();
            out.field("uri", url);
            out.close_object();
        }
        MediaSource::Url(_) => return Err(refuse("Bedrock takes no URLs: send the bytes as base64")),
        MediaSource::FileId(_) => {
            return Err(refuse("the file is in another provider's store: send its bytes"));
        }
    }
    out.close_object();
    Ok(())
}

/// The format of a picture, read from its first bytes where the client gives none.
fn image_format(media: &Media) -> Option<&'static str> {
    let data = if let MediaSource::Base64(data) = &media.source { data.as_str() } else { "" };
    let known = match media.media_type.as_deref().or_else(|| extension(media)) {
        Some("image/jpg" | "image/jpeg" | "jpg" | "jpeg") => "jpeg",
        Some("image/png" | "png") => "png",
        Some("image/gif" | "gif") => "gif",
        Some("image/webp" | "webp") => "webp",
        Some(_) => return None,
        // Base64 of each format's magic bytes.
        None if data.starts_with("iVBORw0KGgo") => "png",
        None if data.starts_with("/9j/") => "jpeg",
        None if data.starts_with("R0lGOD") => "gif",
        None if data.starts_with("UklGR") => "webp",
        None => return None,
    };
    Some(known)
}

fn document_format(media: &Media) -> Option<&'static str> {
    let is_text = matches!(media.source, MediaSource::Text(_));
    let known = match media.media_type.as_deref().or_else(|| extension(media).filter(|_| !is_text)) {
        Some("application/pdf" | "pdf") => "pdf",
        Some("text/csv" | "csv") => "csv",
        Some("application/msword" | "doc") => "doc",
        Some("application/vnd.openxmlformats-officedocument.wordprocessingml.document" | "docx") => "docx",
        Some("application/vnd.ms-excel" | "xls") => "xls",
        Some("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" | "xlsx") => "xlsx",
        Some("text/html" | "html" | "htm") => "html",
        Some("text/markdown" | "md") => "md",
        Some("application/json" | "application/xml" | "txt") => "txt",
        Some(kind) if kind.starts_with("text/") => "txt",
        None if is_text => "txt",
        // Base64 of `%PDF`.
        None if matches!(&media.source, MediaSource::Base64(data) if data.starts_with("JVBER")) => "pdf",
        _ => return None,
    };
    Some(known)
}

fn video_format(media: &Media) -> Option<&'static str> {
    let known = match media.media_type.as_deref().or_else(|| extension(media))? {
        "video/mp4" | "mp4" => "mp4",
        "video/quicktime" | "video/mov" | "mov" => "mov",
        "video/x-matroska" | "mkv" => "mkv",
        "video/webm" | "webm" => "webm",
        "video/x-flv" | "flv" => "flv",
        "video/mpeg" | "video/mpg" | "mpeg" | "mpg" => "mpeg",
        "video/x-ms-wmv" | "video/wmv" | "wmv" => "wmv",
        "video/3gpp" | "3gp" => "three_gp",
        _ => return None,
    };
    Some(known)
}

fn audio_format(media: &Media) -> Option<&'static str> {
    let known = match media.media_type.as_deref().or_else(|| extension(media))? {
        "audio/mpeg" | "audio/mp3" | "mp3" => "mp3",
        "audio/wav" | "audio/x-wav" | "audio/wave" | "wav" => "wav",
        "audio/flac" | "flac" => "flac",
        "audio/ogg" | "ogg" => "ogg",
        "audio/opus" | "opus" => "opus",
        "audio/aac" | "aac" => "aac",
        "audio/mp4" | "audio/m4a" | "audio/x-m4a" | "m4a" => "m4a",
        "audio/webm" | "webm" => "webm",
        "audio/pcm" | "audio/l16" | "pcm16" | "pcm" => "pcm",
        _ => return None,
    };
    Some(known)
}

/// The ending of the file's name, or of the object's in the service's own store.
fn extension(media: &Media) -> Option<&str> {
    let place = match &media.source {
        MediaSource::Url(url) => url.as_str(),
        _ => media.name.as_deref()?,
    };
    place.rsplit_once('.').map(|(_, ending)| ending)
}

/// A document's name in the characters the service allows: letters, digits, single blanks, hyphens, parentheses and square
/// brackets.
pub(super) fn document_name(wanted: &str) -> String {
    let mut name = String::new();
    for character in wanted.chars() {
        let fitted = match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '(' | ')' | '[' | ']' => character,
            _ if character.is_whitespace() => ' ',
            _ => '-',
        };
        if name.len() == LONGEST_NAME - 10 {
            // Room for a number behind it.
            break;
        }
        if fitted != ' ' || !(name.is_empty() || name.ends_with(' ')) {
            name.push(fitted);
        }
    }
    let name = name.trim_end();
    if name.is_empty() { "document".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn document_names_have_allowed_characters_only(wanted in "\\PC{0,300}") {
            let name = document_name(&wanted);
            prop_assert!((1..=LONGEST_NAME).contains(&name.len()));
            prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || " -()[]".contains(c)), "{name}");
            prop_assert!(!name.contains("  ") && name.trim() == name);
        }
    }

    #[test]
    fn document_names_stay_apart() {
        let mut names = Names::default();
        let fitted: Vec<String> = [Some("report.pdf"), Some("report.pdf"), Some("été  2026"), None, None]
            .map(|name| names.fit(name))
            .into();
        assert_eq!(fitted, ["report-pdf", "report-pdf 2", "-t- 2026", "document", "document 2"]);
    }
}
