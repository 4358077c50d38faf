//! What can be wrong with a model's folder.

/// Why a folder was refused as a sentence transformer; reads after "failed to".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FolderError {
    /// A file cannot be read.
    #[error("read `{file}` of the model's folder: {cause}")]
    Unreadable {
        /// The file.
        file: &'static str,
        /// Why.
        cause: String,
    },
    /// A file is not the JSON it should be.
    #[error("understand `{file}` of the model's folder: {cause}")]
    Form {
        /// The file.
        file: &'static str,
        /// What is wrong and where.
        cause: String,
    },
    /// The model is of another kind.
    #[error("use the model: `{file}` says `{field}` is `{found}`, and only {expected} is supported")]
    Kind {
        /// The file.
        file: &'static str,
        /// The setting.
        field: &'static str,
        /// What it is.
        found: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// A number that no model has.
    #[error("use the model: `{field}` in `config.json` is {found}, not {expected}")]
    Number {
        /// The setting.
        field: &'static str,
        /// What it is.
        found: usize,
        /// What it has to be.
        expected: &'static str,
    },
    /// Neither file with the vocabulary is there.
    #[error("find the vocabulary: the folder has neither `vocab.txt` nor `tokenizer.json`: {cause}")]
    NoVocabulary {
        /// Why the second could not be read.
        cause: String,
    },
    /// The vocabulary is no vocabulary, or lacks what frames a text.
    #[error("use the vocabulary of the model: {cause}")]
    Vocabulary {
        /// What is wrong.
        cause: String,
    },
    /// The file of the weights is damaged or something else.
    #[error("read `model.safetensors`: {cause}")]
    Weights {
        /// What is wrong.
        cause: String,
    },
    /// A tensor is missing.
    #[error("read `model.safetensors`: there is no tensor `{name}` among its {count}; is it a BERT model?")]
    Missing {
        /// The tensor.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// A tensor has another shape than the settings say.
    #[error("read `model.safetensors`: tensor `{name}` has shape {found:?}, expected {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that follows from `config.json` and the vocabulary.
        expected: Vec<usize>,
    },
    /// A tensor has elements of another type.
    #[error("read `model.safetensors`: tensor `{name}` holds {found}; F32, F16 and BF16 are read")]
    Elements {
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
    },
    /// A weight is no number.
    #[error(
        "read `model.safetensors`: tensor `{name}` holds something that is no number; the file is damaged"
    )]
    NotFinite {
        /// The tensor.
        name: String,
    },
}
