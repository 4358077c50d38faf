//! Files behind URLs: fetched for providers that take bytes, from where the operator allows it, once.

use crate::support::{Face, Gateway, model, provider, simulator};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use trunkline_sim::{DialectName, Fault, Rule, Script, SimConfig, Simulator};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n-a-picture-";
const PDF: &[u8] = b"%PDF-1.7 a report";
/// The same in base64.
const PNG_TEXT: &str = "iVBORw0KGgotYS1waWN0dXJlLQ==";
const PDF_TEXT: &str = "JVBERi0xLjcgYSByZXBvcnQ=";
const NOTES_TEXT: &str = "dGhlIG5vdGVz";

/// A server of files on loopback, and what it was asked for.
struct Files {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Files {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    seen.lock().unwrap().push(request.uri().path().to_owned());
                    let answer = Response::builder();
                    let (answer, body) = match request.uri().path() {
                        "/a.png" => (answer.header("content-type", "image/png"), PNG),
                        "/report.pdf" => (answer.header("content-type", "application/pdf"), PDF),
                        "/notes.txt" => {
                            (answer.header("content-type", "text/plain"), b"the notes".as_slice())
                        }
                        "/away" => (
                            answer.status(302).header("location", "http://169.254.169.254/latest/meta-data/"),
                            [].as_slice(),
                        ),
                        _ => (answer.status(403), b"the secret of the intranet".as_slice()),
                    };
                    let answer = answer.body(Full::new(Bytes::from_static(body))).unwrap();
                    async move { Ok::<_, Infallible>(answer) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn asking(face: Face, model: &str, image: &str) -> Value {
    let mut body = face.value(model, "", false);
    body["messages"][0]["content"] = match face {
        Face::OpenAi => json!([
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": image}},
        ]),
        Face::Anthropic => json!([
            {"type": "text", "text": "What is this?"},
            {"type": "image", "source": {"type": "url", "url": image}},
        ]),
    };
    body
}

fn sent(simulator: &Simulator) -> String {
    String::from_utf8(simulator.last_request().unwrap().body.to_vec()).unwrap()
}

const ALLOWED: &str = "media: { allow_private: [127.0.0.1] }\n";

#[tokio::test(flavor = "multi_thread")]
async fn pictures_reach_providers_that_take_only_bytes() {
    let files = Files::start().await;
    for dialect in [DialectName::Converse, DialectName::Gemini] {
        let simulator = simulator(dialect).await;
        let gateway = Gateway::start(&format!(
            "{ALLOWED}providers:\n{}",
            provider("only", dialect, &simulator.base_url())
        ))
        .await;
        for face in Face::BOTH {
            let body = asking(face, &format!("only/{}", model(dialect)), &files.url("/a.png"));
            let answer = gateway.post(face.path(), body.to_string()).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let sent = sent(&simulator);
            assert!(sent.contains(PNG_TEXT) && !sent.contains("http://"), "{sent}");
            let warnings = answer.header("x-trunkline-warnings");
            assert!(
                warnings.contains(
                    "messages[0].content[1] emulated: the target takes no URL here: the file was fetched"
                ),
                "{warnings}"
            );
        }
    }
    assert_eq!(files.asked(), ["/a.png"; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_fetched_and_keep_their_names() {
    let files = Files::start().await;
    let simulator = simulator(DialectName::Converse).await;
    let gateway = Gateway::start(&format!(
        "{ALLOWED}providers:\n{}",
        provider("only", DialectName::Converse, &simulator.base_url())
    ))
    .await;
    let mut body = asking(Face::Anthropic, &format!("only/{}", model(DialectName::Converse)), "");
    let document =
        |path: &str| json!({"type": "document", "source": {"type": "url", "url": files.url(path)}});
    body["messages"][0]["content"] = json!([
        {"type": "text", "text": "Compare"},
        document("/report.pdf"),
        document("/notes.txt"),
        document("/report.pdf"),
    ]);
    let answer = gateway.post(Face::Anthropic.path(), body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent: Value = serde_json::from_str(&sent(&simulator)).unwrap();
    let documents: Vec<&Value> =
        (1..4).map(|place| &sent["messages"][0]["content"][place]["document"]).collect();
    let shown = documents.iter().map(|document| {
        let text = |value: &'_ Value| value.as_str().unwrap().to_owned();
        (text(&document["name"]), text(&document["format"]), text(&document["source"]["bytes"]))
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            ("report-pdf", "pdf", PDF_TEXT),
            ("notes-txt", "txt", NOTES_TEXT),
            ("report-pdf 2", "pdf", PDF_TEXT)
        ]
        .map(|(name, format, bytes)| (name.to_owned(), format.to_owned(), bytes.to_owned()))
    );
    let mut asked = files.asked();
    asked.sort();
    assert_eq!(asked, ["/notes.txt", "/report.pdf"], "the same file once");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_nothing_private_is_asked() {
    let files = Files::start().await;
    let simulator = simulator(DialectName::Converse).await;
    let providers = provider("only", DialectName::Converse, &simulator.base_url());
    let gateway = Gateway::start(&format!("providers:\n{providers}")).await;
    let name = format!("only/{}", model(DialectName::Converse));
    for (face, url) in [
        (Face::OpenAi, files.url("/a.png")),
        (Face::Anthropic, files.url("/a.png").replace("127.0.0.1", "localhost")),
        (Face::OpenAi, "http://169.254.169.254/latest/meta-data/".to_owned()),
        (Face::Anthropic, "http://no-such-host.invalid/a.png".to_owned()),
    ] {
        let answer = gateway.post(face.path(), asking(face, &name, &url).to_string()).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!(
            message,
            "messages[0].content[1]: failed to fetch the file, which the target takes as bytes only: its host has no address on the public internet"
        );
    }
    assert_eq!(files.asked(), [""; 0]);
    assert_eq!(simulator.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_inside_and_other_failures_are_the_clients() {
    let files = Files::start().await;
    let simulator = simulator(DialectName::Converse).await;
    let providers = provider("only", DialectName::Converse, &simulator.base_url());
    let gateway = Gateway::start(&format!("{ALLOWED}providers:\n{providers}")).await;
    let name = format!("only/{}", model(DialectName::Converse));
    for (url, expected) in [
        (files.url("/away"), "its host has no address on the public internet"),
        (files.url("/other"), "its host answered with status 403"),
        (files.url("/notes.txt"), "what came is not a JPEG, PNG, GIF or WebP picture"),
        (
            files.url("/a.png").replace("http://", "http://me:secret@"),
            "a URL needs the scheme http or https, a host, and no user name or password",
        ),
    ] {
        let answer =
            gateway.post("/v1/chat/completions", asking(Face::OpenAi, &name, &url).to_string()).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        let error = answer.json()["error"].clone();
        assert_eq!(error["param"], "messages[0].content[1]");
        assert!(error["message"].as_str().unwrap().ends_with(expected), "{error}");
        assert!(!answer.text().contains("secret of the intranet"));
    }
    assert!(!gateway.log().contains("me:secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_fetched_once_over_all_attempts_and_only_when_it_is_needed() {
    let files = Files::start().await;
    let broken = Script { rules: vec![Rule::always(Fault::ServerError)], ..Script::default() };
    let first =
        Simulator::start(SimConfig::new(DialectName::Converse).with_script(broken.clone())).await.unwrap();
    let second = Simulator::start(SimConfig::new(DialectName::Gemini).with_script(broken)).await.unwrap();
    let third = simulator(DialectName::OpenAi).await;
    let providers = provider("first", DialectName::Converse, &first.base_url())
        + &provider("second", DialectName::Gemini, &second.base_url())
        + &provider("third", DialectName::OpenAi, &third.base_url());
    let gateway = Gateway::start(&format!(
        "{ALLOWED}providers:\n{providers}routes:\n  all:\n    tiers: {{ one: {{ deployments: [first/{}] }}, two: {{ deployments: [second/{}] }}, three: {{ deployments: [third/{}] }} }}\n    fallback: {{ error: [two, three] }}\n",
        model(DialectName::Converse),
        model(DialectName::Gemini),
        model(DialectName::OpenAi)
    ))
    .await;
    let body = asking(Face::OpenAi, "all", &files.url("/a.png")).to_string();
    let answer = gateway.post("/v1/chat/completions", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-trunkline-provider"), "third");
    assert!(
        second.requests().iter().all(|request| { String::from_utf8_lossy(&request.body).contains(PNG_TEXT) })
    );
    assert!(!second.requests().is_empty());
    assert!(sent(&third).contains(&files.url("/a.png")), "who reads URLs gets the URL");
    assert_eq!(files.asked(), ["/a.png"]);
    let body = asking(Face::OpenAi, &format!("third/{}", model(DialectName::OpenAi)), &files.url("/a.png"));
    let answer = gateway.post("/v1/chat/completions", body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(files.asked(), ["/a.png"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_requests_and_closed_gateways_fetch_nothing() {
    let files = Files::start().await;
    let simulator = simulator(DialectName::Converse).await;
    let providers = provider("only", DialectName::Converse, &simulator.base_url());
    let name = format!("only/{}", model(DialectName::Converse));
    let body = asking(Face::OpenAi, &name, &files.url("/a.png")).to_string();
    let open = Gateway::start(&format!("{ALLOWED}providers:\n{providers}")).await;
    let request = open.builder("/v1/chat/completions").header("x-trunkline-strict", "true");
    let strict = open.send(request.body(Full::new(Bytes::from(body.clone()))).unwrap()).await;
    let closed = Gateway::start(&format!("media: {{ fetch: false }}\nproviders:\n{providers}")).await;
    let closed = closed.post("/v1/chat/completions", body).await;
    for answer in [strict, closed] {
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(
            answer.text().contains("Bedrock takes no URLs: send the bytes as base64"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(files.asked(), [""; 0]);
}
