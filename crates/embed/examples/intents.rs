//! Prints how well and how fast texts are classified, on the data sets CLINC150 and BANKING77 in a folder.
//!
//! `cargo run --release --package trunkline-embed --example intents -- FOLDER`
//!
//! The folder holds `clinc150/data_full.json` (<https://github.com/clinc/oos-eval>, CC BY 3.0) and `banking77/train.csv` and
//! `test.csv` (<https://github.com/PolyAI-LDN/task-specific-datasets>, CC BY 4.0). Training and calibration see the training split only.

#![expect(clippy::disallowed_methods, reason = "measuring files given by name is what this example is for")]

use std::path::Path;
use std::time::Instant;
use trunkline_embed::classify::{Head, LabelledText, Reader, Training, measure_intents};

fn main() {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("usage: intents FOLDER, which holds clinc150 and banking77");
        std::process::exit(2);
    };
    let folder = Path::new(&folder);
    for (name, rows) in [("CLINC150", clinc150(folder)), ("BANKING77", banking77(folder))] {
        let (train, test) = match rows {
            Ok(rows) => rows,
            Err(problem) => {
                eprintln!("{name}: not measured: {problem}");
                continue;
            }
        };
        for head in [Head::Logistic, Head::Centroid] {
            measure(name, head, &train, &test);
        }
    }
}

fn measure(name: &str, head: Head, train: &[LabelledText], test: &[LabelledText]) {
    let training = Training { head, ..Training::default() };
    let start = Instant::now();
    let (classifier, figures) = match measure_intents(train, test, &training) {
        Ok(measured) => measured,
        Err(error) => {
            eprintln!("{name}: failed to train the classifier: {error}");
            return;
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{name}, {head:?}: {} labels, {} examples, {seconds:.1} s",
        classifier.labels().len(),
        train.len()
    );
    println!("  accuracy {:.4}, mean confidence {:.4}", figures.accuracy, figures.confidence);
    if let Some((held_out, number)) = classifier.held_out_accuracy() {
        println!("  accuracy on {number} held-out examples {held_out:.4}");
    }
    if let (Some(auroc), Some(stopped)) = (figures.out_of_scope_auroc, figures.stopped) {
        println!("  out-of-scope AUROC {auroc:.4}; keeps {:.4}, stops {stopped:.4}", figures.kept);
    }
    let mut reader = Reader::bundled();
    let mut times: Vec<f64> = (0..5)
        .flat_map(|_| test)
        .map(|text| {
            let start = Instant::now();
            std::hint::black_box(classifier.classify(&text.text, &mut reader));
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[(times.len() as f64 * share) as usize];
    println!("  classify: p50 {:.1} us, p99 {:.1} us", at(0.5), at(0.99));
}

type Rows = (Vec<LabelledText>, Vec<LabelledText>);

fn clinc150(folder: &Path) -> Result<Rows, String> {
    let path = folder.join("clinc150/data_full.json");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let rows = |split: &str, labelled: bool| -> Vec<LabelledText> {
        let list = value.get(split).and_then(serde_json::Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(|row| {
                let text = row.get(0)?.as_str()?.to_owned();
                let label = row.get(1)?.as_str()?.to_owned();
                Some(LabelledText { text, label: labelled.then_some(label) })
            })
            .collect()
    };
    let mut test = rows("test", true);
    test.extend(rows("oos_test", false));
    Ok((rows("train", true), test))
}

fn banking77(folder: &Path) -> Result<Rows, String> {
    let read = |name: &str| {
        let path = folder.join("banking77").join(name);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok::<_, String>(comma_separated(&text))
    };
    Ok((read("train.csv")?, read("test.csv")?))
}

/// Two columns, text and label, with a header; a text in quotes may hold commas, line ends and doubled quotes.
fn comma_separated(text: &str) -> Vec<LabelledText> {
    let mut fields = vec![String::new()];
    let mut rows = Vec::new();
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let field = fields.last_mut().expect("there is always one field");
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                if let [text, label] = fields.as_slice() {
                    rows.push(LabelledText { text: text.clone(), label: Some(label.clone()) });
                }
                fields = vec![String::new()];
            }
            letter => field.push(letter),
        }
    }
    rows.drain(..1.min(rows.len()));
    rows
}
