//! One fetch: hop by hop, within bounds of size and time.
//!
//! Owns the bounds and the words for what went wrong. What the client is told never depends on what an internal address
//! answered, or on whether an internal name exists: a name that does not resolve and one that leads inside are the same to it,
//! and the log has the difference.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{StreamExt, iter};
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, StatusCode, Uri};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use trunkline_model::content::MediaKind;
use trunkline_model::file_type;

use super::guard::Guard;
use super::location;
use crate::origin::OriginView;
use crate::{
    Http2, RequestBody, SendError, Transport, TransportConfig, TransportError, UpstreamBody, UpstreamRequest,
    UpstreamResponse,
};

/// Redirects that are followed.
const MOST_REDIRECTS: usize = 3;
/// Files of one request fetched at once.
const AT_ONCE: usize = 4;
/// Files fetched at once over all requests.
const AT_ONCE_IN_ALL: usize = 64;
/// Memory reserved for an announced length before a byte of it has come.
const RESERVED: u64 = 256 * 1024;

/// Bounds of fetches.
#[derive(Debug, Clone)]
pub struct FetchSettings {
    /// Where they may go.
    pub guard: Guard,
    /// Most bytes of all files of one request together.
    pub max_bytes: u64,
    /// Longest time for all files of one request, redirects included.
    pub timeout: Duration,
}

/// A file that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// MIME type, by its bytes.
    pub media_type: &'static str,
    /// The file.
    pub bytes: Bytes,
}

/// Why a file did not come; the text follows "failed to fetch the file:" and is safe to show to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Not a URL that is fetched.
    #[error("a URL needs the scheme http or https, a host, and no user name or password")]
    Url,
    /// The operator has listed the hosts, and this one is not among them.
    #[error("the operator does not allow files from its host")]
    HostNotAllowed,
    /// The host has no address, or one that is not on the public internet.
    #[error("its host has no address on the public internet")]
    NotPublic,
    /// Nobody answered, or not in HTTP.
    #[error("its host could not be reached")]
    Unreachable,
    /// The server said no.
    #[error("its host answered with status {0}")]
    Status(u16),
    /// The server sent us elsewhere once too often.
    #[error("its host redirected more than {MOST_REDIRECTS} times")]
    TooManyRedirects,
    /// The server sent us to a place that is no URL to fetch.
    #[error("its host redirected to a place that cannot be fetched")]
    Redirect,
    /// The files are too large.
    #[error("the files of one request may have {limit} bytes together")]
    TooLarge {
        /// Most bytes.
        limit: u64,
    },
    /// The server compressed the file although it was not asked to.
    #[error("its host sent it compressed")]
    Compressed,
    /// The file is not what it was said to be.
    #[error("what came is not {expected}")]
    Type {
        /// What would have been taken.
        expected: &'static str,
    },
    /// The connection ended before the file did.
    #[error("the connection to its host broke")]
    Cut,
    /// Out of time.
    #[error("it did not come within {} ms", .0.as_millis())]
    Timeout(Duration),
}

/// Fetches files. Has its own connections: none of them ever carries a credential.
#[derive(Debug)]
pub struct Fetcher {
    transport: Transport,
    settings: FetchSettings,
    permits: Semaphore,
}

impl Fetcher {
    /// A fetcher that trusts and resolves as a transport does, within a guard.
    ///
    /// # Errors
    /// As [`Transport::new`].
    pub fn new(transport: &Transport, settings: FetchSettings) -> Result<Self, TransportError> {
        let base = transport.config();
        let transport = Transport::new(&TransportConfig {
            guard: Some(Arc::new(settings.guard.clone())),
            http2: Http2::Off,
            http2_prior_knowledge: Vec::new(),
            max_connections_per_origin: AT_ONCE_IN_ALL,
            max_idle_per_origin: 2,
            pool_idle_timeout: Duration::from_secs(5),
            ..base.clone()
        })?;
        Ok(Self { transport, settings, permits: Semaphore::new(AT_ONCE_IN_ALL) })
    }

    /// Fetches the files of one request: a few at once, all within one time and one size, which is at most `patience`.
    pub async fn fetch_all(
        &self,
        wanted: &[(&str, MediaKind)],
        patience: Duration,
    ) -> Vec<Result<Fetched, FetchError>> {
        let limit = self.settings.timeout.min(patience);
        let deadline = Instant::now() + limit;
        let budget =
            Budget { left: parking_lot::Mutex::new(self.settings.max_bytes), limit: self.settings.max_bytes };
        // Boxed: what is a closure's own future is not known to be `Send` for every lifetime.
        let mut fetches: Vec<BoxFuture<'_, Result<Fetched, FetchError>>> = Vec::new();
        for (url, kind) in wanted {
            let whole = self.fetch_in_turn(url, *kind, &budget);
            let timed = timeout_at(deadline, whole)
                .map(move |outcome| outcome.unwrap_or(Err(FetchError::Timeout(limit))));
            fetches.push(timed.boxed());
        }
        iter(fetches).buffered(AT_ONCE).collect().await
    }

    async fn fetch_in_turn(
        &self,
        url: &str,
        kind: MediaKind,
        budget: &Budget,
    ) -> Result<Fetched, FetchError> {
        let _permit = self.permits.acquire().await.map_err(|_| FetchError::Unreachable)?;
        self.fetch(url, kind, budget).await
    }

    async fn fetch(&self, url: &str, kind: MediaKind, budget: &Budget) -> Result<Fetched, FetchError> {
        let mut uri = location::parse(url).ok_or(FetchError::Url)?;
        for _ in 0..=MOST_REDIRECTS {
            let response = self.hop(&uri, kind).await?;
            match response.status {
                StatusCode::OK => return read(response, kind, budget).await,
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => {
                    let to = response.headers.get(LOCATION).and_then(|value| value.to_str().ok());
                    uri = to.and_then(|to| location::join(&uri, to)).ok_or(FetchError::Redirect)?;
                }
                other => return Err(FetchError::Status(other.as_u16())),
            }
        }
        Err(FetchError::TooManyRedirects)
    }

    async fn hop(&self, uri: &Uri, kind: MediaKind) -> Result<UpstreamResponse, FetchError> {
        let host = OriginView::of(uri).map_err(|_| FetchError::Url)?.host();
        if !self.settings.guard.allows_host(host) {
            tracing::info!(host, "a file was not fetched: `media.allow_hosts` does not list its host");
            return Err(FetchError::HostNotAllowed);
        }
        let mut request = UpstreamRequest::new(Method::GET, uri.clone(), RequestBody::empty());
        request.headers.insert(ACCEPT, HeaderValue::from_static(file_type::expected(kind).0));
        self.transport.send(request).await.map_err(|error| {
            tracing::info!(host, %error, "a file was not fetched");
            match error {
                SendError::Url(_) => FetchError::Url,
                SendError::Resolve { .. } => FetchError::NotPublic,
                _ => FetchError::Unreachable,
            }
        })
    }
}

/// What the files of a request may still hold.
struct Budget {
    left: parking_lot::Mutex<u64>,
    limit: u64,
}

impl Budget {
    fn take(&self, bytes: u64) -> Result<(), FetchError> {
        let mut left = self.left.lock();
        *left = left.checked_sub(bytes).ok_or(FetchError::TooLarge { limit: self.limit })?;
        Ok(())
    }
}

async fn read(response: UpstreamResponse, kind: MediaKind, budget: &Budget) -> Result<Fetched, FetchError> {
    let encoding = response.headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?").trim());
    if !matches!(encoding, None | Some("" | "identity")) {
        return Err(FetchError::Compressed);
    }
    let announced = response.body.content_length();
    if announced.is_some_and(|length| length > budget.limit) {
        return Err(FetchError::TooLarge { limit: budget.limit });
    }
    let bytes = collect(response.body, announced, budget).await?;
    let declared = response.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match file_type::judge(kind, declared, &bytes) {
        Some(media_type) => Ok(Fetched { media_type, bytes }),
        None => Err(FetchError::Type { expected: file_type::expected(kind).1 }),
    }
}

async fn collect(
    mut body: UpstreamBody,
    announced: Option<u64>,
    budget: &Budget,
) -> Result<Bytes, FetchError> {
    let reserved = announced.unwrap_or(0).min(RESERVED);
    let mut bytes = BytesMut::with_capacity(usize::try_from(reserved).unwrap_or(0));
    while let Some(chunk) = body.chunk().await {
        let chunk = chunk.map_err(|_| FetchError::Cut)?;
        budget.take(chunk.len() as u64)?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use trunkline_model::host::HostPattern;

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n-a-picture-";

    /// A server that answers by path; what it was asked comes back at the end.
    async fn server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    let text = String::from_utf8(head).expect("ASCII");
                    let path = text.split(' ').nth(1).expect("a request line");
                    stream.write_all(&answer(path)).await.expect("written");
                    if path == "/never" {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        address
    }

    fn answer(path: &str) -> Vec<u8> {
        let with = |head: &str, body: &[u8]| {
            [format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n").as_bytes(), body].concat()
        };
        match path {
            "/a.png" => with("200 OK\r\ncontent-type: image/png", PNG),
            "/page" => with("200 OK\r\ncontent-type: text/html", b"<html>log in</html>"),
            "/gone" => with("404 Not Found", b"the secret of the internal page"),
            "/gzip" => with("200 OK\r\ncontent-encoding: gzip", PNG),
            "/huge" => with("200 OK\r\ncontent-length: 2000", PNG),
            "/endless" => with("200 OK\r\ncontent-type: image/png", &[PNG, &[0; 2_000]].concat()),
            "/cut" => with("200 OK\r\ncontent-length: 100", PNG),
            "/loop" => with("302 Found\r\nlocation: /loop", b""),
            "/moved" => with("301 Moved\r\nlocation: a.png", b""),
            "/inside" => with("302 Found\r\nlocation: http://inside.test/a.png", b""),
            "/metadata" => with("302 Found\r\nlocation: http://169.254.169.254/latest/meta-data/", b""),
            "/file" => with("302 Found\r\nlocation: file:///etc/passwd", b""),
            "/nonsense" => b"what?\r\n\r\n".to_vec(),
            _ => Vec::new(),
        }
    }

    async fn fetcher(allow_hosts: &[&str], allow_private: &[&str]) -> Fetcher {
        let address = server().await;
        let names = ["files.test", "inside.test", "rebound.test"];
        let mut overrides: HashMap<String, Vec<SocketAddr>> =
            names.into_iter().map(|name| (name.to_owned(), vec![address])).collect();
        overrides.insert("missing.test".to_owned(), Vec::new());
        let transport =
            Transport::new(&TransportConfig { dns_overrides: overrides, ..TransportConfig::default() })
                .expect("a transport");
        let patterns = |hosts: &[&str]| {
            hosts.iter().map(|host| HostPattern::parse(host).expect("a host")).collect::<Vec<_>>()
        };
        let guard = Guard { allow_hosts: patterns(allow_hosts), allow_private: patterns(allow_private) };
        let settings = FetchSettings { guard, max_bytes: 1_000, timeout: Duration::from_secs(20) };
        Fetcher::new(&transport, settings).expect("a fetcher")
    }

    async fn said(fetcher: &Fetcher, urls: &[&str]) -> String {
        let wanted: Vec<(&str, MediaKind)> = urls.iter().map(|url| (*url, MediaKind::Image)).collect();
        let found = fetcher.fetch_all(&wanted, Duration::MAX).await;
        let lines = urls.iter().zip(found).map(|(url, found)| match found {
            Ok(file) => format!("{url}: {} of {} bytes", file.media_type, file.bytes.len()),
            Err(error) => format!("{url}: {error}"),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[tokio::test]
    async fn files_are_fetched_or_the_reason_is_told() {
        let fetcher = fetcher(&[], &["files.test"]).await;
        let urls = [
            "http://files.test/a.png",
            "http://files.test/moved",
            "http://files.test/page",
            "http://files.test/gone",
            "http://files.test/gzip",
            "http://files.test/huge",
            "http://files.test/endless",
            "http://files.test/cut",
            "http://files.test/loop",
            "http://files.test/file",
            "http://files.test/nonsense",
            "ftp://files.test/a.png",
            "http://me:secret@files.test/a.png",
        ];
        let mut lines = Vec::new();
        for url in urls {
            lines.push(said(&fetcher, &[url]).await);
        }
        insta::assert_snapshot!(lines.join("\n"), @r"
        http://files.test/a.png: image/png of 19 bytes
        http://files.test/moved: image/png of 19 bytes
        http://files.test/page: what came is not a JPEG, PNG, GIF or WebP picture
        http://files.test/gone: its host answered with status 404
        http://files.test/gzip: its host sent it compressed
        http://files.test/huge: the files of one request may have 1000 bytes together
        http://files.test/endless: the files of one request may have 1000 bytes together
        http://files.test/cut: the connection to its host broke
        http://files.test/loop: its host redirected more than 3 times
        http://files.test/file: its host redirected to a place that cannot be fetched
        http://files.test/nonsense: its host could not be reached
        ftp://files.test/a.png: a URL needs the scheme http or https, a host, and no user name or password
        http://me:secret@files.test/a.png: a URL needs the scheme http or https, a host, and no user name or password
        ");
    }

    #[tokio::test]
    async fn nothing_leads_inside_and_nothing_tells_what_is_there() {
        let guarded = fetcher(&[], &["files.test"]).await;
        let port = server().await.port();
        let mut urls: Vec<String> = [
            "http://files.test/inside",
            "http://files.test/metadata",
            "http://inside.test/a.png",
            "http://rebound.test/gone",
            "http://missing.test/a.png",
            "http://169.254.169.254/latest/meta-data/",
        ]
        .map(str::to_owned)
        .into();
        for host in
            ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0.0.0.0"]
        {
            urls.push(format!("http://{host}:{port}/a.png"));
        }
        for url in &urls {
            let line = said(&guarded, &[url]).await;
            assert_eq!(line, format!("{url}: its host has no address on the public internet"));
        }
        // The same address is open to a host that the operator lists.
        let open = fetcher(&[], &["127.0.0.1"]).await;
        let line = said(&open, &[&format!("http://127.0.0.1:{port}/a.png")]).await;
        assert!(line.ends_with("image/png of 19 bytes"), "{line}");
    }

    #[tokio::test]
    async fn only_listed_hosts_are_asked_and_redirects_are_no_way_around() {
        let fetcher = fetcher(&["files.test"], &["*.test", "files.test", "inside.test"]).await;
        let line = said(&fetcher, &["http://inside.test/a.png"]).await;
        assert!(line.ends_with("the operator does not allow files from its host"), "{line}");
        let line = said(&fetcher, &["http://files.test/inside"]).await;
        assert!(line.ends_with("the operator does not allow files from its host"), "{line}");
    }

    #[tokio::test]
    async fn the_files_of_a_request_share_one_size() {
        let fetcher = fetcher(&[], &["files.test"]).await;
        let urls = vec!["http://files.test/a.png"; 60];
        let wanted: Vec<(&str, MediaKind)> = urls.iter().map(|url| (*url, MediaKind::Image)).collect();
        let found = fetcher.fetch_all(&wanted, Duration::MAX).await;
        let whole = found.iter().filter(|found| found.is_ok()).count();
        assert_eq!(whole, 1_000 / PNG.len());
        assert!(found.contains(&Err(FetchError::TooLarge { limit: 1_000 })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_ends_at_the_limit() {
        let fetcher = fetcher(&[], &["files.test"]).await;
        let found = fetcher
            .fetch_all(&[("http://files.test/never", MediaKind::Image)], Duration::from_millis(1_500))
            .await;
        assert_eq!(found, [Err(FetchError::Timeout(Duration::from_millis(1_500)))]);
    }
}
