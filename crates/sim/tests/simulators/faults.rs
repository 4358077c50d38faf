//! Every fault of the catalogue, in every dialect, streamed and plain, as a client sees it.

use std::fmt::Write as _;

use trunkline_sim::{DialectName, Fault, Rule, SimConfig, Simulator};

use super::client::{Answer, Ending, Failure, question, send, send_http2, start};

/// Faults with shorter waits than the catalogue's.
fn quick(fault: Fault) -> Fault {
    match fault {
        Fault::SlowHeaders(_) => Fault::SlowHeaders(20),
        Fault::SlowTokens(_) => Fault::SlowTokens(5),
        other => other,
    }
}

/// What a client can tell, in few words.
fn describe(dialect: DialectName, stream: bool, answer: Result<Answer, Failure>) -> String {
    let answer = match answer {
        Err(Failure::NoConnection) => return "no connection".to_owned(),
        Err(Failure::NoAnswer) => return "closed unanswered".to_owned(),
        Err(Failure::Hang) => return "hangs unanswered".to_owned(),
        Ok(answer) => answer,
    };
    let text = answer.text();
    let kind = answer.headers.get("content-type").map_or("", |kind| kind.to_str().unwrap());
    let mut said = format!("{} {}", answer.status, kind.split(';').next().unwrap_or_default());
    let binary = dialect == DialectName::Converse && kind.starts_with("application/vnd.amazon");
    if stream && (binary || dialect == DialectName::Converse && kind.starts_with("text/plain")) {
        let (messages, torn) = answer.messages();
        let count = |wanted: &str| messages.iter().filter(|(name, _)| name == wanted).count();
        let malformed = messages
            .iter()
            .filter(|(_, payload)| serde_json::from_str::<serde_json::Value>(payload).is_err());
        let malformed = malformed.count();
        let _ = write!(said, ", {} tokens", count("contentBlockDelta") - malformed);
        if count("metadata") > 0 {
            said.push_str(", end");
        }
        if messages.iter().any(|(name, _)| name.ends_with("Exception")) {
            said.push_str(", error event");
        }
        if torn > 0 {
            said.push_str(", torn event");
        }
        if malformed > 0 {
            said.push_str(", malformed event");
        }
    } else if stream && (kind.starts_with("text/event-stream") || kind.starts_with("text/plain")) {
        let (token, end) = match dialect {
            DialectName::OpenAi => (r#""delta":{"content":""#, "data: [DONE]\n\n"),
            DialectName::Mistral => (r#""delta":{"content":""#, "data: [DONE]\n\n"),
            DialectName::Anthropic => ("text_delta", r#"{"type":"message_stop"}"#),
            DialectName::Gemini => (r#"{"text":""#, r#""finishReason""#),
            DialectName::Converse => unreachable!("its messages are binary"),
        };
        let empty = text.matches(r#"{"text":""}"#).count();
        let whole: String = text.split_inclusive("\n\n").filter(|event| event.ends_with("\n\n")).collect();
        let whole = if dialect == DialectName::Gemini {
            text.split_inclusive("\r\n\r\n").filter(|event| event.ends_with("\r\n\r\n")).collect()
        } else {
            whole
        };
        let tokens = whole.matches(token).count() - if dialect == DialectName::Gemini { empty } else { 0 };
        let _ = write!(said, ", {tokens} tokens");
        if text.contains(end) {
            said.push_str(", end");
        }
        if text.contains(r#""error""#) || text.contains(r#""object":"error""#) {
            said.push_str(", error event");
        }
        if whole.len() < text.len() {
            said.push_str(", torn event");
        }
        if text.contains("\"ind\n") || text.contains("\"del\n") || text.contains("\"par\r\n") {
            said.push_str(", malformed event");
        }
    } else if answer.body.is_empty() {
        said.push_str(", empty");
    } else if serde_json::from_slice::<serde_json::Value>(&answer.body).is_err() {
        said.push_str(", not JSON");
    }
    match answer.ending {
        Ending::Complete => {}
        Ending::Cut => said.push_str(", cut"),
        Ending::Hang => said.push_str(", hangs"),
    }
    said
}

async fn table(stream: bool) -> String {
    let mut rows = Vec::new();
    for fault in Fault::ALL.iter().copied().map(quick) {
        for dialect in DialectName::ALL.iter().copied() {
            rows.push(tokio::spawn(async move {
                let simulator = start(dialect).await;
                simulator.fail_with(fault);
                let request = question(dialect, "one two six [[sim: echo]]", stream);
                let seen = match fault {
                    // These two lie in the address, which is what `address_for` is for.
                    Fault::Dns | Fault::Tls => "by address".to_owned(),
                    _ => {
                        if fault == Fault::Refused {
                            // The port closes a moment later than the call returns; until then it resets.
                            while tokio::net::TcpStream::connect(simulator.addr()).await.is_ok() {}
                        }
                        describe(dialect, stream, send(&simulator, request).await)
                    }
                };
                format!("{:<26} {:<10} {seen}", fault.name(), dialect.name())
            }));
        }
    }
    let mut table = String::new();
    for row in rows {
        let _ = writeln!(table, "{}", row.await.unwrap().trim_end());
    }
    table
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streamed_requests_meet_every_fault() {
    insta::assert_snapshot!(table(true).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_requests_meet_every_fault() {
    insta::assert_snapshot!(table(false).await);
}

#[tokio::test]
async fn a_cut_falls_on_the_byte_it_was_told() {
    let simulator = start(DialectName::OpenAi).await;
    let whole = send(&simulator, question(DialectName::OpenAi, "Hi", true)).await.unwrap().body;
    for byte in [0, 1, 17, 300, whole.len() - 1] {
        simulator.fail_with(Fault::CutAtByte(byte as u64));
        let answer = send(&simulator, question(DialectName::OpenAi, "Hi", true)).await.unwrap();
        assert_eq!(answer.body, whole[..byte], "byte {byte}");
        assert_eq!(answer.ending, Ending::Cut);
    }
}

#[tokio::test]
async fn faults_show_over_http2_too() {
    let simulator = start(DialectName::Anthropic).await;
    let ask = || question(DialectName::Anthropic, "one two six [[sim: echo]]", true);
    let mut seen = String::new();
    let faults =
        [None, Some(Fault::GoAway), Some(Fault::CutAfterFirstToken), Some(Fault::ResetAfterFirstToken)];
    for fault in faults {
        simulator.heal();
        if let Some(fault) = fault {
            simulator.fail_with(fault);
        }
        let name = fault.map_or("healthy", Fault::name);
        let _ = writeln!(
            seen,
            "{name}: {}",
            describe(DialectName::Anthropic, true, send_http2(&simulator, ask()).await)
        );
    }
    insta::assert_snapshot!(seen, @r"
    healthy: 200 text/event-stream, 3 tokens, end
    goaway: closed unanswered
    cut-after-first-token: 200 text/event-stream, 1 tokens, torn event, cut
    reset-after-first-token: 200 text/event-stream, 1 tokens, cut
    ");
}

#[tokio::test]
async fn a_closed_port_refuses_and_opens_again_in_the_same_place() {
    let simulator = start(DialectName::OpenAi).await;
    let ask = || question(DialectName::OpenAi, "Hi", false);
    assert_eq!(send(&simulator, ask()).await.unwrap().status, 200);
    for _ in 0..20 {
        simulator.fail_with(Fault::Refused);
        assert!(send(&simulator, ask()).await.is_err());
        simulator.heal();
        assert_eq!(send(&simulator, ask()).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_fault_ends_after_the_requests_it_was_for() {
    let simulator = start(DialectName::OpenAi).await;
    simulator.fail_next(2, Fault::Unavailable);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(send(&simulator, question(DialectName::OpenAi, "Hi", false)).await.unwrap().status);
    }
    assert_eq!(statuses, [503, 503, 200]);
    assert_eq!(simulator.counters().faults, 2);
}

#[tokio::test]
async fn rules_of_the_script_and_directives_in_prompts_choose_requests() {
    let config = SimConfig::new(DialectName::OpenAi);
    let simulator = Simulator::start(config).await.unwrap();
    simulator.script(|script| script.rules.push(Rule::always(Fault::RateLimited).for_body("trigger")));
    let ask = |prompt: &'static str| {
        let simulator = &simulator;
        async move { send(simulator, question(DialectName::OpenAi, prompt, false)).await.unwrap().status }
    };
    assert_eq!(ask("nothing").await, 200);
    assert_eq!(ask("a trigger").await, 429);
    assert_eq!(ask("[[sim: fault=overloaded]]").await, 529);
    simulator.heal();
    assert_eq!(ask("a trigger").await, 200);
}
