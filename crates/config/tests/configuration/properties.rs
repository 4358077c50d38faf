//! No text, however strange, does anything but load or be refused with places inside it.

use crate::support::load_one;
use proptest::prelude::*;

const SEEDS: [&str; 3] = [
    include_str!("full.yaml"),
    include_str!("everything-wrong.yaml"),
    "providers:\n  openai: &base { data: { zdr: true } }\n  b: { <<: *base, preset: openai }\nroutes:\n  ü: { tiers: { \"😀\": { deployments: [openai/gpt-5] } } }\n",
];

/// What mutations put in: what means something in YAML or here, and letters of several bytes.
const PIECES: [&str; 24] = [
    ":", "\n", "  ", "{", "}", "[", "]", "\"", "'", "- ", "~", "|", ">", "&a ", "*a", "<<: ", "#", "\t",
    "\u{feff}", "é", "😀", "${", "\r", "0x1F",
];

#[derive(Clone, Debug)]
enum Mutation {
    Insert(usize, usize),
    Remove(usize, usize),
    Repeat(usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        (any::<usize>(), 0..PIECES.len()).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        (any::<usize>(), 1..20_usize).prop_map(|(at, length)| Mutation::Remove(at, length)),
        (any::<usize>(), 1..40_usize).prop_map(|(at, length)| Mutation::Repeat(at, length)),
    ]
}

fn mutated(seed: &str, mutations: &[Mutation]) -> String {
    let mut text = seed.to_owned();
    for mutation in mutations {
        let place = |at: usize| text.floor_char_boundary(at % (text.len() + 1));
        match *mutation {
            Mutation::Insert(at, piece) => text.insert_str(place(at), PIECES[piece]),
            Mutation::Remove(at, length) => {
                let start = place(at);
                let end = text.ceil_char_boundary(start + length);
                text.replace_range(start..end, "");
            }
            Mutation::Repeat(at, length) => {
                let start = place(at);
                let piece = text[start..text.ceil_char_boundary(start + length)].to_owned();
                text.insert_str(start, &piece);
            }
        }
    }
    text
}

/// Loads a text and checks what must hold of any: problems have places on the borders of characters, and can be shown.
fn check(text: &str) {
    let (problems, sources, refused) = match load_one(text) {
        Ok(loaded) => (loaded.problems, loaded.sources, false),
        Err(invalid) => (invalid.problems, invalid.sources, true),
    };
    assert_eq!(problems.has_errors(), refused);
    assert_eq!(sources[0].text.len(), text.len(), "masking must not move places");
    for problem in problems.iter() {
        assert!(text.get(problem.place.span.clone()).is_some(), "{problem:?}");
        assert!(!problem.message.ends_with('.') && !problem.message.contains('\n'), "{problem:?}");
    }
    assert!(problems.render(&sources, true).contains("error"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_a_configuration_crashes_loading(
        seed in 0..SEEDS.len(),
        mutations in proptest::collection::vec(mutation(), 1..6),
    ) {
        check(&mutated(SEEDS[seed], &mutations));
    }

    #[test]
    fn no_text_crashes_loading(text in "[ -~\n\té😀]{0,200}") {
        check(&text);
    }
}
