//! The small files of a model's folder: settings, vocabulary, pooling.
//!
//! Owns what of them is understood. Whatever would make another vector than the reference library's is refused by name: a
//! model that answers with slightly wrong vectors is worse than none.

use super::error::FolderError;
use crate::tokenizer::Tokenizer;
use ndarray::{Array2, Axis};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;

/// The file of the weights.
pub(super) const WEIGHTS: &str = "model.safetensors";
const CONFIG: &str = "config.json";
const POOLING: &str = "1_Pooling/config.json";
const MODULES: &str = "modules.json";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const SENTENCE_CONFIG: &str = "sentence_bert_config.json";

/// Bounds of what a model may be: far above all that are used for sentences.
const MOST_LAYERS: usize = 48;
const MOST_WIDTH: usize = 4_096;
const MOST_POSITIONS: usize = 8_192;

type Files<'a> = &'a mut dyn FnMut(&str) -> Result<Vec<u8>, String>;

/// What the settings say.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) layers: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) inner: usize,
    pub(super) positions: usize,
    pub(super) kinds: usize,
    pub(super) epsilon: f32,
    pub(super) activation: Activation,
    pub(super) pooling: Pooling,
    pub(super) longest: usize,
}

/// What is between the two halves of a layer's second part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    /// By the error function.
    Gelu,
    /// By its usual approximation with a hyperbolic tangent.
    GeluTanh,
    Relu,
}

/// How the vectors of the pieces become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    /// That of the first piece.
    First,
    Mean,
    Largest,
}

impl Pooling {
    pub(super) fn pool(self, states: &Array2<f32>) -> Vec<f32> {
        match self {
            Self::First => states.row(0).to_vec(),
            Self::Mean => states.mean_axis(Axis(0)).map(|mean| mean.to_vec()).unwrap_or_default(),
            Self::Largest => {
                states.fold_axis(Axis(0), f32::NEG_INFINITY, |most, value| most.max(*value)).to_vec()
            }
        }
    }
}

#[derive(Deserialize)]
struct Config {
    model_type: String,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "two")]
    type_vocab_size: usize,
    #[serde(default = "usual_epsilon")]
    layer_norm_eps: f32,
    #[serde(default = "gelu")]
    hidden_act: String,
    position_embedding_type: Option<String>,
}

const fn two() -> usize {
    2
}

const fn usual_epsilon() -> f32 {
    1e-12
}

fn gelu() -> String {
    "gelu".to_owned()
}

#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
}

#[derive(Deserialize)]
struct TokenizerConfig {
    do_lower_case: Option<bool>,
}

impl Settings {
    pub(super) fn read(files: Files<'_>) -> Result<Self, FolderError> {
        let config: Config = json(CONFIG, files)?;
        let kind = |field, found: &str, expected| FolderError::Kind {
            file: CONFIG,
            field,
            found: found.to_owned(),
            expected,
        };
        if config.model_type != "bert" {
            return Err(kind("model_type", &config.model_type, "`bert`"));
        }
        if let Some(positions) =
            config.position_embedding_type.as_deref().filter(|positions| *positions != "absolute")
        {
            return Err(kind("position_embedding_type", positions, "`absolute`"));
        }
        let activation = match config.hidden_act.as_str() {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            other => return Err(kind("hidden_act", other, "`gelu`, `gelu_new` or `relu`")),
        };
        let within = |field, found: usize, most: usize, expected| match (1..=most).contains(&found) {
            true => Ok(found),
            false => Err(FolderError::Number { field, found, expected }),
        };
        let width = within("hidden_size", config.hidden_size, MOST_WIDTH, "from 1 to 4096")?;
        let heads =
            within("num_attention_heads", config.num_attention_heads, width, "from 1 to `hidden_size`")?;
        if width % heads != 0 {
            let expected = "a divisor of `hidden_size`";
            return Err(FolderError::Number { field: "num_attention_heads", found: heads, expected });
        }
        let inner = config.intermediate_size;
        let positions = config.max_position_embeddings;
        check_modules(files)?;
        Ok(Self {
            layers: within("num_hidden_layers", config.num_hidden_layers, MOST_LAYERS, "from 1 to 48")?,
            width,
            heads,
            inner: within("intermediate_size", inner, 8 * MOST_WIDTH, "from 1 to 32768")?,
            positions: within("max_position_embeddings", positions, MOST_POSITIONS, "from 1 to 8192")?,
            kinds: within("type_vocab_size", config.type_vocab_size, 16, "from 1 to 16")?,
            epsilon: config.layer_norm_eps,
            activation,
            pooling: pooling(files)?,
            longest: longest(positions, files)?,
        })
    }
}

/// Further modules would change the vector.
fn check_modules(files: Files<'_>) -> Result<(), FolderError> {
    let Some(modules) = optional::<Vec<Module>>(MODULES, files)? else { return Ok(()) };
    let known = ["Transformer", "Pooling", "Normalize"];
    let unknown = modules.into_iter().find(|module| !known.iter().any(|known| module.kind.ends_with(known)));
    unknown.map_or(Ok(()), |module| {
        let expected = "`Transformer`, `Pooling` or `Normalize`";
        Err(FolderError::Kind { file: MODULES, field: "type", found: module.kind, expected })
    })
}

fn pooling(files: Files<'_>) -> Result<Pooling, FolderError> {
    let settings: HashMap<String, serde_json::Value> = json(POOLING, files)?;
    let mut modes: Vec<&str> = settings
        .iter()
        .filter_map(|(name, value)| {
            name.strip_prefix("pooling_mode_").filter(|_| value.as_bool() == Some(true))
        })
        .collect();
    modes.sort_unstable();
    match modes[..] {
        ["cls_token"] => Ok(Pooling::First),
        ["mean_tokens"] => Ok(Pooling::Mean),
        ["max_tokens"] => Ok(Pooling::Largest),
        _ => Err(FolderError::Kind {
            file: POOLING,
            field: "pooling_mode",
            found: modes.join("` and `"),
            expected: "one of `cls_token`, `mean_tokens` and `max_tokens`",
        }),
    }
}

/// Pieces of a text at the most, with the two that frame it.
fn longest(positions: usize, files: Files<'_>) -> Result<usize, FolderError> {
    let stated = optional::<SentenceConfig>(SENTENCE_CONFIG, files)?.and_then(|config| config.max_seq_length);
    let longest = stated.unwrap_or(positions).min(positions);
    if longest < 3 {
        let expected = "enough for one piece between the two that frame a text";
        return Err(FolderError::Number { field: "max_position_embeddings", found: longest, expected });
    }
    Ok(longest)
}

/// The tokenizer, if it is the one that is known here.
pub(super) fn tokenizer(files: Files<'_>) -> Result<Tokenizer, FolderError> {
    if optional::<TokenizerConfig>(TOKENIZER_CONFIG, files)?.and_then(|config| config.do_lower_case)
        == Some(false)
    {
        return Err(FolderError::Kind {
            file: TOKENIZER_CONFIG,
            field: "do_lower_case",
            found: "false".to_owned(),
            expected: "an uncased vocabulary",
        });
    }
    let text = match files("vocab.txt") {
        Ok(bytes) => String::from_utf8(bytes)
            .map_err(|_| FolderError::Vocabulary { cause: "`vocab.txt` is not UTF-8 text".to_owned() })?,
        Err(_) => vocabulary(files)?,
    };
    Tokenizer::from_vocabulary(text).map_err(|error| FolderError::Vocabulary { cause: error.to_string() })
}

#[derive(Deserialize)]
struct TokenizerFile {
    normalizer: Option<Normalizer>,
    model: TokenizerModel,
}

#[derive(Deserialize)]
struct Normalizer {
    #[serde(rename = "type")]
    kind: String,
    lowercase: Option<bool>,
}

#[derive(Deserialize)]
struct TokenizerModel {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: serde_json::Value,
}

/// The vocabulary of `tokenizer.json`, a piece per line.
fn vocabulary(files: Files<'_>) -> Result<String, FolderError> {
    let bytes = files(TOKENIZER).map_err(|cause| FolderError::NoVocabulary { cause })?;
    let read: TokenizerFile = parsed(TOKENIZER, &bytes)?;
    let kind = |field, found: String, expected| FolderError::Kind { file: TOKENIZER, field, found, expected };
    if read.model.kind.as_deref() != Some("WordPiece") {
        return Err(kind("model.type", read.model.kind.unwrap_or_default(), "`WordPiece`"));
    }
    let lowers =
        |normalizer: &Normalizer| normalizer.kind == "BertNormalizer" && normalizer.lowercase.unwrap_or(true);
    if !read.normalizer.as_ref().is_some_and(lowers) {
        let found = read.normalizer.map_or_else(|| "none".to_owned(), |normalizer| normalizer.kind);
        return Err(kind("normalizer", found, "a `BertNormalizer` with `lowercase`"));
    }
    let map: HashMap<String, usize> = serde_json::from_value(read.model.vocab)
        .map_err(|error| FolderError::Form { file: TOKENIZER, cause: format!("model.vocab: {error}") })?;
    let mut pieces: Vec<(usize, String)> = map.into_iter().map(|(piece, id)| (id, piece)).collect();
    pieces.sort_unstable();
    if pieces.iter().enumerate().any(|(place, (id, _))| place != *id) {
        let cause = "the numbers in `model.vocab` of `tokenizer.json` do not count up from 0".to_owned();
        return Err(FolderError::Vocabulary { cause });
    }
    Ok(pieces.into_iter().map(|(_, piece)| piece + "\n").collect())
}

/// The pieces before and after every text.
pub(super) fn frame(tokenizer: &Tokenizer) -> Result<(u32, u32), FolderError> {
    let find = |piece: &str| {
        let number = u32::try_from(tokenizer.pieces()).unwrap_or(u32::MAX);
        (0..number)
            .find(|id| tokenizer.piece(*id) == Some(piece))
            .ok_or_else(|| FolderError::Vocabulary { cause: format!("it has no `{piece}`") })
    };
    Ok((find("[CLS]")?, find("[SEP]")?))
}

fn json<T: DeserializeOwned>(file: &'static str, files: Files<'_>) -> Result<T, FolderError> {
    let bytes = files(file).map_err(|cause| FolderError::Unreadable { file, cause })?;
    parsed(file, &bytes)
}

/// What a file says, if it is there.
fn optional<T: DeserializeOwned>(file: &'static str, files: Files<'_>) -> Result<Option<T>, FolderError> {
    files(file).ok().map(|bytes| parsed(file, &bytes)).transpose()
}

fn parsed<T: DeserializeOwned>(file: &'static str, bytes: &[u8]) -> Result<T, FolderError> {
    serde_json::from_slice(bytes).map_err(|error| FolderError::Form { file, cause: error.to_string() })
}
