//! Cascades and demands on answers.
//!
//! Owns their meaning and what makes one pointless: a check that nothing can fail, a tier that checks itself, a judge without a
//! rubric. Must not know how an answer is looked at.

use crate::compile::Compiler;
use crate::compile::fallback::position_of;
use crate::compile::fleet::CompiledFleet;
use crate::file::{AnswerCheck, CascadeSettings, CascadeStreams, Downgrade, RouteSettings};
use crate::scalar;
use regex::RegexBuilder;
use std::sync::Arc;
use trunkline_model::money::NanoDollars;
use trunkline_route::cascade::{
    Agreement, AnswerCondition, Audit, Cascade, Check, Concession, Demand, Judge, LOWEST_SCORE, Streams,
    TOP_SCORE,
};
use trunkline_route::cel::Condition;

/// The largest compiled regular expression, in bytes.
const LARGEST_PATTERN: usize = 1 << 20;
/// The longest rubric, in bytes.
const LONGEST_RUBRIC: usize = 16 * 1024;

/// Compiles a route's cascade.
pub(super) fn cascade(
    route: &str,
    settings: &RouteSettings,
    tiers: &[&str],
    fleet: &CompiledFleet,
    compiler: &mut Compiler<'_>,
) -> Option<Arc<Cascade>> {
    let given = settings.cascade.as_ref()?;
    let path = ["routes", route, "cascade"];
    let from = position_of(&["routes", route, "cascade", "from"], &given.from, tiers, compiler);
    let to = position_of(&["routes", route, "cascade", "to"], &given.to, tiers, compiler);
    if from.is_some() && from == to {
        compiler.error(
            &["routes", route, "cascade", "to"],
            "this cascade can never help: `from` and `to` are the same tier",
            Some("name the better tier here".to_owned()),
        );
    }
    if settings.attempts == Some(1) {
        compiler.error(&path, "this has no effect: `attempts` is 1, so there is no second answer", None);
    }
    let checks = checks(route, given, compiler);
    let agreement = agreement(route, given, compiler);
    let judge = judge(route, given, fleet, compiler);
    if checks.is_empty() && given.agreement.is_none() && given.judge.is_none() && !has_own_checks(given) {
        compiler.error(
            &path,
            "this cascade can never escalate: it has no check",
            Some("add for example `unless: [json_schema, not_refusal]`".to_owned()),
        );
    }
    let streams = streams(route, given, compiler);
    let cap = compiler.read(&["routes", route, "cascade", "spend_cap"], given.spend_cap.as_ref(), |text| {
        NanoDollars::from_decimal_str(text).map_err(|error| format!("failed to {error}"))
    });
    let audit = audit(route, given, compiler);
    Some(Arc::new(Cascade {
        from: from?,
        to: to?,
        checks,
        agreement,
        judge,
        streams: streams?,
        spend_cap: cap,
        audit,
    }))
}

/// Compiles what every answer of a route must be.
pub(super) fn demand(
    route: &str,
    settings: &RouteSettings,
    compiler: &mut Compiler<'_>,
) -> Option<Arc<Demand>> {
    let given = settings.answer.as_ref()?;
    if given.must.is_empty() {
        compiler.error(
            &["routes", route, "answer"],
            "this has no effect: `must` is empty",
            Some("add for example `must: [json_schema]`".to_owned()),
        );
        return None;
    }
    let about_json =
        given.must.iter().any(|check| matches!(check, AnswerCheck::Json | AnswerCheck::JsonSchema));
    if given.repair == Some(true) && !about_json {
        compiler.error(
            &["routes", route, "answer", "repair"],
            "this has no effect: `must` asks for no JSON",
            None,
        );
    }
    let checks = given.must.iter().map(|check| simple(*check)).collect();
    Some(Arc::new(Demand { checks, repair: given.repair.unwrap_or(true) && about_json }))
}

/// Compiles what may be given up.
pub(super) fn downgrade(
    route: &str,
    settings: &RouteSettings,
    compiler: &mut Compiler<'_>,
) -> Vec<Concession> {
    let mut list = Vec::new();
    for (position, item) in settings.downgrade.iter().enumerate() {
        let concession = match item {
            Downgrade::Reasoning => Concession::Reasoning,
            Downgrade::Tools => Concession::Tools,
            Downgrade::Length => Concession::Length,
        };
        if list.contains(&concession) {
            let path = ["routes", route, "downgrade", &position.to_string()];
            compiler.error(&path, format!("`{}` is listed twice", concession.name()), None);
        }
        list.push(concession);
    }
    list
}

fn simple(check: AnswerCheck) -> Check {
    match check {
        AnswerCheck::Json => Check::Json,
        AnswerCheck::JsonSchema => Check::JsonSchema,
        AnswerCheck::NotRefusal => Check::NotRefusal,
        AnswerCheck::Complete => Check::Complete,
    }
}

const fn has_own_checks(given: &CascadeSettings) -> bool {
    given.matches.is_some() || given.condition.is_some() || given.confidence.is_some()
}

fn checks(route: &str, given: &CascadeSettings, compiler: &mut Compiler<'_>) -> Vec<Check> {
    let mut checks: Vec<Check> = given.unless.iter().map(|check| simple(*check)).collect();
    let pattern = |text: &str| {
        RegexBuilder::new(text).size_limit(LARGEST_PATTERN).build().map_err(|error| {
            let said = error.to_string();
            format!("the regular expression is refused: {}", said.lines().last().unwrap_or_default().trim())
        })
    };
    checks.extend(
        compiler
            .read(&["routes", route, "cascade", "matches"], given.matches.as_ref(), pattern)
            .map(Check::Matches),
    );
    if let Some(rule) = &given.condition {
        match AnswerCondition::compile(rule) {
            Ok(condition) => checks.push(Check::Condition(condition)),
            Err(error) => {
                let path = ["routes", route, "cascade", "condition"];
                compiler.error_within(&path, rule, error.offset, format!("failed to {error}"));
            }
        }
    }
    if let Some(least) = given.confidence {
        if least < 0.0 && least.is_finite() {
            checks.push(Check::Confidence { least });
        } else {
            compiler.error(
                &["routes", route, "cascade", "confidence"],
                "`confidence` is a mean log-probability and must be below 0",
                Some("-0.1 is very sure, -1 is not".to_owned()),
            );
        }
    }
    checks
}

fn agreement(route: &str, given: &CascadeSettings, compiler: &mut Compiler<'_>) -> Option<Agreement> {
    let given = given.agreement.as_ref()?;
    let samples = given.samples.unwrap_or(3);
    if !(2..=5).contains(&samples) {
        let path = ["routes", route, "cascade", "agreement", "samples"];
        compiler.error(&path, "`samples` must be from 2 to 5", None);
    }
    let path = ["routes", route, "cascade", "agreement", "at_least"];
    let least = portion(&path, given.at_least, 0.8, compiler);
    Some(Agreement { samples, least })
}

fn judge(
    route: &str,
    given: &CascadeSettings,
    fleet: &CompiledFleet,
    compiler: &mut Compiler<'_>,
) -> Option<Arc<Judge>> {
    let given = given.judge.as_ref()?;
    let path = ["routes", route, "cascade", "judge"];
    if given.deployments.is_empty() {
        compiler.error(&path, "the judge has no `deployments`", None);
    }
    if given.rubric.trim().is_empty() {
        let hint = "say what makes an answer good, for example `rubric: \"Correct, complete, and in the user's language.\"`";
        compiler.error(&path, "the judge has no `rubric`", Some(hint.to_owned()));
    }
    if given.rubric.len() > LONGEST_RUBRIC {
        let message = format!("`rubric` is longer than {LONGEST_RUBRIC} bytes");
        compiler.error(&["routes", route, "cascade", "judge", "rubric"], message, None);
    }
    let mut deployments = Vec::new();
    for (position, name) in given.deployments.iter().enumerate() {
        let path = ["routes", route, "cascade", "judge", "deployments", &position.to_string()];
        deployments.extend(fleet.resolve(&path, name, compiler));
    }
    let least = given.at_least.unwrap_or(6);
    let least = u8::try_from(least).ok().filter(|least| (LOWEST_SCORE + 1..=TOP_SCORE).contains(least));
    if least.is_none() {
        let path = ["routes", route, "cascade", "judge", "at_least"];
        compiler.error(&path, format!("`at_least` must be from {} to {TOP_SCORE}", LOWEST_SCORE + 1), None);
    }
    Some(Arc::new(Judge { deployments, rubric: given.rubric.clone(), least: least? }))
}

fn streams(route: &str, given: &CascadeSettings, compiler: &mut Compiler<'_>) -> Option<Streams> {
    let path = ["routes", route, "cascade", "precheck"];
    match (given.streams.unwrap_or(CascadeStreams::Hold), &given.precheck) {
        (CascadeStreams::Hold, None) => Some(Streams::Hold),
        (CascadeStreams::Hold, Some(_)) => {
            compiler.error(
                &path,
                "this has no effect: streamed answers are held and checked",
                Some("set `streams: precheck`, or take it out".to_owned()),
            );
            None
        }
        (CascadeStreams::Precheck, Some(rule)) => match Condition::compile(rule) {
            Ok(rule) => Some(Streams::Precheck(rule)),
            Err(error) => {
                compiler.error_within(&path, rule, error.offset, format!("failed to {error}"));
                None
            }
        },
        (CascadeStreams::Precheck, None) => {
            compiler.error(
                &["routes", route, "cascade", "streams"],
                "`streams: precheck` needs a `precheck`",
                Some("for example `precheck: \"request.input_tokens > 2000\"`".to_owned()),
            );
            None
        }
    }
}

fn audit(route: &str, given: &CascadeSettings, compiler: &mut Compiler<'_>) -> Option<Audit> {
    let given = given.audit.as_ref()?;
    let mut share = |field: &str, text: Option<&String>, default: f64| {
        compiler.read(&["routes", route, "cascade", "audit", field], text, scalar::share).unwrap_or(default)
    };
    let (part, break_even) =
        (share("share", given.share.as_ref(), 0.02), share("break_even", given.break_even.as_ref(), 0.25));
    if part <= 0.0 {
        let path = ["routes", route, "cascade", "audit", "share"];
        compiler.error(
            &path,
            "this has no effect: nothing is audited",
            Some("raise it, or take `audit` out".to_owned()),
        );
    }
    let agree = portion(&["routes", route, "cascade", "audit", "agree"], given.agree, 0.8, compiler);
    Some(Audit { share: part, agree, break_even })
}

fn portion(path: &[&str], given: Option<f64>, default: f64, compiler: &mut Compiler<'_>) -> f64 {
    let portion = given.unwrap_or(default);
    if !(0.0..=1.0).contains(&portion) || portion == 0.0 {
        let name = path.last().copied().unwrap_or_default();
        compiler.error(path, format!("`{name}` must be above 0 and at most 1"), None);
    }
    portion
}
