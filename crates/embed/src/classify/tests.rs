//! What a classifier learns, what it refuses, and what it says of the unknown.

use super::*;
use proptest::prelude::*;

const BILLING: [&str; 8] = [
    "why was I charged twice this month",
    "I want a refund for my last invoice",
    "how do I update my credit card",
    "the bill is higher than last month",
    "can I get a receipt for my payment",
    "please cancel my subscription and return the money",
    "which payment methods do you accept",
    "my card was declined at checkout",
];
const LEGAL: [&str; 8] = [
    "please review this contract clause",
    "is the liability limit enforceable",
    "what does the indemnification section mean",
    "draft a non-disclosure agreement",
    "does this license allow commercial use",
    "summarize the terms of the lease",
    "which court has jurisdiction over the dispute",
    "explain the termination clause of the agreement",
];

fn train(head: Head) -> Classifier {
    let labelled = |label, texts: &[&'static str; 8]| texts.map(|text| Example { text, label });
    let examples = [labelled(0, &BILLING), labelled(1, &LEGAL)].concat();
    let training = Training { head, ..Training::default() };
    Classifier::train(vec!["billing".into(), "legal".into()], &examples, &training).unwrap()
}

#[test]
fn labels_are_found_and_the_unknown_is_out_of_scope() {
    for head in [Head::Logistic, Head::Centroid] {
        let classifier = train(head);
        let mut reader = Reader::bundled();
        let read = |text: &str, reader: &mut Reader| classifier.classify(text, reader);
        let refund = read("I would like my money back for the invoice of March", &mut reader);
        assert_eq!((refund.label, refund.runner_up), (0, 1));
        assert!(refund.is_in_scope(), "{head:?} {refund:?}");
        let clause = read("what does clause 7 of this contract say about liability", &mut reader);
        assert_eq!(clause.label, 1);
        assert!(clause.probability > 0.5 && clause.is_in_scope(), "{head:?} {clause:?}");
        for unknown in ["zebras graze near volcanic lakes at dawn", "", "\u{1f980}\u{1f980}"] {
            let reading = read(unknown, &mut reader);
            assert!(!reading.is_in_scope(), "{head:?} {unknown} {reading:?}");
        }
    }
}

#[test]
fn a_handful_of_examples_tells_nothing_of_the_unknown() {
    let examples = [Example { text: BILLING[0], label: 0 }, Example { text: LEGAL[0], label: 1 }];
    let labels = vec!["billing".into(), "legal".into()];
    let classifier = Classifier::train(labels, &examples, &Training::default()).unwrap();
    let reading = classifier.classify(BILLING[1], &mut Reader::bundled());
    assert_eq!(reading.threshold, None);
    assert!(reading.is_in_scope());
    assert_eq!(classifier.held_out_accuracy(), None);
}

#[test]
fn the_share_to_keep_moves_the_threshold() {
    let labelled = |label, texts: &[&'static str; 8]| texts.map(|text| Example { text, label });
    let examples = [labelled(0, &BILLING), labelled(1, &LEGAL)].concat();
    let threshold = |keep| {
        let training = Training { keep, ..Training::default() };
        let labels = vec!["billing".into(), "legal".into()];
        let classifier = Classifier::train(labels, &examples, &training).unwrap();
        classifier.classify("", &mut Reader::bundled()).threshold.unwrap()
    };
    assert!(threshold(1.0) < threshold(0.8) && threshold(0.8) < threshold(0.5));
}

#[test]
fn refusals_say_what_is_wrong() {
    let one = [Example { text: "a", label: 0 }];
    let labels = |names: &[&str]| names.iter().map(|name| Box::from(*name)).collect::<Vec<Box<str>>>();
    let refused = |names: &[&str], examples: &[Example<'_>], keep| {
        let training = Training { keep, ..Training::default() };
        let error = Classifier::train(labels(names), examples, &training).unwrap_err();
        format!("failed to train the classifier: {error}")
    };
    let many: Vec<String> = (0..1_001).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let shown = [
        refused(&["only"], &one, 0.9),
        refused(&many, &one, 0.9),
        refused(&["one", "two"], &one, 0.9),
        refused(&["one", "two"], &[Example { text: "a", label: 2 }], 0.9),
        refused(&["one", "two"], &one, 0.0),
        refused(&["one", "two"], &one, f32::NAN),
    ];
    insta::assert_snapshot!(shown.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_same_examples_give_the_same_answers_and_probabilities_sum_to_one(
        texts in proptest::collection::vec("[a-z ]{0,40}", 4..24), asked in "\\PC{0,60}",
    ) {
        let examples: Vec<Example<'_>> =
            texts.iter().enumerate().map(|(at, text)| Example { text, label: at % 3 }).collect();
        let labels = || vec!["a".into(), "b".into(), "c".into()];
        let training = Training::default();
        let first = Classifier::train(labels(), &examples, &training).unwrap();
        let second = Classifier::train(labels(), &examples, &training).unwrap();
        let (mut one, mut other) = (Reader::bundled(), Reader::bundled());
        let (reading, probabilities) = first.probabilities(&asked, &mut one);
        let sum: f32 = probabilities.iter().sum();
        prop_assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        prop_assert!(probabilities.iter().all(|probability| probability.is_finite()));
        prop_assert!(reading.scope.is_finite());
        prop_assert_eq!(reading, second.classify(&asked, &mut other));
    }
}

#[test]
fn vectors_of_another_encoder_take_the_place_of_the_table_s() {
    let labelled = |label, texts: &[&'static str; 8]| texts.map(|text| Example { text, label });
    let examples = [labelled(0, &BILLING), labelled(1, &LEGAL)].concat();
    let labels = || vec!["billing".into(), "legal".into()];
    let mut embedder = crate::Embedder::bundled();
    let own: Vec<Vec<f32>> = examples.iter().map(|example| embedder.embed(example.text).to_vec()).collect();
    let same = Classifier::train_encoded(labels(), &examples, &own, &Training::default()).unwrap();
    let (table, mut reader) = (train(Head::Logistic), Reader::bundled());
    let text = "I would like my money back";
    let reading = same.classify_encoded(text, &embedder.embed(text), &mut reader).unwrap();
    assert_eq!(reading, table.classify(text, &mut reader), "the same vectors, the same classifier");

    // An encoder of three components that knows what a table does not.
    let side = |label: usize| if label == 0 { [2.0, 0.0, 0.1] } else { [0.0, 2.0, 0.1] };
    let vectors: Vec<[f32; 3]> = examples.iter().map(|example| side(example.label)).collect();
    let known = Classifier::train_encoded(labels(), &examples, &vectors, &Training::default()).unwrap();
    let read = |vector: &[f32]| known.classify_encoded("zebras graze", vector, &mut Reader::bundled());
    assert_eq!(read(&[5.0, 0.0, 0.2]).unwrap().label, 0);
    assert_eq!(read(&[0.0, 0.5, 0.0]).unwrap().label, 1);
    assert_eq!((read(&[0.0, 1.0]), read(&[0.0, f32::NAN, 1.0])), (None, None));

    let wrong = |change: &dyn Fn(&mut Vec<Vec<f32>>)| {
        let mut vectors = own.clone();
        change(&mut vectors);
        Classifier::train_encoded(labels(), &examples, &vectors, &Training::default())
            .unwrap_err()
            .to_string()
    };
    let told = [
        wrong(&|vectors| vectors.truncate(3)),
        wrong(&|vectors| vectors[2].truncate(3)),
        wrong(&|vectors| vectors[5][7] = f32::INFINITY),
        wrong(&|vectors| vectors.iter_mut().for_each(Vec::clear)),
    ];
    insta::assert_snapshot!(told.join("\n"), @r"
    3 vectors for 16 examples
    the vector of example 2 has 3 components, that of the first 256
    the vector of example 5 holds something that is no number
    the vector of example 0 has 0 components, that of the first 0
    ");
}
