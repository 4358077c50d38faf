//! Credentials over time, on a stopped clock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;
use trunkline_model::credential::{Answer, Credential, Fetch, Renewal, Step};
use trunkline_model::secret::Secret;

use super::*;
use crate::{Roots, TransportConfig};

const PATIENCE: Duration = Duration::from_secs(2);

/// The stopped clock's time as wall time.
fn now() -> u64 {
    thread_local!(static START: OnceLock<Instant> = const { OnceLock::new() });
    START.with(|start| 1_000_000 + start.get_or_init(Instant::now).elapsed().as_secs())
}

fn keeper() -> Keeper {
    let config = TransportConfig { roots: Roots::Bundled, ..TransportConfig::default() };
    Keeper { now, ..Keeper::new(Transport::new(&config).expect("a transport")) }
}

/// Gives credentials `one`, `two`, ... that live for some seconds; fails while its number is in `failures`.
#[derive(Debug)]
struct Counted {
    given: Arc<AtomicU64>,
    life: Option<u64>,
    failures: std::ops::Range<u64>,
}

impl CredentialSource for Counted {
    fn identity(&self) -> &str {
        "counted"
    }

    fn renewal(&self) -> Box<dyn Renewal> {
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        Box::new(Once { number, life: self.life, fails: self.failures.contains(&number) })
    }
}

struct Once {
    number: u64,
    life: Option<u64>,
    fails: bool,
}

impl Renewal for Once {
    fn next(&mut self, _: Answer, now: u64) -> Step {
        if self.fails {
            return Step::Failed("the clerk is out".to_owned());
        }
        let credential = Credential::Token(Secret::new(self.number.to_string()));
        Step::Done(Issued { credential, expires: self.life.map(|life| now + life) })
    }
}

fn counted(life: Option<u64>, failures: std::ops::Range<u64>) -> (Arc<AtomicU64>, Arc<dyn CredentialSource>) {
    let given = Arc::new(AtomicU64::new(0));
    (Arc::clone(&given), Arc::new(Counted { given, life, failures }))
}

async fn token(keeper: &Keeper, source: &Arc<dyn CredentialSource>) -> Result<String, CredentialError> {
    let issued = keeper.credential(source, PATIENCE).await?;
    match &issued.credential {
        Credential::Token(token) => Ok(token.expose().to_owned()),
        Credential::KeyPair { id, .. } => Ok(id.clone()),
    }
}

#[tokio::test(start_paused = true)]
async fn many_requests_share_one_renewal() {
    let (given, source) = counted(Some(3_600), 0..0);
    let keeper = keeper();
    let waiting = (0..50).map(|_| token(&keeper, &source));
    let got = futures_util::future::join_all(waiting).await;
    assert!(got.iter().all(|token| token.as_deref() == Ok("0")), "{got:?}");
    assert_eq!(given.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_credential_is_renewed_before_it_expires() {
    let (_, source) = counted(Some(3_600), 0..0);
    let keeper = keeper();
    let mut seen = Vec::new();
    for _ in 0..8 {
        seen.push(token(&keeper, &source).await.expect("a credential"));
        tokio::time::sleep(Duration::from_secs(1_000)).await;
    }
    // Renewed 3,300 s after each was given, without a request having waited.
    assert_eq!(seen, ["0", "0", "0", "0", "1", "1", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_leaves_the_credential_in_use_until_it_expires() {
    let (given, source) = counted(Some(3_600), 1..30);
    let keeper = keeper();
    assert_eq!(token(&keeper, &source).await.as_deref(), Ok("0"));
    tokio::time::sleep(Duration::from_secs(3_590)).await;
    assert_eq!(token(&keeper, &source).await.as_deref(), Ok("0"));
    assert!(given.load(Ordering::Relaxed) > 3, "it was tried again");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let failure = token(&keeper, &source).await.expect_err("it has expired");
    assert_eq!(failure.to_string(), "obtain a credential: the clerk is out");
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_at_once_and_tried_again_with_growing_pauses() {
    let (given, source) = counted(None, 0..3);
    let keeper = keeper();
    assert!(token(&keeper, &source).await.is_err());
    let before = Instant::now();
    assert!(token(&keeper, &source).await.is_err());
    assert_eq!(before.elapsed(), Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(token(&keeper, &source).await.as_deref(), Ok("3"));
    assert_eq!(given.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_credential_is_replaced_but_not_in_a_loop() {
    let (given, source) = counted(None, 0..0);
    let keeper = keeper();
    assert_eq!(token(&keeper, &source).await.as_deref(), Ok("0"));
    for _ in 0..100 {
        keeper.rejected(&source);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let renewed = given.load(Ordering::Relaxed);
    assert!((2..=3).contains(&renewed), "{renewed}");
    assert_ne!(token(&keeper, &source).await.as_deref(), Ok("0"));
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_when_the_source_is_no_longer_wanted() {
    let (_, source) = counted(None, 0..0);
    let keeper = keeper();
    keeper.warm(&source);
    assert_eq!(token(&keeper, &source).await.as_deref(), Ok("0"));
    let weak = Arc::downgrade(&source);
    keeper.retain(|_| false);
    drop(source);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(weak.strong_count(), 0);
}

/// Reads a file and fetches an address; gives what came of both as one token.
#[derive(Debug)]
struct Walk(String, String);

impl CredentialSource for Walk {
    fn identity(&self) -> &str {
        "walk"
    }

    fn renewal(&self) -> Box<dyn Renewal> {
        Box::new(Walking { file: self.0.clone(), url: self.1.clone(), seen: Vec::new() })
    }
}

struct Walking {
    file: String,
    url: String,
    seen: Vec<String>,
}

impl Renewal for Walking {
    fn next(&mut self, answer: Answer, _: u64) -> Step {
        self.seen.push(match answer {
            Answer::Start => return Step::Read(self.file.clone()),
            Answer::File(text) => text.expose().to_owned(),
            Answer::Response { status, body } => format!("{status} {}", body.expose()),
            Answer::Unavailable(reason) => reason,
        });
        if self.seen.len() == 1 {
            return Step::Fetch(Fetch {
                method: "GET",
                url: self.url.clone(),
                headers: vec![("x-walk", Secret::new("yes".to_owned()))],
                body: Secret::new(String::new()),
                patience: Duration::from_secs(1),
            });
        }
        let credential = Credential::Token(Secret::new(self.seen.join("|")));
        Step::Done(Issued { credential, expires: None })
    }
}

#[tokio::test]
async fn steps_read_files_and_call_addresses() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/token", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut seen = vec![0; 2_048];
        let length = stream.read(&mut seen).await.expect("a request");
        stream
            .write_all(b"HTTP/1.1 418 no\r\ncontent-length: 5\r\nconnection: close\r\n\r\nshort")
            .await
            .expect("written");
        String::from_utf8_lossy(&seen[..length]).into_owned()
    });
    let source: Arc<dyn CredentialSource> = Arc::new(Walk("/nowhere/at/all".to_owned(), url));
    let got = token(&keeper(), &source).await.expect("a credential");
    assert_eq!(got, "failed to read /nowhere/at/all: No such file or directory (os error 2)|418 short");
    let request = server.await.expect("served");
    assert!(request.starts_with("GET /token HTTP/1.1\r\n") && request.contains("x-walk: yes"), "{request}");
}
