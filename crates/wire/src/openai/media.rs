//! Files in OpenAI messages: data URLs, audio formats, cache marks.
//!
//! Owns these small spellings, both ways. Must not decode base64: it passes through as text.

use crate::scan::tree::{Node, Place};
use trunkline_model::content::{CacheMark, MediaSource};

/// A URL as a source, and the MIME type it names: `data:` URLs hold the bytes themselves.
pub(crate) fn source_of_url(url: &str, place: &Place<'_>) -> (MediaSource, Option<String>) {
    if let Some((media_type, data)) = data_url(url) {
        return (MediaSource::Base64(place.piece(data)), media_type);
    }
    (MediaSource::Url(url.to_owned()), None)
}

/// The MIME type and the base64 text of a `data:` URL (RFC 2397); parameters of the type are left out.
pub(crate) fn data_url(url: &str) -> Option<(Option<String>, &str)> {
    let rest = url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:")).map(|_| &url[5..])?;
    let (head, data) = rest.split_once(',')?;
    let head = head.strip_suffix(";base64")?;
    let media_type = head.split(';').next().filter(|name| !name.is_empty());
    Some((media_type.map(str::to_owned), data))
}

/// The MIME type of an `input_audio` format.
pub(crate) fn audio_type(format: &str) -> String {
    match format {
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{other}"),
    }
}

/// The `input_audio` format of a MIME type.
pub(crate) fn audio_format(media_type: Option<&str>) -> &str {
    match media_type {
        Some("audio/mpeg") => "mp3",
        Some("audio/x-wav" | "audio/wave") | None => "wav",
        Some(other) => other.strip_prefix("audio/").unwrap_or(other),
    }
}

/// `cache_control`, which several look-alikes accept on parts and tools.
pub(crate) fn cache_mark(node: &Node<'_>) -> Option<CacheMark> {
    let control = node.field("cache_control")?;
    let is_long = control.field("ttl").and_then(Node::as_text) == Some("1h");
    Some(if is_long { CacheMark::Long } else { CacheMark::Short })
}
