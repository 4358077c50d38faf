//! What rules mean, what cannot be told, every message about a mistake, and agreement with the general interpreter.

use super::*;
use crate::caller::Caller;
use crate::features::{FleetFacts, WallClock};
use crate::fixture::chat;
use proptest::prelude::*;
use trunkline_model::money::NanoDollars;
use trunkline_model::shape::Shape;

fn caller() -> Caller {
    Caller {
        team: Some("research".into()),
        tags: vec![("tier".into(), "gold".into()), ("env".into(), "prod".into())],
        headers: vec![("x-plan".into(), "pro".into())],
        budget_left: Some(NanoDollars(1_500_000_000)),
        ..Caller::default()
    }
}

fn shape() -> Shape {
    Shape { images: 2, model: "auto-fast".into(), ..chat() }
}

fn evaluate(source: &str) -> Result<bool, String> {
    let condition = Condition::compile(source).map_err(|error| error.to_string())?;
    let (shape, caller) = (shape(), caller());
    let clock = WallClock::from_unix(1_795_303_800, 0);
    let facts = FleetFacts { eligible: 4, open: 3, outstanding: 7 };
    let features = FeatureSource::new(&shape, &caller, clock, facts);
    condition.holds(&features).map_err(|fault| fault.to_string())
}

#[test]
fn rules_read_what_they_name() {
    for (source, holds) in [
        ("request.input_tokens > 50000 || request.has_images", true),
        ("request.images == 2 && request.messages <= 2", true),
        ("caller.team in ['research', 'legal']", true),
        ("caller.team == 'sales'", false),
        ("caller.user == ''", true),
        ("request.model.startsWith('auto') && request.model.endsWith('fast')", true),
        ("request.model.contains('x')", false),
        ("request.model.matches('^auto-[a-z]+$')", true),
        ("caller.tags.tier == 'gold'", true),
        ("caller.tags['env'] != 'prod'", false),
        ("'tier' in caller.tags && !('other' in caller.tags)", true),
        ("headers['X-Plan'] == 'pro'", true),
        ("has(headers.missing)", false),
        ("has(caller.tags.tier) && has(caller.team) && !has(caller.user)", true),
        ("has(request.max_output_tokens)", false),
        ("caller.budget_left < 2", true),
        ("caller.budget_left * 2.0 >= 3.0", true),
        ("request.images * 3 - 1 == 5", true),
        ("request.images % 2 == 0 ? request.has_images : false", true),
        ("-request.images < 0", true),
        ("size(caller.tags) == 2 && size(request.model) == 9", true),
        ("fleet.open < fleet.eligible && fleet.outstanding > 5", true),
        ("time.weekday in ['sat', 'sun'] && time.hour >= 22", true),
        ("request.max_output_tokens > 10 || request.has_images", true),
        ("request.max_output_tokens > 10 && request.has_tools", false),
        ("['research', 'legal'].exists(team, team == caller.team)", true),
        ("caller.tags.all(name, size(name) > 2)", true),
        ("caller.tags.exists_one(name, name == 'env')", true),
        ("caller.team + '!' == 'research!'", true),
        ("request.has_images && ['pro'].exists(plan, plan == headers['X-Plan'])", true),
        ("[1, 2].exists(number, number == request.images)", true),
    ] {
        assert_eq!(evaluate(source), Ok(holds), "{source}");
    }
}

#[test]
fn what_cannot_be_told_is_said() {
    let lines: Vec<String> = [
        "request.max_output_tokens > 10",
        "headers['x-tier'] == 'gold'",
        "caller.tags.nothing == 'gold'",
        "request.images / 0 == 1",
        "request.images * 9223372036854775807 > 1",
        "[request.max_output_tokens].exists(limit, limit > 1)",
        "['gold'].exists(tier, tier == caller.tags.nothing)",
    ]
    .iter()
    .map(|source| format!("{source}\n  {}", evaluate(source).expect_err("no answer")))
    .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn mistakes_are_named_with_their_place() {
    let long = format!("request.images > {}1", " ".repeat(LONGEST_RULE));
    let lines: Vec<String> = [
        "",
        "   ",
        &long,
        "request.input_token > 5",
        "true && tokens > 5",
        "caller.model == 'x'",
        "teem == 'x'",
        "request",
        "request == 5",
        "request.images",
        "request.model",
        "'yes'",
        "request.images > 'many'",
        "request.has_images == 1",
        "request.images + 1.5 > 2.0",
        "request.has_images + 1 > 2",
        "request.images && true",
        "!request.images",
        "-request.model == 'x'",
        "request.model.startWith('x')",
        "request.model.startsWith(5)",
        "request.model.startsWith()",
        "request.model.matches('[a')",
        "size(5) == 1",
        "size() == 1",
        "request.model in 'abc'",
        "request.model in [1, 2]",
        "caller.tags == caller.tags",
        "headers[request.model] == 'x'",
        "request.model in headers",
        "size(headers) > 3",
        "headers.exists(name, name == 'x')",
        "request.model[0] == 'x'",
        "request.max_output_tokens == null",
        "has(request.nothing)",
        "caller.tags.tier.deeper == 'x'",
        "['a'].exists(x, x == caller.teem)",
        "['a'].map(x, x)",
        "['a'].exists(x, has(request.model))",
        "['a'].exists(x, launch(x))",
        "request.images >",
        "request.images > 5 )",
        "(request.images > 5",
        "request.images > 5\n  && request.nothing",
        "'é' == 'é' && request.nothing == 1",
        "a.b{c: 1} == 2",
        "b'x' == b'x'",
        "\"unfinished",
        "request.images > 99999999999999999999",
    ]
    .iter()
    .map(|source| {
        let shown: String = source.chars().take(60).collect();
        let error = Condition::compile(source).map(|_| ()).expect_err(&shown);
        format!("{shown}\n  {error}")
    })
    .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn no_shape_exhausts_the_stack() {
    let problem = |source: &str| Condition::compile(source).map(|_| ()).map_err(|error| error.problem);
    let nested = |depth: usize| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(problem(&nested(24)), Ok(()));
    assert_eq!(problem(&nested(25)), Err(Problem::TooDeep { limit: 24 }));
    assert_eq!(problem(&nested(2_000)), Err(Problem::TooDeep { limit: 24 }));
    let list = format!("1 in {}1{}", "[".repeat(24), "]".repeat(24));
    assert_eq!((problem(&list), evaluate(&list)), (Ok(()), Ok(false)));
    // As many operators as there may be, in every chain that nests.
    assert_eq!(problem(&format!("1{} > 0", " + 1".repeat(199))), Ok(()));
    assert_eq!(problem(&format!("{}true", "!".repeat(200))), Ok(()));
    assert_eq!(problem(&format!("{}1 > 0", "-".repeat(199))), Ok(()));
    assert_eq!(problem(&vec!["true"; 201].join(" && ")), Ok(()));
    let chosen = format!("{}true", "true ? true : ".repeat(66));
    let _ = problem(&chosen);
    let _ = problem(&format!("a{}", ".b".repeat(200)));
    let text = |count: usize| format!("caller.team{} == 'x'", " + 'x'".repeat(count));
    assert_eq!((problem(&text(40)), evaluate(&text(40))), (Ok(()), Ok(false)));
    assert_eq!(problem(&text(190)), Err(Problem::TooDeep { limit: 48 }));
    let _ = problem(&format!("{}true", "true ? ".repeat(200)));
    for (unit, count) in [(" + 1", 202), ("!", 202), ("-", 202), (".b", 202)] {
        let source = format!("1{}", unit.repeat(count));
        assert_eq!(problem(&source), Err(Problem::TooComplex { limit: 200 }), "{unit}");
    }
    assert_eq!(problem(&format!("request.model == '{}'", "(".repeat(500))), Ok(()));
    assert_eq!(problem(&format!("request.model == \"{}\"", "\\\"(".repeat(100))), Ok(()));
}

#[test]
fn a_rule_knows_what_it_reads() {
    let rule = "headers['X-A'] == 'x' || headers.b == 'y' || ['z'].exists(z, headers['X-C'] == z) || request.images > 1";
    let condition = Condition::compile(rule).expect("a rule");
    let headers: Vec<&str> = condition.headers().iter().map(|name| &**name).collect();
    assert_eq!(headers, ["b", "x-a", "x-c"]);
    let features: Vec<&str> = condition.features().iter().map(crate::features::Feature::name).collect();
    assert_eq!(features, ["request.images", "headers"]);
}

/// The same rule in the general interpreter.
fn interpreted(source: &str) -> Option<bool> {
    let program = cel::Program::compile(source).ok()?;
    let mut context = cel::Context::default();
    context.add_variable_from_value("request.images", 2i64);
    context.add_variable_from_value("request.messages", 2i64);
    context.add_variable_from_value("request.has_images", true);
    context.add_variable_from_value("request.model", "auto-fast");
    context.add_variable_from_value("caller.budget_left", 1.5f64);
    match program.execute(&context) {
        Ok(cel::Value::Bool(value)) => Some(value),
        _ => None,
    }
}

fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("request.images".to_owned()),
        Just("request.messages".to_owned()),
        // Never set, so every operation on it has no answer.
        Just("request.max_output_tokens".to_owned()),
        (-3i64..4).prop_map(|number| number.to_string()),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        (inner.clone(), prop_oneof!["\\+", "-", "\\*", "/", "%"], inner)
            .prop_map(|(left, operator, right)| format!("({left} {operator} {right})"))
    })
}

fn rule() -> impl Strategy<Value = String> {
    let compare = prop_oneof!["==", "!=", "<", "<=", ">", ">="];
    let leaf = prop_oneof![
        Just("request.has_images".to_owned()),
        Just("true".to_owned()),
        (number(), compare, number())
            .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
        (number(), number(), number()).prop_map(|(one, two, three)| format!("{one} in [{two}, {three}]")),
        "[a-z-]{0,4}".prop_map(|part| format!("request.model.contains('{part}')")),
        "[a-z-]{0,2}".prop_map(|part| format!("request.model.startsWith('{part}')")),
        "[a-z]{0,2}".prop_map(|part| format!("request.model < '{part}'")),
        (-2i64..3).prop_map(|number| format!("caller.budget_left > {number}.5")),
        (-2i64..3).prop_map(|number| format!("caller.budget_left <= {number}")),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| format!("!({inner})")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left}) && ({right})")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left}) || ({right})")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(condition, then, other)| format!("({condition}) ? ({then}) : ({other})")),
        ]
    })
}

proptest! {
    #[test]
    fn the_typed_tree_and_the_general_interpreter_agree(source in rule()) {
        let condition = Condition::compile(&source).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let (shape, caller) = (shape(), caller());
        let features = FeatureSource::new(&shape, &caller, WallClock::from_unix(0, 0), FleetFacts::default());
        prop_assert_eq!(condition.holds(&features).ok(), interpreted(&source), "{}", source);
    }

    #[test]
    fn no_text_breaks_the_compiler(source in "[ -~é\n]{0,60}") {
        let _ = Condition::compile(&source);
    }

    #[test]
    fn no_mixture_of_tokens_breaks_the_compiler(
        tokens in proptest::collection::vec(prop_oneof![
            Just("request.images"), Just("headers"), Just("("), Just(")"), Just("["), Just("]"), Just("&&"),
            Just("||"), Just("!"), Just("=="), Just("'a'"), Just("5"), Just("in"), Just("has"), Just("."),
            Just("exists"), Just(","), Just("?"), Just(":"), Just("-"), Just("null"), Just("{"), Just("}"),
        ], 0..14),
    ) {
        let _ = Condition::compile(&tokens.join(" "));
        let _ = Condition::compile(&tokens.concat());
    }
}
