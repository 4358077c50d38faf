//! Intents: how well the classifier of the semantic step reads short queries.
//!
//! Owns the reading of the two public sets and the form of the figures. Must not train or judge itself: the classifier and its
//! measurement are the embedder's, on the published splits; the out-of-scope queries are seen in the test only.

use crate::dataset::DatasetError;
use serde::Serialize;
use serde_json::Value;
use trunkline_embed::classify::{LabelledText, Training, measure_intents};

/// The texts of the two sets.
#[derive(Clone, Copy, Debug)]
pub struct IntentTexts<'a> {
    /// `clinc150/data_full.json`.
    pub clinc150: &'a str,
    /// `banking77/train.csv`.
    pub banking77_train: &'a str,
    /// `banking77/test.csv`.
    pub banking77_test: &'a str,
}

/// Figures of intents on the public splits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct IntentFigures {
    /// Accuracy on the 4,500 in-scope test queries of CLINC150.
    pub clinc150_accuracy: f64,
    /// Area under the curve telling out-of-scope from in-scope queries; `None` when the file has no out-of-scope queries.
    pub clinc150_out_of_scope: Option<f64>,
    /// Accuracy on the 3,080 test queries of banking77.
    pub banking77_accuracy: f64,
}

/// Figures, or in words why there are none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Intents {
    /// Measured.
    Measured(IntentFigures),
    /// Not measured.
    Absent(String),
}

/// Measures intents.
pub type MeasureIntents<'a> = &'a dyn Fn() -> Intents;

/// Trains on the training splits and measures on the test splits; in words what stands in the way.
#[must_use]
pub fn intents(texts: IntentTexts<'_>) -> Intents {
    match measured(texts) {
        Ok(figures) => Intents::Measured(figures),
        Err(problem) => Intents::Absent(problem),
    }
}

fn measured(texts: IntentTexts<'_>) -> Result<IntentFigures, String> {
    let failed = |error: &dyn std::fmt::Display| format!("failed to {error}");
    let (train, test) = clinc150(texts.clinc150).map_err(|error| failed(&error))?;
    let training = Training::default();
    let trained = |error| format!("failed to train the classifier: {error}");
    let (_, clinc150) = measure_intents(&train, &test, &training).map_err(trained)?;
    let train = banking77("banking77/train.csv", texts.banking77_train).map_err(|error| failed(&error))?;
    let test = banking77("banking77/test.csv", texts.banking77_test).map_err(|error| failed(&error))?;
    let (_, banking77) = measure_intents(&train, &test, &training).map_err(trained)?;
    Ok(IntentFigures {
        clinc150_accuracy: clinc150.accuracy,
        clinc150_out_of_scope: clinc150.out_of_scope_auroc,
        banking77_accuracy: banking77.accuracy,
    })
}

fn wrong(file: &str, row: Option<usize>, field: &str, problem: impl Into<String>) -> DatasetError {
    DatasetError { file: file.to_owned(), row, field: field.to_owned(), problem: problem.into() }
}

/// Reads `{"train": [[query, intent], ...], "test": ..., "oos_test": ...}`.
fn clinc150(text: &str) -> Result<(Vec<LabelledText>, Vec<LabelledText>), DatasetError> {
    const FILE: &str = "clinc150/data_full.json";
    let value: Value =
        serde_json::from_str(text).map_err(|error| wrong(FILE, None, "", format!("not JSON: {error}")))?;
    let rows = |split: &str, in_scope: bool| -> Result<Vec<LabelledText>, DatasetError> {
        let list = value.get(split).and_then(Value::as_array);
        let list = list.ok_or_else(|| wrong(FILE, None, split, "expected a list of pairs"))?;
        (1..)
            .zip(list)
            .map(|(number, row)| {
                match (row.get(0).and_then(Value::as_str), row.get(1).and_then(Value::as_str)) {
                    (Some(text), Some(label)) => {
                        Ok(LabelledText { text: text.to_owned(), label: in_scope.then(|| label.to_owned()) })
                    }
                    _ => Err(wrong(FILE, Some(number), split, "expected a query and its intent")),
                }
            })
            .collect()
    };
    let mut test = rows("test", true)?;
    test.extend(rows("oos_test", false)?);
    Ok((rows("train", true)?, test))
}

/// Reads two columns, query and intent, below a header; a quoted query may hold commas, line ends and doubled quotes.
fn banking77(file: &str, text: &str) -> Result<Vec<LabelledText>, DatasetError> {
    let mut rows: Vec<Vec<String>> = vec![vec![String::new()]];
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let row = rows.last_mut().expect("a row is open from the start");
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                row.last_mut().expect("a field is open from the start").push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(String::new()),
            '\r' if !quoted => {}
            '\n' if !quoted => rows.push(vec![String::new()]),
            letter => row.last_mut().expect("a field is open from the start").push(letter),
        }
    }
    let filled =
        (1..).zip(rows).skip(1).filter(|(_, row)| row.len() > 1 || row.iter().any(|field| !field.is_empty()));
    filled
        .map(|(number, row)| match <[String; 2]>::try_from(row) {
            Ok([text, label]) => Ok(LabelledText { text, label: Some(label) }),
            Err(row) => Err(wrong(
                file,
                Some(number),
                "",
                format!("expected a query and its intent, found {} columns", row.len()),
            )),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_queries_keep_their_commas_and_lines() {
        let rows = banking77("t.csv", "text,category\nplain one,a\n\"a \"\"b\"\",\nc\",b\r\n").unwrap();
        assert_eq!((&*rows[0].text, rows[0].label.as_deref()), ("plain one", Some("a")));
        assert_eq!((&*rows[1].text, rows[1].label.as_deref()), ("a \"b\",\nc", Some("b")));
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn sets_that_cannot_be_read_are_named() {
        let shown = [
            clinc150("{}").unwrap_err(),
            clinc150("{\"test\": [], \"oos_test\": [[\"q\"]], \"train\": []}").unwrap_err(),
            banking77("banking77/test.csv", "text,category\nq\n").unwrap_err(),
        ]
        .map(|error| error.to_string());
        insta::assert_snapshot!(shown.join("\n"), @"
        read the dataset clinc150/data_full.json, field `test`: expected a list of pairs
        read the dataset clinc150/data_full.json, row 1, field `oos_test`: expected a query and its intent
        read the dataset banking77/test.csv, row 2: expected a query and its intent, found 1 columns
        ");
    }
}
