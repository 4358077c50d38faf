//! The mock of benchmarks.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use trunkline_sim::DialectName;
use trunkline_sim::mock::{Mock, MockConfig, MockMode};

use super::client::question;

/// Sends raw bytes and reads until the answer holds `end` so many times.
async fn converse(mock: &Mock, request: &str, end: &str, times: usize) -> String {
    let mut stream = TcpStream::connect(mock.addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while text.matches(end).count() < times {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "ended after {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    text
}

async fn mock(dialect: DialectName) -> Mock {
    Mock::start(MockConfig { chunks: 3, answer_length: 12, ..MockConfig::new(dialect) }).await.unwrap()
}

fn raw(body: &str) -> String {
    format!("POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_turn() {
    let mock = mock(DialectName::OpenAi).await;
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n";
    let text = converse(&mock, &format!("{}{chunked}", raw("{}")), "fp_mock\"}", 2).await;
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2);
    assert_eq!(mock.requests(), 2);
}

#[tokio::test]
async fn a_stream_comes_when_asked_for_in_a_burst_or_paced() {
    for gap in [Duration::ZERO, Duration::from_millis(1)] {
        let config = MockConfig { chunks: 3, gap, ..MockConfig::new(DialectName::Anthropic) };
        let mock = Mock::start(config).await.unwrap();
        let text = converse(&mock, &raw(r#"{"stream": true}"#), "0\r\n\r\n", 1).await;
        assert_eq!(text.matches("text_delta").count(), 3);
        assert!(text.contains("message_stop"));
    }
}

#[tokio::test]
async fn what_a_mock_sends_is_proper_http() {
    for dialect in DialectName::ALL.iter().copied() {
        for mode in [MockMode::Plain, MockMode::Stream] {
            let mock = Mock::start(MockConfig { mode, ..MockConfig::new(dialect) }).await.unwrap();
            let stream = TcpStream::connect(mock.addr()).await.unwrap();
            let io = hyper_util::rt::TokioIo::new(stream);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            for _ in 0..2 {
                let response = sender.send_request(question(dialect, "Hi", false)).await.unwrap();
                let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
                assert_eq!(
                    mode == MockMode::Plain,
                    serde_json::from_slice::<serde_json::Value>(&body).is_ok()
                );
            }
        }
    }
}
