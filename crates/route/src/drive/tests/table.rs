//! The reaction to every class, as observed: the machine is driven into each situation and the table says what it did.

use super::*;
use crate::health::effect;
use std::fmt::Write as _;

#[test]
fn every_class_has_its_reaction() {
    let mut table = String::from(
        "| failure | others are left | nothing else is left | after the first byte | retry budget | an attempt | health remembers |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for class in FailureClass::ALL {
        let follows = super::super::reaction(class);
        let failed = failure(class);
        writeln!(
            table,
            "| {} | {} | {} | {} | {} | {} | {} |",
            class.name(),
            among_others(&failed),
            alone(&failed),
            committed(&failed),
            if follows.paid { "pays" } else { "free" },
            if follows.sent { "counts" } else { "does not count" },
            effect(&failed).remembered.name(),
        )
        .expect("writing to a string cannot fail");
    }
    insta::assert_snapshot!("reactions", table);
}

fn rich() -> Plan {
    Plan {
        on_rate_limit: legs(&[2]),
        on_context_length: legs(&[3]),
        on_content_filter: legs(&[4]),
        on_bad_answer: legs(&[5]),
        continuation: true,
        ..plan(&[0, 1])
    }
}

fn among_others(failure: &Failure) -> &'static str {
    let mut drive = drive(rich());
    fail_next(&mut drive, &Table::default(), at(0), failure.clone());
    match drive.next(at(0), &Table::default(), 0) {
        Next::Try(attempt) => match index(&attempt) {
            1 => "the next of the plan",
            2 => "the list for rate limits, else the next",
            3 => "a larger context window",
            4 => "the list for refused content",
            5 => "the list for better answers, else the next",
            _ => "the same again",
        },
        Next::Fail(_) => "the end",
        _ => "waits",
    }
}

fn alone(failure: &Failure) -> String {
    let mut drive = drive(plan(&[0]));
    fail_next(&mut drive, &Table::default(), at(0), failure.clone());
    match drive.next(at(0), &Table::default(), u64::MAX) {
        Next::Try(_) => "the same at once".to_owned(),
        Next::Wait { until } if until > at(500) => "the same after its Retry-After, else 1 s".to_owned(),
        Next::Wait { .. } => "the same after a back-off".to_owned(),
        Next::Fail(verdict) => format!("the end: {}", verdict.why.name()),
        _ => "waits".to_owned(),
    }
}

fn committed(failure: &Failure) -> String {
    let mut drive = drive(rich());
    let attempt = tried(drive.next(at(0), &Table::default(), 0));
    drive.failed(attempt.number, failure.clone(), Commit::After, at(0));
    match drive.next(at(0), &Table::default(), 0) {
        Next::Try(_) => "error event, or continued".to_owned(),
        Next::Fail(verdict) if verdict.why == super::super::Why::ClientGone => "nobody is there".to_owned(),
        Next::Fail(_) => "error event".to_owned(),
        _ => "waits".to_owned(),
    }
}
