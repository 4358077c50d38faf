//! What is the same for all dialects: records, limits, TLS, stopping, several dialects on one port.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use trunkline_sim::{Delay, DialectName, Fault, Limits, Progress, Script, SimConfig, Simulator, Tls};

use super::client::{ANTHROPIC, GOOGLE, get, question, send, send_http2, start};

#[tokio::test]
async fn requests_are_kept_without_showing_their_keys() {
    let simulator = start(DialectName::OpenAi).await;
    send(&simulator, question(DialectName::OpenAi, "remember me", false)).await.unwrap();
    let request = simulator.last_request().unwrap();
    assert_eq!((request.number, request.path.as_str()), (1, "/v1/chat/completions"));
    assert_eq!(request.json()["messages"][0]["content"], "remember me");
    assert_eq!(request.header("authorization"), Some("Bearer sim-key"));
    assert!(!format!("{request:?}").contains("sim-key"));
}

#[tokio::test]
async fn only_the_last_requests_are_kept() {
    let config = SimConfig { keep_requests: 2, ..SimConfig::new(DialectName::OpenAi) };
    let simulator = Simulator::start(config).await.unwrap();
    for prompt in ["1", "2", "3"] {
        send(&simulator, question(DialectName::OpenAi, prompt, false)).await.unwrap();
    }
    assert_eq!(simulator.requests().iter().map(|request| request.number).collect::<Vec<_>>(), [2, 3]);
    assert_eq!((simulator.counters().requests, simulator.counters().answered), (3, 3));
}

#[tokio::test]
async fn a_client_that_goes_away_is_noticed_in_mid_stream_and_before_headers() {
    let simulator = start(DialectName::OpenAi).await;
    simulator.script(|script| script.token_gap = Delay::constant(Duration::from_secs(600)));
    let stream = TcpStream::connect(simulator.addr()).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let response = sender.send_request(question(DialectName::OpenAi, "Hi", true)).await.unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(simulator.counters().open_streams, 1);
    driver.abort();
    drop((sender, body));
    let counters = simulator.wait_until(|counters| counters.disconnects == 1).await;
    assert_eq!(counters.open_streams, 0);
    assert!(matches!(simulator.disconnects()[0].progress, Progress::Body { bytes } if bytes > 0));

    simulator.fail_with(Fault::HangBeforeHeaders);
    assert!(send(&simulator, question(DialectName::OpenAi, "Hi", true)).await.is_err());
    simulator.wait_until(|counters| counters.disconnects == 2).await;
    assert_eq!(simulator.disconnects()[1].progress, Progress::BeforeHeaders);
}

#[tokio::test]
async fn a_cut_by_the_script_is_not_a_client_that_went_away() {
    let simulator = start(DialectName::OpenAi).await;
    simulator.fail_with(Fault::CutAfterFirstToken);
    send(&simulator, question(DialectName::OpenAi, "Hi", true)).await.unwrap();
    simulator.wait_until(|counters| counters.open_streams == 0).await;
    assert_eq!(simulator.counters().disconnects, 0);
}

#[tokio::test]
async fn a_real_limit_answers_429_and_announces_itself() {
    let limits = Limits { requests_per_minute: Some(2), ..Limits::default() };
    let config = SimConfig::new(DialectName::OpenAi).with_script(Script { limits, ..Script::default() });
    let simulator = Simulator::start(config).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = send(&simulator, question(DialectName::OpenAi, "Hi", false)).await.unwrap();
        seen.push((answer.status, answer.header("x-ratelimit-remaining-requests").to_owned()));
        if answer.status == 429 {
            assert!((1..=30).contains(&answer.header("retry-after").parse::<u64>().unwrap()));
        }
    }
    assert_eq!(seen.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [200, 200, 429]);
    assert_eq!(seen.iter().map(|(_, left)| left.as_str()).collect::<Vec<_>>(), ["1", "0", "0"]);
}

#[tokio::test]
async fn characters_and_events_come_apart_when_writes_are_small() {
    let simulator = start(DialectName::OpenAi).await;
    let ask = || question(DialectName::OpenAi, "[[sim: unicode]]", true);
    let whole = send(&simulator, ask()).await.unwrap().body;
    simulator.script(|script| script.write_bytes = Some(3));
    assert_eq!(send(&simulator, ask()).await.unwrap().body, whole);
    assert_eq!(send_http2(&simulator, ask()).await.unwrap().body, whole);
}

#[tokio::test]
async fn several_dialects_share_a_port() {
    // Mistral's paths and headers are OpenAI's: those two cannot share one.
    let dialects = [DialectName::OpenAi, DialectName::Anthropic, DialectName::Gemini, DialectName::Converse];
    let config = SimConfig { dialects: dialects.to_vec(), ..SimConfig::new(DialectName::OpenAi) };
    let simulator = Simulator::start(config).await.unwrap();
    let mut forms = Vec::new();
    for dialect in &dialects {
        let answer = send(&simulator, question(*dialect, "Hi", false)).await.unwrap().json();
        forms.push(answer.as_object().unwrap().keys().next().unwrap().clone());
    }
    assert_eq!(forms, ["id", "model", "candidates", "stopReason"]);
    let list = |headers| {
        let simulator = &simulator;
        async move { send(simulator, get("/v1/models", headers)).await.unwrap().json() }
    };
    assert_eq!(list(&[("authorization", "Bearer k")]).await["object"], "list");
    assert_eq!(list(ANTHROPIC).await["has_more"], false);
    assert!(list(GOOGLE).await["models"].is_array());
}

async fn handshake(url: &str, trusted: Option<&str>) -> std::io::Result<()> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = trusted {
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let address = url.strip_prefix("https://").unwrap();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map(|_| ())
}

#[tokio::test]
async fn a_self_signed_certificate_can_be_trusted_and_a_bad_one_cannot() {
    let config = SimConfig { tls: Tls::SelfSigned, ..SimConfig::new(DialectName::OpenAi) };
    let simulator = Simulator::start(config).await.unwrap();
    let pem = simulator.certificate_pem();
    handshake(&simulator.base_url(), pem).await.unwrap();
    handshake(&simulator.base_url(), None).await.unwrap_err();
    handshake(&simulator.address_for(Fault::Tls).unwrap(), pem).await.unwrap_err();
}

#[tokio::test]
async fn faults_in_the_address_have_one() {
    let simulator = start(DialectName::OpenAi).await;
    assert!(simulator.address_for(Fault::Dns).unwrap().contains(".invalid:"));
    let tls = simulator.address_for(Fault::Tls).unwrap();
    assert!(tls.starts_with("https://127.0.0.1:"));
    assert_eq!(simulator.address_for(Fault::Tls).unwrap(), tls);
    assert_eq!(simulator.address_for(Fault::Stall(1)).unwrap(), simulator.base_url());
}

#[tokio::test]
async fn stopping_lets_an_open_answer_finish() {
    let simulator = start(DialectName::OpenAi).await;
    simulator.script(|script| script.headers = Delay::constant(Duration::from_millis(100)));
    let address = simulator.addr();
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer =
        tokio::spawn(async move { sender.send_request(question(DialectName::OpenAi, "Hi", false)).await });
    simulator.wait_until(|counters| counters.requests == 1).await;
    simulator.stop().await;
    assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    assert!(TcpStream::connect(address).await.is_err());
}
