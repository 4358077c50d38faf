//! What the transport costs over a bare hyper connection: CPU time of this process for each request.
//!
//! Both loops talk to the same server in the same process, so the difference between them is the transport's own.
//! Run with `cargo run --release -p trunkline-net --example cost`.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use trunkline_net::{RequestBody, Transport, TransportConfig, UpstreamRequest};

const ROUNDS: u32 = 100_000;
const BODY: &[u8] = &[b'x'; 500];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let Ok((tcp, _)) = listener.accept().await else { return };
            tcp.set_nodelay(true).expect("nodelay");
            let service = hyper::service::service_fn(|request: Request<hyper::body::Incoming>| async {
                request.into_body().collect().await.expect("a body");
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(BODY))))
            });
            let serving =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), service);
            tokio::spawn(serving);
        }
    });

    let transport = Transport::new(&TransportConfig::default()).expect("a good configuration");
    for round in 0..3 {
        let before = cpu_time();
        through_hyper(address).await;
        let bare = cpu_time() - before;
        let before = cpu_time();
        through_transport(&transport, address).await;
        let ours = cpu_time() - before;
        let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(ROUNDS);
        println!(
            "round {round}: bare hyper {:.2} us, transport {:.2} us, more by {:.2} us a request",
            each(bare),
            each(ours),
            each(ours) - each(bare)
        );
    }
}

async fn through_hyper(address: std::net::SocketAddr) {
    let tcp = tokio::net::TcpStream::connect(address).await.expect("a connection");
    tcp.set_nodelay(true).expect("nodelay");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.expect("a handshake");
    tokio::spawn(connection);
    let host = HeaderValue::from_str(&address.to_string()).expect("a host");
    for _ in 0..ROUNDS {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/v1/chat/completions")
            .header(header::HOST, host.clone())
            .header(header::AUTHORIZATION, HeaderValue::from_static("Bearer key"))
            .header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            .header(header::USER_AGENT, HeaderValue::from_static("trunkline/0.1.0"))
            .body(Full::new(Bytes::from_static(BODY)))
            .expect("a request");
        sender.ready().await.expect("ready");
        let mut body = sender.send_request(request).await.expect("a response").into_body();
        while let Some(frame) = body.frame().await {
            frame.expect("good");
        }
    }
}

async fn through_transport(transport: &Transport, address: std::net::SocketAddr) {
    let uri: http::Uri = format!("http://{address}/v1/chat/completions").parse().expect("a URL");
    for _ in 0..ROUNDS {
        let mut request =
            UpstreamRequest::new(Method::POST, uri.clone(), RequestBody::from(Bytes::from_static(BODY)));
        request.headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer key"));
        request.headers_timeout = Some(Duration::from_secs(60));
        let mut body = transport.send(request).await.expect("a response").body;
        while let Some(chunk) = body.chunk().await {
            chunk.expect("good");
        }
    }
}

/// CPU time of this process, from the operating system.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("Linux");
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok()).expect("a number");
    Duration::from_nanos(nanoseconds)
}
