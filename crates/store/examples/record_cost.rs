//! What a record costs the thread that writes it.
//!
//! Owns one measurement, read from the operating system (Linux): CPU time of the writer per record, for records like those of
//! a busy gateway. Run it as `cargo run --release -p trunkline-store --example record_cost [RECORDS] [BATCH]`; `BATCH` records
//! are queued between two rounds of the writer, as in a tenth of a second at ten times as many requests a second.

use std::error::Error;
use std::fs;
use std::time::Instant;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::id::{Name, RequestId};
use trunkline_model::money::{Cost, NanoDollars};
use trunkline_model::record::{AttemptKind, AttemptRecord, Outcome, PhaseTimes, RequestRecord};
use trunkline_model::usage::{Usage, UsageSource};
use trunkline_store::{Query, Recorder, Settings, StoreKind};

/// As in the program itself: most of a record is freed on another thread than made it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Names are shared by all records, as the gateway shares them.
struct Names {
    key: Name,
    route: Name,
    tier: Name,
    deployment: Name,
    provider: Name,
    model: Name,
    step: Name,
    finish: Name,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let total: u64 = arguments.next().map_or(Ok(200_000), |text| text.parse())?;
    let batch: u64 = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("log.db");
    let recorder = Recorder::open(Settings::new(StoreKind::Sqlite(path.clone())))?;
    let names = Names {
        key: "checkout-service".into(),
        route: "auto".into(),
        tier: "cheap".into(),
        deployment: "openai/gpt-5-mini".into(),
        provider: "openai".into(),
        model: "gpt-5-mini".into(),
        step: "use".into(),
        finish: "stop".into(),
    };
    recorder.flush();
    let before = writer_nanoseconds()?;
    let started = Instant::now();
    let mut number = 0;
    while number < total {
        for _ in 0..batch {
            recorder.record(record(number, &names));
            number += 1;
        }
        recorder.flush();
    }
    let elapsed = started.elapsed();
    let used = writer_nanoseconds()?.saturating_sub(before);
    let stats = recorder.stats();
    let bytes = fs::metadata(&path)?.len();
    println!("records            {number:>10} ({} to the journal, {} lost)", stats.spilled, stats.lost);
    println!("CPU per record     {:>10} ns", used / number.max(1));
    println!("database per record{:>10} bytes", bytes / number.max(1));
    println!("records a second   {:>10.0}", number as f64 / elapsed.as_secs_f64());
    let started = Instant::now();
    let query = Query { key: Some("nobody".into()), ..Query::default() };
    let found = recorder.search(&query)?.records.len();
    println!("search through all {:>10.3} s ({found} found)", started.elapsed().as_secs_f64());
    Ok(())
}

/// CPU time of the writer's thread so far, in nanoseconds.
fn writer_nanoseconds() -> Result<u64, Box<dyn Error>> {
    for task in fs::read_dir("/proc/self/task")? {
        let folder = task?.path();
        if fs::read_to_string(folder.join("comm"))?.trim() == "record" {
            let schedule = fs::read_to_string(folder.join("schedstat"))?;
            return Ok(schedule.split_whitespace().next().unwrap_or("0").parse()?);
        }
    }
    Err("there is no thread named `record`".into())
}

fn record(number: u64, names: &Names) -> RequestRecord {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let id = RequestId::new(1_700_000_000_000 + number / 10, u128::from(mixed) << 8);
    let usage = Usage { input: 300 + mixed % 1_000, output: mixed % 300, ..Usage::default() };
    let cost = Cost::exact(NanoDollars(usage.input as i64 * 250 + usage.output as i64 * 2_000));
    let mut record = RequestRecord::new(id, Dialect::OpenAi, Operation::Chat, 0x1234_5678_9abc_def0);
    record.key = Some(Name::clone(&names.key));
    record.tags = vec![("team".into(), Name::clone(&names.key))];
    record.delivery = Delivery::Plain;
    record.requested_model = "auto".into();
    record.route = Some(Name::clone(&names.route));
    record.tier = Some(Name::clone(&names.tier));
    record.deployment = Some(Name::clone(&names.deployment));
    record.provider = Some(Name::clone(&names.provider));
    record.model = Some(Name::clone(&names.model));
    record.decided_by = Some(Name::clone(&names.step));
    record.outcome = Outcome::Served;
    record.status = 200;
    record.finish = Some(Name::clone(&names.finish));
    record.usage = usage;
    record.usage_source = UsageSource::Reported;
    record.cost = cost;
    record.first_token_us = Some(400 + mixed % 300);
    record.total_us = 1_000 + mixed % 500;
    record.overhead_us = 40 + mixed % 20;
    record.request_bytes = 512;
    record.response_bytes = 700;
    record.attempts.push(AttemptRecord {
        deployment: Name::clone(&names.deployment),
        kind: AttemptKind::First,
        failure: None,
        message: None,
        status: Some(200),
        upstream_request_id: Some(format!("req_{mixed:032x}")),
        started_us: 30 + mixed % 10,
        phases: PhaseTimes {
            first_byte_us: Some(300 + mixed % 100),
            total_us: 500 + mixed % 100,
            ..PhaseTimes::default()
        },
        usage,
        usage_source: UsageSource::Reported,
        cost,
    });
    record.decision = Some(decision(id, mixed).into_boxed_str());
    record
}

/// A decision between four deployments of two tiers, as the gateway writes it.
fn decision(id: RequestId, mixed: u64) -> String {
    let (first, second) = (mixed % 997, mixed % 787);
    format!(
        r#"{{"id":"dec_{id}","route":"auto","tier":"cheap","decided_by":"use","plan":{{"legs":["openai/gpt-5-mini","edge/qwen3-32b","anthropic/claude-sonnet-4-5","openai/gpt-5"],"on_rate_limit":["edge/qwen3-32b"],"attempts":4,"total_ms":120000}},"candidates":[{{"deployment":"openai/gpt-5-mini","tier":"cheap","score":0.{first},"availability":"available"}},{{"deployment":"edge/qwen3-32b","tier":"cheap","score":0.{second},"availability":"available"}},{{"deployment":"anthropic/claude-sonnet-4-5","tier":"strong","availability":"available"}},{{"deployment":"openai/gpt-5","tier":"strong","availability":"available"}}],"rejected":[],"steps":[{{"step":"when request.input_tokens > 50000","no_answer":"the rule is false"}},{{"step":"use cheap","answer":"cheap"}}],"features":{{"request.input_tokens":{first},"request.has_images":false}},"propensity":1.0,"expected":{{"deployment":"openai/gpt-5-mini","cost":{{"amount":{second},"confidence":"estimated"}}}},"seed":"{mixed:016x}","config_version":"123456789abcdef0"}}"#
    )
}
