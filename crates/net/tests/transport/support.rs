//! Servers to test against: hyper's, told what to answer, and bare sockets that speak bytes.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, Uri};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;
use trunkline_net::{
    Origin, RequestBody, Roots, SendError, Transport, TransportConfig, UpstreamBody, UpstreamRequest,
    UpstreamResponse,
};

pub(crate) type ServerBody = UnsyncBoxBody<Bytes, std::io::Error>;
pub(crate) type Answer = BoxFuture<'static, Response<ServerBody>>;

/// What a server has seen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Connected(usize),
    Requested(usize),
    /// A handler or a body was dropped before its end.
    Cancelled(usize),
    Closed(usize),
}

#[derive(Clone)]
pub(crate) enum Speaks {
    Http1,
    Http2,
    /// HTTP/2 with a limit of concurrent streams.
    Http2Limited(u32),
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// The certificate to trust, when the server speaks TLS.
    pub(crate) certificate: Option<String>,
    /// Has one HTTP/2 connection take no further requests.
    pub(crate) leave: Arc<Notify>,
    events: mpsc::UnboundedReceiver<Event>,
}

/// What a handler gets: the request, the number of its connection, a way to report.
pub(crate) struct Asked {
    pub(crate) request: Request<Incoming>,
    pub(crate) connection: usize,
    pub(crate) events: mpsc::UnboundedSender<Event>,
}

/// Reports when dropped, unless disarmed.
pub(crate) struct Witness(Option<(usize, mpsc::UnboundedSender<Event>)>);

impl Asked {
    pub(crate) fn witness(&self) -> Witness {
        Witness(Some((self.connection, self.events.clone())))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if let Some((connection, events)) = self.0.take() {
            let _ = events.send(Event::Cancelled(connection));
        }
    }
}

impl Server {
    pub(crate) async fn start(
        speaks: Speaks,
        handler: impl Fn(Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listen(speaks, None, handler).await
    }

    pub(crate) async fn start_tls(
        speaks: Speaks,
        handler: impl Fn(Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key =
            rustls_pki_types::PrivateKeyDer::try_from(identity.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("default versions")
            .with_no_client_auth()
            .with_single_cert(vec![identity.cert.der().clone()], key)
            .expect("a usable certificate");
        config.alpn_protocols = match speaks {
            Speaks::Http1 => vec![b"http/1.1".to_vec()],
            _ => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut server = Self::listen(speaks, Some(acceptor), handler).await;
        server.certificate = Some(identity.cert.pem());
        server
    }

    async fn listen(
        speaks: Speaks,
        tls: Option<TlsAcceptor>,
        handler: impl Fn(Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, events) = mpsc::unbounded_channel();
        let handler: Arc<dyn Fn(Asked) -> Answer + Send + Sync> = Arc::new(handler);
        let leave = Arc::new(Notify::new());
        let leaving = leave.clone();
        tokio::spawn(async move {
            for connection in 0.. {
                let Ok((tcp, _)) = listener.accept().await else { return };
                let _ = sender.send(Event::Connected(connection));
                let serving = Serving {
                    speaks: speaks.clone(),
                    handler: handler.clone(),
                    events: sender.clone(),
                    leave: leaving.clone(),
                    connection,
                };
                tokio::spawn(serving.run(tcp, tls.clone()));
            }
        });
        Self { address, certificate: None, leave, events }
    }

    pub(crate) async fn event(&mut self) -> Event {
        self.events.recv().await.expect("the server runs")
    }

    /// Waits for an event, skipping others.
    pub(crate) async fn wait_for(&mut self, wanted: Event) {
        while self.event().await != wanted {}
    }

    pub(crate) fn config(&self) -> TransportConfig {
        TransportConfig {
            roots: Roots::ExtraOnly,
            extra_roots: self.certificate.iter().cloned().collect(),
            dns_overrides: [("localhost".to_owned(), vec![self.address])].into(),
            ..TransportConfig::default()
        }
    }

    pub(crate) fn prior_knowledge(&self) -> TransportConfig {
        let origin = Origin::parse(&self.url("/")).expect("a good URL");
        TransportConfig { http2_prior_knowledge: vec![origin], ..self.config() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }

    pub(crate) fn get(&self) -> UpstreamRequest {
        request(Method::GET, &self.url("/"), RequestBody::empty())
    }
}

struct Serving {
    speaks: Speaks,
    handler: Arc<dyn Fn(Asked) -> Answer + Send + Sync>,
    events: mpsc::UnboundedSender<Event>,
    leave: Arc<Notify>,
    connection: usize,
}

impl Serving {
    async fn run(self, tcp: TcpStream, tls: Option<TlsAcceptor>) {
        tcp.set_nodelay(true).expect("nodelay");
        let (connection, events) = (self.connection, self.events.clone());
        match tls {
            None => self.serve(tcp).await,
            Some(tls) => {
                if let Ok(tls) = tls.accept(tcp).await {
                    self.serve(tls).await;
                }
            }
        }
        let _ = events.send(Event::Closed(connection));
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let (handler, events, connection) = (self.handler, self.events, self.connection);
        let service = service_fn(move |request| {
            let _ = events.send(Event::Requested(connection));
            let answer = handler(Asked { request, connection, events: events.clone() });
            async move { Ok::<_, std::convert::Infallible>(answer.await) }
        });
        let io = TokioIo::new(stream);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        let outcome = match self.speaks {
            Speaks::Http1 => http1::Builder::new().serve_connection(io, service).await,
            Speaks::Http2 | Speaks::Http2Limited(_) => {
                if let Speaks::Http2Limited(limit) = self.speaks {
                    http2.max_concurrent_streams(limit);
                }
                let mut serving = std::pin::pin!(http2.serve_connection(io, service));
                loop {
                    tokio::select! {
                        outcome = serving.as_mut() => break outcome,
                        () = self.leave.notified() => serving.as_mut().graceful_shutdown(),
                    }
                }
            }
        };
        // A cut is what many tests are about; the client's side is what they look at.
        drop(outcome);
    }
}

/// A body fed by the test. Dropped before its end, it reports.
pub(crate) struct Fed {
    receiver: mpsc::UnboundedReceiver<Result<Bytes, std::io::Error>>,
    witness: Witness,
}

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.receiver.poll_recv(context).map(|item| {
            if item.is_none() {
                self.witness.0 = None;
            }
            item.map(|item| item.map(Frame::data))
        })
    }
}

pub(crate) type Feed = mpsc::UnboundedSender<Result<Bytes, std::io::Error>>;

/// A response whose body is fed through the channel.
pub(crate) fn fed(asked: &Asked) -> (Feed, Response<ServerBody>) {
    let (feed, receiver) = mpsc::unbounded_channel();
    (feed, Response::new(Fed { receiver, witness: asked.witness() }.boxed_unsync()))
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Response<ServerBody> {
    Response::new(Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync())
}

/// Answers each request with the number of its connection.
pub(crate) fn number(asked: Asked) -> Answer {
    Box::pin(async move {
        drop(asked.request);
        full(asked.connection.to_string())
    })
}

/// Never answers; reports when it is dropped.
pub(crate) fn silence(asked: Asked) -> Answer {
    Box::pin(async move {
        let _witness = asked.witness();
        std::future::pending().await
    })
}

/// A handler that hands each request's feed to the test, and its first chunk to the client.
pub(crate) fn feeding() -> (mpsc::UnboundedReceiver<Feed>, impl Fn(Asked) -> Answer + Send + Sync + 'static) {
    let (feeds, receiver) = mpsc::unbounded_channel();
    let handler = move |asked: Asked| -> Answer {
        let (feed, response) = fed(&asked);
        feed.send(Ok(Bytes::from(asked.connection.to_string()))).expect("the body waits");
        feeds.send(feed).expect("the test runs");
        Box::pin(async move { response })
    };
    (receiver, handler)
}

pub(crate) fn request(method: Method, url: &str, body: RequestBody) -> UpstreamRequest {
    UpstreamRequest::new(method, url.parse::<Uri>().expect("a URL"), body)
}

pub(crate) fn transport(config: &TransportConfig) -> Transport {
    Transport::new(config).expect("a good configuration")
}

pub(crate) async fn text(mut body: UpstreamBody) -> String {
    let mut whole = Vec::new();
    while let Some(chunk) = body.chunk().await {
        whole.extend_from_slice(&chunk.expect("the body is whole"));
    }
    String::from_utf8(whole).expect("text")
}

/// Sends, reads to the end, and answers with the response's text.
pub(crate) async fn ask(transport: &Transport, server: &Server) -> String {
    let response = transport.send(server.get()).await.expect("a response");
    text(response.body).await
}

pub(crate) async fn next_text(response: &mut UpstreamResponse) -> String {
    let chunk = response.body.chunk().await.expect("a chunk").expect("good");
    String::from_utf8(chunk.to_vec()).expect("text")
}

pub(crate) async fn failure(transport: &Transport, request: UpstreamRequest) -> SendError {
    transport.send(request).await.expect_err("the request fails")
}

/// The text of an error with the port of this run replaced.
pub(crate) fn shown(error: &impl ToString, address: SocketAddr) -> String {
    error.to_string().replace(&format!(":{}", address.port()), ":PORT")
}

/// A server of bytes in a thread of its own, so that it goes on while the test's runtime stands still.
pub(crate) fn raw(serve: impl FnOnce(std::net::TcpListener) + Send + 'static) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || serve(listener));
    address
}

/// An address that refuses: its port is taken for as long as the socket is held, and nobody listens.
pub(crate) fn refusing() -> (SocketAddr, tokio::net::TcpSocket) {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    (socket.local_addr().expect("an address"), socket)
}

/// Reads a request: its head as text, and as much body as the head announces.
pub(crate) fn read_request(stream: &mut std::net::TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let (head, length) = loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8(bytes.drain(..end + 4).collect()).expect("a head is text");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse::<usize>().expect("a length"));
            break (head, length);
        }
        let count = stream.read(&mut buffer).expect("readable");
        assert!(count > 0, "the request is cut");
        bytes.extend_from_slice(&buffer[..count]);
    };
    while bytes.len() < length {
        let count = stream.read(&mut buffer).expect("readable");
        assert!(count > 0, "the body is cut");
        bytes.extend_from_slice(&buffer[..count]);
    }
    (head, bytes)
}

pub(crate) fn write(stream: &mut std::net::TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).expect("writable");
}

/// Polls once.
pub(crate) async fn is_pending(future: &mut (impl Future + Unpin)) -> bool {
    std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context).is_pending())).await
}
