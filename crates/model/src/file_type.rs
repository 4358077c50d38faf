//! Whether a file that came is what was asked for.
//!
//! Owns the list of types and their first bytes. Must not decode a file. The bytes decide and the declared type must not
//! contradict them: a login page with status 200 is not a picture, and no declared type makes it one.

use crate::content::MediaKind;

/// Office documents: a ZIP archive in their bytes, so the declared type says which.
const ARCHIVES: [&str; 2] = [
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
];
/// Documents that are texts.
const TEXTS: [&str; 7] = [
    "text/plain",
    "text/csv",
    "text/html",
    "text/markdown",
    "text/xml",
    "application/json",
    "application/xml",
];

/// What is accepted: as the value of an `accept` header, and in words for the client.
#[must_use]
pub const fn expected(kind: MediaKind) -> (&'static str, &'static str) {
    match kind {
        MediaKind::Image => {
            ("image/jpeg, image/png, image/gif, image/webp", "a JPEG, PNG, GIF or WebP picture")
        }
        MediaKind::Document => {
            ("application/pdf, text/*;q=0.9, */*;q=0.5", "a PDF, Word, Excel or text document")
        }
        MediaKind::Audio => ("audio/*", "an MP3, WAV, FLAC, Ogg or MP4 sound"),
        MediaKind::Video => ("video/*", "an MP4, QuickTime, WebM or Matroska video"),
    }
}

/// The type of a file: by its bytes where they tell, in accord with what was declared; `None` refuses it.
#[must_use]
pub fn judge(kind: MediaKind, declared: Option<&str>, bytes: &[u8]) -> Option<&'static str> {
    let declared =
        declared.map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let declared = declared.as_deref().filter(|kind| !is_general(kind));
    let family = |name: &str| declared.is_none_or(|declared| declared.starts_with(name));
    let found = by_bytes(bytes);
    match kind {
        MediaKind::Image => found.filter(|found| found.starts_with("image/") && family("image/")),
        MediaKind::Audio => found
            .map(|found| if found == "video/mp4" { "audio/mp4" } else { found })
            .filter(|found| found.starts_with("audio/"))
            .filter(|_| family("audio/") || declared == Some("application/ogg")),
        MediaKind::Video => found.filter(|found| found.starts_with("video/") && family("video/")),
        MediaKind::Document => match found {
            Some("application/pdf") if declared.is_none_or(|declared| declared.ends_with("pdf")) => {
                Some("application/pdf")
            }
            Some("application/zip") => ARCHIVES.into_iter().find(|known| Some(*known) == declared),
            Some(_) => None,
            None => TEXTS
                .into_iter()
                .find(|known| Some(*known) == declared)
                .filter(|_| !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()),
        },
    }
}

/// Types that servers give to whatever they do not know.
fn is_general(declared: &str) -> bool {
    matches!(
        declared,
        "" | "application/octet-stream"
            | "binary/octet-stream"
            | "application/binary"
            | "application/unknown"
    )
}

/// The type that a file's first bytes are reserved for.
fn by_bytes(bytes: &[u8]) -> Option<&'static str> {
    let riff = |name: &[u8]| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(name);
    let brand = bytes.get(4..8).filter(|name| *name == b"ftyp").and_then(|_| bytes.get(8..12));
    let known = match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => "image/gif",
        _ if riff(b"WEBP") => "image/webp",
        [b'%', b'P', b'D', b'F', b'-', ..] => "application/pdf",
        [b'P', b'K', 3, 4, ..] => "application/zip",
        _ if riff(b"WAVE") => "audio/wav",
        [b'f', b'L', b'a', b'C', ..] => "audio/flac",
        [b'O', b'g', b'g', b'S', ..] => "audio/ogg",
        // An MP3 begins with its tags or with a frame: eleven set bits, version and layer.
        [b'I', b'D', b'3', ..] | [0xff, 0xfb | 0xfa | 0xf3 | 0xf2, ..] => "audio/mpeg",
        [0x1a, 0x45, 0xdf, 0xa3, ..] if bytes.windows(4).take(64).any(|word| word == b"webm") => "video/webm",
        [0x1a, 0x45, 0xdf, 0xa3, ..] => "video/x-matroska",
        _ => match brand? {
            b"M4A " | b"M4B " => "audio/mp4",
            b"qt  " => "video/quicktime",
            _ => "video/mp4",
        },
    };
    Some(known)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n....";

    #[test]
    fn the_bytes_decide_and_the_declared_type_must_agree() {
        use MediaKind::{Audio, Document, Image, Video};
        for (kind, declared, bytes, expected) in [
            (Image, Some("image/png"), PNG, Some("image/png")),
            (Image, Some("image/jpeg"), PNG, Some("image/png")),
            (Image, Some("application/octet-stream"), PNG, Some("image/png")),
            (Image, None, b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (Image, None, b"RIFF....WEBPVP8 ", Some("image/webp")),
            (Image, Some("text/html"), PNG, None),
            (Image, Some("image/png"), b"<html>", None),
            (Image, Some("image/svg+xml"), b"<svg/>", None),
            (Image, Some("application/pdf"), b"%PDF-1.7", None),
            (Image, Some("image/png"), b"", None),
            (Document, Some("application/pdf; x=y"), b"%PDF-1.7", Some("application/pdf")),
            (Document, None, b"%PDF-1.7", Some("application/pdf")),
            (Document, Some("text/html"), b"%PDF-1.7", None),
            (Document, Some("application/pdf"), b"<html>", None),
            (Document, Some("Text/Plain; charset=utf-8"), "Grüße".as_bytes(), Some("text/plain")),
            (Document, Some("text/csv"), b"a\0b", None),
            (Document, Some("text/csv"), b"a\xffb", None),
            (Document, None, b"a,b", None),
            (Document, Some(ARCHIVES[0]), b"PK\x03\x04", Some(ARCHIVES[0])),
            (Document, Some("application/zip"), b"PK\x03\x04", None),
            (Document, Some("text/plain"), PNG, None),
            (Audio, Some("audio/mpeg"), b"ID3\x04", Some("audio/mpeg")),
            (Audio, Some("audio/x-m4a"), b"\0\0\0\x20ftypM4A ", Some("audio/mp4")),
            (Audio, Some("application/ogg"), b"OggS\0", Some("audio/ogg")),
            (Video, Some("video/mp4"), b"\0\0\0\x20ftypisom", Some("video/mp4")),
            (Video, None, b"\x1a\x45\xdf\xa3\x42\x82\x84webm", Some("video/webm")),
            (Video, Some("video/mp4"), b"ID3\x04", None),
        ] {
            assert_eq!(judge(kind, declared, bytes), expected, "{kind:?} {declared:?} {bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_passes_as_another_kind(bytes in proptest::collection::vec(any::<u8>(), 0..40), declared in "[a-z]{0,6}/[a-z]{0,6}") {
            for kind in MediaKind::ALL {
                let found = judge(kind, Some(&declared), &bytes);
                let family = match kind {
                    MediaKind::Image => "image/",
                    MediaKind::Audio => "audio/",
                    MediaKind::Video => "video/",
                    MediaKind::Document => "",
                };
                prop_assert!(found.is_none_or(|found| found.starts_with(family)));
            }
        }
    }
}
