//! Clients that send many requests over one HTTP/2 connection: each is answered, cancelled and stopped by itself.

use crate::support::{
    Answer, Face, Gateway, KEY, PATIENCE, connect_multiplexed, eventually, model, provider, simulator,
};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use std::time::Duration;
use tokio::time::timeout;
use trunkline_model::record::Outcome;
use trunkline_sim::{Delay, DialectName, Simulator};

async fn served() -> (Simulator, Gateway) {
    let simulator = simulator(DialectName::OpenAi).await;
    let provider = provider("only", DialectName::OpenAi, &simulator.base_url());
    let gateway = Gateway::start(&format!("server: {{ drain: 1s }}\nproviders:\n{provider}")).await;
    (simulator, gateway)
}

fn request(gateway: &Gateway, face: Face, text: &str, streamed: bool) -> Request<Full<Bytes>> {
    let body = face.body(&format!("only/{}", model(DialectName::OpenAi)), text, streamed);
    Request::post(format!("http://{}{}", gateway.address(), face.path()))
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_share_a_connection() {
    let (simulator, gateway) = served().await;
    let connection = connect_multiplexed(gateway.address()).await;
    let asked: Vec<_> = (0..40)
        .map(|number| {
            let face = Face::BOTH[number % 2];
            let request = request(&gateway, face, &format!("Hello {number}"), number % 4 < 2);
            let mut connection = connection.clone();
            (
                number,
                face,
                tokio::spawn(
                    async move { Answer::read(connection.send_request(request).await.unwrap()).await },
                ),
            )
        })
        .collect();
    for (number, face, answer) in asked {
        let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
        assert!(answer.status == 200 && answer.whole, "{answer:?}");
        assert!(face.text(&answer).contains(&format!("Hello {number}")), "{answer:?}");
    }
    assert_eq!(simulator.requests().len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_left_is_cancelled_and_its_neighbour_goes_on() {
    let (simulator, gateway) = served().await;
    simulator.script(|script| script.token_gap = Delay::constant(Duration::from_millis(20)));
    let mut connection = connect_multiplexed(gateway.address()).await;
    let long = request(&gateway, Face::OpenAi, "[[sim: words=5000]]", true);
    let mut left = connection.send_request(long).await.unwrap();
    left.frame().await.unwrap().unwrap();
    let id = left.headers()["x-trunkline-request-id"].to_str().unwrap().to_owned();
    let short = request(&gateway, Face::OpenAi, "[[sim: words=60]]", true);
    let mut kept = connection.send_request(short).await.unwrap();
    kept.frame().await.unwrap().unwrap();
    drop(left);
    timeout(PATIENCE, simulator.wait_until(|counters| counters.disconnects == 1)).await.unwrap();
    let answer = Answer::read(kept).await;
    assert!(answer.whole && Face::OpenAi.looks_finished(&answer), "{answer:?}");
    assert_eq!(gateway.record(&id).await.outcome, Outcome::ClientGone);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_open_stream_is_told_of_the_stop() {
    let (simulator, mut gateway) = served().await;
    simulator.script(|script| {
        script.token_gap = Delay::constant(Duration::from_secs(60));
        script.first_token = Delay::None;
    });
    let mut connection = connect_multiplexed(gateway.address()).await;
    let mut open = Vec::new();
    for face in Face::BOTH {
        let request = request(&gateway, face, "[[sim: words=5000]]", true);
        let mut stream = connection.send_request(request).await.unwrap();
        stream.frame().await.unwrap().unwrap();
        open.push((face, stream));
    }
    gateway.signal("TERM");
    for (face, stream) in open {
        let answer = timeout(PATIENCE, Answer::read(stream)).await.unwrap();
        assert!(answer.whole && !face.looks_finished(&answer), "{answer:?}");
        assert!(answer.text().contains("the gateway was stopped"), "{face:?}: {}", answer.text());
    }
    assert_eq!(gateway.ended().await.code(), Some(3), "{}", gateway.log());
    eventually("the records", async || (gateway.records_now().len() == 2).then_some(())).await;
}
