//! Reloads and the stop, under load: no request fails because of either.

use crate::support::{Answer, Face, Gateway, KEY, eventually, exchange, model, provider, simulator};
use http_body_util::{BodyExt, Full};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use trunkline_sim::{Delay, DialectName, Fault, Rule, Simulator};

fn configuration(simulators: &[Simulator], used: usize) -> String {
    let mut text = String::from("server: { drain: 20s }\nproviders:\n");
    for (number, simulator) in simulators.iter().enumerate() {
        text.push_str(&provider(&format!("p{number}"), DialectName::OpenAi, &simulator.base_url()));
    }
    let model = model(DialectName::OpenAi);
    text + &format!("routes:\n  main: {{ tiers: {{ one: {{ deployments: [p{used}/{model}] }} }} }}\n")
}

async fn two_simulators() -> Vec<Simulator> {
    vec![simulator(DialectName::OpenAi).await, simulator(DialectName::OpenAi).await]
}

fn request(body: String) -> http::Request<Full<bytes::Bytes>> {
    request_as(Face::OpenAi, body)
}

fn request_as(face: Face, body: String) -> http::Request<Full<bytes::Bytes>> {
    http::Request::post(face.path())
        .header("host", "gateway")
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

/// Clients that ask until told to stop, and what went wrong for them.
struct Load {
    stopped: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    clients: JoinSet<Vec<String>>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let mut load = Self { stopped: Arc::default(), served: Arc::default(), clients: JoinSet::new() };
        for number in 0..4 {
            let (stopped, served) = (Arc::clone(&load.stopped), Arc::clone(&load.served));
            load.clients.spawn(async move {
                let mut failures = Vec::new();
                while !stopped.load(Ordering::Relaxed) {
                    let body = Face::OpenAi.body("main", "Hello", number % 2 == 0);
                    match exchange(address, request(body)).await {
                        Err(error) => failures.push(error.to_string()),
                        Ok(response) => {
                            let answer = Answer::read(response).await;
                            if answer.status != 200
                                || !answer.whole
                                || !Face::OpenAi.text(&answer).contains("Hello")
                            {
                                failures.push(format!("{answer:?}"));
                            }
                        }
                    }
                    served.fetch_add(1, Ordering::Relaxed);
                }
                failures
            });
        }
        load
    }

    /// Waits for this many more answers.
    async fn more(&self, number: usize) {
        let goal = self.served.load(Ordering::Relaxed) + number;
        eventually("more answers", async || (self.served.load(Ordering::Relaxed) >= goal).then_some(()))
            .await;
    }

    async fn stop(mut self) -> Vec<String> {
        self.stopped.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        while let Some(one) = self.clients.join_next().await {
            failures.extend(one.unwrap());
        }
        failures
    }
}

async fn provider_now(gateway: &Gateway) -> String {
    let answer = gateway.post(Face::OpenAi.path(), Face::OpenAi.body("main", "Which?", false)).await;
    answer.header("x-trunkline-provider").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_under_load_fail_no_request() {
    let simulators = two_simulators().await;
    let gateway = Gateway::start(&configuration(&simulators, 0)).await;
    let load = Load::start(gateway.address());
    load.more(20).await;
    for turn in 1..=6 {
        let used = turn % 2;
        gateway.configure(&configuration(&simulators, used));
        if turn % 3 == 0 {
            // By signal as well as by the change of the file: whichever is first, the other finds nothing to do.
            gateway.signal("HUP");
        }
        let expected = format!("p{used}");
        eventually("the new configuration", async || {
            (provider_now(&gateway).await == expected).then_some(())
        })
        .await;
        load.more(10).await;
    }
    let failures = load.stop().await;
    assert!(failures.is_empty(), "{} requests failed: {failures:?}", failures.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_keeps_the_configuration_it_began_with() {
    let simulators = two_simulators().await;
    simulators[0].script(|script| script.token_gap = Delay::constant(Duration::from_millis(20)));
    let gateway = Gateway::start(&configuration(&simulators, 0)).await;
    let body = Face::OpenAi.body("main", "[[sim: words=60]]", true);
    let mut response = exchange(gateway.address(), request(body)).await.unwrap();
    response.frame().await.unwrap().unwrap();
    gateway.configure(&configuration(&simulators, 1));
    eventually("the new configuration", async || (provider_now(&gateway).await == "p1").then_some(())).await;
    let answer = Answer::read(response).await;
    assert!(answer.whole && Face::OpenAi.looks_finished(&answer), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_file_changes_nothing_and_says_so() {
    let simulators = two_simulators().await;
    let mut gateway = Gateway::start(&configuration(&simulators, 0)).await;
    gateway.configure(&(configuration(&simulators, 1) + "rutes: {}\n"));
    let told = gateway.logged("the configuration was not reloaded").await;
    assert!(told["message"].as_str().unwrap().contains("rutes"), "{told}");
    assert_eq!(provider_now(&gateway).await, "p0");
    let check = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .arg("check")
        .arg(gateway.configuration())
        .output()
        .unwrap();
    assert!(!check.status.success());
    assert!(
        String::from_utf8_lossy(&check.stdout).contains("routes"),
        "the nearest name is suggested: {check:?}"
    );
    gateway.configure(&configuration(&simulators, 1));
    eventually("the mended configuration", async || (provider_now(&gateway).await == "p1").then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_cuts_no_request_and_takes_no_new_connection() {
    let simulators = two_simulators().await;
    simulators[0].script(|script| script.token_gap = Delay::constant(Duration::from_millis(20)));
    let mut gateway = Gateway::start(&configuration(&simulators, 0)).await;
    let mut open = Vec::new();
    for _ in 0..8 {
        let body = Face::OpenAi.body("main", "[[sim: words=100]]", true);
        let mut response = exchange(gateway.address(), request(body)).await.unwrap();
        response.frame().await.unwrap().unwrap();
        open.push(response);
    }
    gateway.signal("TERM");
    eventually("a closed port", async || TcpStream::connect(gateway.address()).await.is_err().then_some(()))
        .await;
    assert!(gateway.is_running(), "it waits for what is open");
    for response in open {
        let answer = Answer::read(response).await;
        assert!(answer.whole && Face::OpenAi.looks_finished(&answer), "{answer:?}");
    }
    assert!(gateway.ended().await.success(), "{}", gateway.log());
    assert_eq!(gateway.records_now().len(), 8, "everything is in the log at the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drain_deadline_ends_what_does_not_end_itself() {
    let simulators = two_simulators().await;
    simulators[0].script(|script| script.token_gap = Delay::constant(Duration::from_millis(100)));
    simulators[1].script(|script| script.first_token = Delay::constant(Duration::from_secs(60)));
    let short = configuration(&simulators, 0).replace("drain: 20s", "drain: 1s");
    let mut gateway = Gateway::start(&short).await;
    let mut streams = Vec::new();
    for face in Face::BOTH {
        let body = face.body("main", "[[sim: words=5000]]", true);
        let mut stream = exchange(gateway.address(), request_as(face, body)).await.unwrap();
        stream.frame().await.unwrap().unwrap();
        streams.push((face, stream));
    }
    let silent: Vec<_> = Face::BOTH
        .into_iter()
        .map(|face| {
            let (address, body) = (gateway.address(), face.body("p1/gpt-4.1-mini", "hello", false));
            (face, tokio::spawn(async move { exchange(address, request_as(face, body)).await.unwrap() }))
        })
        .collect();
    eventually("the silent ones", async || (simulators[1].requests().len() == 2).then_some(())).await;
    gateway.signal("TERM");
    let status = gateway.ended().await;
    assert_eq!(status.code(), Some(3), "{}", gateway.log());
    for (face, stream) in streams {
        let answer = Answer::read(stream).await;
        assert!(answer.whole && !face.looks_finished(&answer), "{face:?}: {answer:?}");
        let told = String::from_utf8_lossy(&answer.body);
        assert!(told.contains("the gateway was stopped before the answer was complete"), "{face:?}: {told}");
    }
    for (face, waiting) in silent {
        let answer = Answer::read(waiting.await.unwrap()).await;
        let overloaded = if face == Face::OpenAi { 503 } else { 529 };
        assert!(answer.status == overloaded && answer.whole, "{face:?}: {answer:?}");
        assert!(String::from_utf8_lossy(&answer.body).contains("send the request again"), "{answer:?}");
    }
    let records = gateway.records_now();
    assert_eq!(records.len(), 4, "all of them are recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_it_does_not_open_its_door_to_other_machines() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("trunkline.yaml");
    std::fs::write(&path, "listen: 0.0.0.0:0\nstore: memory\nproviders: { openai: { key: x } }\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(["serve", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("allow_unauthenticated"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_twice_for_the_stop_does_not_wait_for_open_requests() {
    let silent = simulator(DialectName::OpenAi).await;
    silent.script(|script| script.rules = vec![Rule::always(Fault::HangBeforeHeaders)]);
    let providers = provider("only", DialectName::OpenAi, &silent.base_url());
    let mut gateway = Gateway::start(&format!("server: {{ drain: 1h }}\nproviders:\n{providers}")).await;
    let name = format!("only/{}", model(DialectName::OpenAi));
    let (address, asked) = (gateway.address(), request(Face::OpenAi.body(&name, "Hello", true)));
    let client = tokio::spawn(async move { exchange(address, asked).await.map(|_| ()) });
    eventually("the call", async || (silent.counters().requests > 0).then_some(())).await;
    gateway.signal("INT");
    gateway.logged("draining").await;
    assert!(gateway.is_running());
    gateway.signal("INT");
    assert_eq!(gateway.ended().await.code(), Some(3));
    assert!(client.await.unwrap().is_err(), "the connection is gone");
}
