//! Files behind URLs, for targets that take only their bytes.
//!
//! Owns which files of a request a target cannot be given as URLs, and putting their bytes in the URLs' place. Must not fetch
//! anything: that is the caller's. What is said here of a target is what its encoder does with a URL; a test holds both
//! together.

use crate::codec::Profile;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;
use trunkline_model::capability::Support;
use trunkline_model::content::Content;
use trunkline_model::content::{Media, MediaKind, MediaSource, Message, Part};
use trunkline_model::dialect::Dialect;
use trunkline_model::request::Request;
use trunkline_model::warning::Warning;

/// A file that must be fetched before the request can go to its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed<'a> {
    /// Its part, for example `messages[0].content[1]`.
    pub path: String,
    /// What it is said to be.
    pub kind: MediaKind,
    /// Where it is.
    pub url: &'a str,
}

/// A file that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supplied {
    /// MIME type.
    pub media_type: String,
    /// Its content.
    pub content: SuppliedContent,
}

impl Supplied {
    /// A file as it came, with the type it was found to have.
    #[must_use]
    pub fn new(media_type: &str, bytes: &[u8]) -> Self {
        let is_text =
            media_type.starts_with("text/") || media_type.ends_with("/json") || media_type.ends_with("/xml");
        let content = match std::str::from_utf8(bytes) {
            Ok(text) if is_text => SuppliedContent::Text(text.to_owned()),
            _ => SuppliedContent::Base64(STANDARD.encode(bytes)),
        };
        Self { media_type: media_type.to_owned(), content }
    }
}

/// The content of a fetched file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuppliedContent {
    /// Base64 (standard alphabet, padded).
    Base64(String),
    /// Plain text.
    Text(String),
}

/// The files of a request that a target takes, but not by URL.
#[must_use]
pub fn needed<'a>(dialect: Dialect, request: &'a Request, profile: &Profile) -> Vec<Needed<'a>> {
    let Request::Chat(chat) = request else { return Vec::new() };
    let mut found = Vec::new();
    for (index, message) in chat.messages.iter().enumerate() {
        let path = |position: usize| format!("messages[{index}].content[{position}]");
        for (position, part) in message.parts.iter().enumerate() {
            look(dialect, profile, &part.content, || path(position), &mut found);
            if let Content::ToolResult(result) = &part.content {
                for (inner, part) in result.parts.iter().enumerate() {
                    let path = || format!("{}.content[{inner}]", path(position));
                    look(dialect, profile, &part.content, path, &mut found);
                }
            }
        }
    }
    found
}

/// Puts fetched files in the place of their URLs. What was not fetched stays as it is.
pub fn supply(
    dialect: Dialect,
    request: &mut Request,
    profile: &Profile,
    find: &dyn Fn(&str, MediaKind) -> Option<Arc<Supplied>>,
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let Request::Chat(chat) = request else { return warnings };
    let mut fill = |path: &dyn Fn() -> String, part: &mut Part| {
        let Some((kind, media)) = part.content.media_mut() else { return };
        let MediaSource::Url(url) = &media.source else { return };
        if way(dialect, profile, kind, url) != Way::Bytes {
            return;
        }
        if let Some(supplied) = find(url, kind) {
            replace(media, &supplied);
            warnings.push(Warning::emulated(path(), "the target takes no URL here: the file was fetched"));
        }
    };
    for (index, Message { parts, .. }) in chat.messages.iter_mut().enumerate() {
        for (position, part) in parts.iter_mut().enumerate() {
            let path = move || format!("messages[{index}].content[{position}]");
            fill(&path, part);
            if let Content::ToolResult(result) = &mut part.content {
                for (inner, part) in result.parts.iter_mut().enumerate() {
                    fill(&|| format!("{}.content[{inner}]", path()), part);
                }
            }
        }
    }
    warnings
}

fn look<'a>(
    dialect: Dialect,
    profile: &Profile,
    content: &'a Content,
    path: impl Fn() -> String,
    found: &mut Vec<Needed<'a>>,
) {
    if let Some((kind, Media { source: MediaSource::Url(url), .. })) = content.media()
        && way(dialect, profile, kind, url) == Way::Bytes
    {
        found.push(Needed { path: path(), kind, url });
    }
}

fn replace(media: &mut Media, supplied: &Supplied) {
    if media.name.is_none()
        && let MediaSource::Url(url) = &media.source
    {
        media.name = file_name(url);
    }
    media.media_type = Some(supplied.media_type.clone());
    media.source = match &supplied.content {
        SuppliedContent::Base64(data) => MediaSource::Base64(data.into()),
        SuppliedContent::Text(text) => MediaSource::Text(text.into()),
    };
}

/// The last piece of a URL's path, where it looks like a file's name.
fn file_name(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next()?.split_once("://")?.1;
    let (_, name) = path.rsplit_once('/')?;
    (name.contains('.') && name.len() <= 200).then(|| name.to_owned())
}

/// How a target takes a file behind a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As the URL.
    Url,
    /// As its bytes.
    Bytes,
    /// Not at all.
    Neither,
}

fn way(dialect: Dialect, profile: &Profile, kind: MediaKind, url: &str) -> Way {
    let is_secure = has_scheme(url, "https://");
    if !is_secure && !has_scheme(url, "http://") {
        // Stores of providers (`s3://`, `gs://`) and what nobody can fetch: the encoders know which is which.
        return if dialect == Dialect::Converse && url.starts_with("s3://") {
            Way::Url
        } else {
            Way::Neither
        };
    }
    let by_profile = if profile.image_urls == Support::No { Way::Bytes } else { Way::Url };
    match (dialect, kind) {
        (Dialect::Converse, _) => Way::Bytes,
        (Dialect::Gemini, _) => {
            if is_secure {
                by_profile
            } else {
                Way::Bytes
            }
        }
        (Dialect::Anthropic, MediaKind::Image | MediaKind::Document) => by_profile,
        (Dialect::OpenAi | Dialect::Mistral | Dialect::Cohere, MediaKind::Image) => by_profile,
        (Dialect::OpenAi, MediaKind::Document | MediaKind::Audio) => Way::Bytes,
        // Cohere reads documents as texts: a text can be fetched.
        (Dialect::Cohere, MediaKind::Document) => Way::Bytes,
        (Dialect::Responses, MediaKind::Image | MediaKind::Document)
        | (Dialect::OpenAi, MediaKind::Video)
        | (Dialect::Mistral, MediaKind::Document | MediaKind::Audio) => Way::Url,
        (Dialect::Anthropic | Dialect::Responses | Dialect::Cohere, MediaKind::Audio)
        | (_, MediaKind::Video) => Way::Neither,
    }
}

fn has_scheme(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::EncodeError;
    use crate::dispatch;
    use trunkline_model::content::Role;
    use trunkline_model::dialect::Delivery;
    use trunkline_model::request::ChatRequest;

    const PNG: &str = "iVBORw0KGgo=";

    fn request(kind: MediaKind, source: MediaSource, media_type: Option<&str>) -> Request {
        let media = Media { source, media_type: media_type.map(str::to_owned), name: None, detail: None };
        let content = match kind {
            MediaKind::Image => Content::Image(media),
            MediaKind::Document => Content::Document(media),
            MediaKind::Audio => Content::Audio(media),
            MediaKind::Video => Content::Video(media),
        };
        let message = Message {
            role: Role::User,
            parts: vec![Part::text("Look at this"), Part::new(content)],
            name: None,
        };
        let chat = ChatRequest {
            model: "m".to_owned(),
            messages: vec![message],
            max_output_tokens: Some(100),
            ..ChatRequest::default()
        };
        Request::Chat(Box::new(chat))
    }

    fn encode(dialect: Dialect, request: &Request, profile: &Profile) -> Result<String, EncodeError> {
        dispatch::encode_request(dialect, request, profile, Delivery::Plain)
            .map(|encoded| String::from_utf8(encoded.body.to_vec()).unwrap())
    }

    fn file(kind: MediaKind) -> Supplied {
        let (media_type, content) = match kind {
            MediaKind::Image => ("image/png", SuppliedContent::Base64(PNG.to_owned())),
            MediaKind::Document => ("text/plain", SuppliedContent::Text("the text".into())),
            MediaKind::Audio => ("audio/wav", SuppliedContent::Base64("UklGRgAA".to_owned())),
            MediaKind::Video => ("video/mp4", SuppliedContent::Base64("AAAA".to_owned())),
        };
        Supplied { media_type: media_type.to_owned(), content }
    }

    #[test]
    fn what_is_said_of_a_target_is_what_its_encoder_does() {
        for dialect in Dialect::ALL {
            for kind in MediaKind::ALL {
                for url in ["https://example.com/a", "http://example.com/a", "s3://bucket/a"] {
                    for support in [Support::Yes, Support::No, Support::Unknown] {
                        let mut profile = Profile::new("m");
                        profile.image_urls = support;
                        let media_type = file(kind).media_type;
                        let mut asked = request(kind, MediaSource::Url(url.to_owned()), Some(&media_type));
                        let place = format!("{dialect} {kind:?} {url} {support:?}");
                        let by_url = encode(dialect, &asked, &profile);
                        let refused = matches!(by_url, Err(EncodeError::Unsupported { .. }));
                        match way(dialect, &profile, kind, url) {
                            Way::Url => assert!(by_url.is_ok_and(|body| body.contains(url)), "{place}"),
                            Way::Neither if url.starts_with("s3") => {}
                            Way::Neither => assert!(refused, "{place}: {by_url:?}"),
                            Way::Bytes => {
                                assert!(refused, "{place}: {by_url:?}");
                                let wanted = needed(dialect, &asked, &profile);
                                let place_of = wanted.iter().map(|file| (&*file.path, file.kind, file.url));
                                assert!(place_of.eq([("messages[0].content[1]", kind, url)]), "{place}");
                                let found = Arc::new(file(kind));
                                let warnings =
                                    supply(dialect, &mut asked, &profile, &|_, _| Some(Arc::clone(&found)));
                                assert_eq!(warnings.len(), 1, "{place}");
                                assert_eq!(needed(dialect, &asked, &profile), [], "{place}");
                                let body = encode(dialect, &asked, &profile).unwrap_or_else(|error| {
                                    panic!("{place}: {error}");
                                });
                                assert!(!body.contains(url), "{place}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn files_in_tool_results_are_found_and_named_after_their_urls() {
        use trunkline_model::content::ToolResult;
        let media = Media {
            source: MediaSource::Url("https://example.com/a/report.pdf?x=1".to_owned()),
            media_type: None,
            name: None,
            detail: None,
        };
        let result = ToolResult {
            call_id: "call_1".to_owned(),
            name: None,
            parts: vec![Part::text("here"), Part::new(Content::Document(media))],
            is_error: false,
        };
        let mut chat = ChatRequest::default();
        chat.messages.push(Message {
            role: Role::Tool,
            parts: vec![Part::new(Content::ToolResult(result))],
            name: None,
        });
        let mut request = Request::Chat(Box::new(chat));
        let profile = Profile::new("m");
        let paths: Vec<String> =
            needed(Dialect::Converse, &request, &profile).into_iter().map(|file| file.path).collect();
        assert_eq!(paths, ["messages[0].content[0].content[1]"]);
        let warnings =
            supply(Dialect::Converse, &mut request, &profile, &|_, kind| Some(Arc::new(file(kind))));
        assert_eq!(
            warnings[0].to_string(),
            "messages[0].content[0].content[1] emulated: the target takes no URL here: the file was fetched"
        );
        let Request::Chat(chat) = request else { panic!("a conversation stays one") };
        let Content::ToolResult(result) = &chat.messages[0].parts[0].content else {
            panic!("a result stays")
        };
        let (_, media) = result.parts[1].content.media().unwrap();
        assert_eq!(media.name.as_deref(), Some("report.pdf"));
        assert_eq!(media.source, MediaSource::Text("the text".into()));
    }
}
