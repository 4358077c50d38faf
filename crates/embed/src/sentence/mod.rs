//! Sentence transformers in process: the BERT family, read from the folder that the reference library writes.
//!
//! Owns the reading of the folder, the forward pass and the pooling. It must not touch a file: whoever loads hands in their
//! bytes. Behind a feature, because few need it and a transformer takes a thousand times as long as the static table.
//! Non-obvious: the forward pass is our own fifty lines over a matrix library and not a framework for models. One kind of model
//! is needed, and frameworks bring thread pools and look at the machine, which pure crates do not.

mod error;
mod folder;
mod forward;
mod tensors;

pub use error::FolderError;

use crate::encode::Encode;
use crate::tokenizer::{Scratch, Tokenizer};
use folder::{Pooling, Settings};
use forward::Model;

/// The most bytes of a text that are looked at, cut to whole characters.
const LONGEST_TEXT: usize = 32 << 10;

/// A sentence transformer.
#[derive(Debug)]
pub struct SentenceEncoder {
    tokenizer: Tokenizer,
    model: Model,
    pooling: Pooling,
    /// Pieces of one text at the most, with the two that frame it.
    longest: usize,
    /// The pieces before and after every text.
    frame: (u32, u32),
}

impl SentenceEncoder {
    /// Reads a model from the files of its folder, which `files` gives by their names in it: `config.json`, `model.safetensors`,
    /// `vocab.txt` or `tokenizer.json`, `1_Pooling/config.json`, and where they are there `modules.json`,
    /// `tokenizer_config.json` and `sentence_bert_config.json`.
    ///
    /// # Errors
    /// [`FolderError`] with the file and what is wrong with it.
    pub fn load(files: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>) -> Result<Self, FolderError> {
        let settings = Settings::read(files)?;
        let tokenizer = folder::tokenizer(files)?;
        let frame = folder::frame(&tokenizer)?;
        let bytes = files(folder::WEIGHTS)
            .map_err(|cause| FolderError::Unreadable { file: folder::WEIGHTS, cause })?;
        let model = Model::read(&bytes, &settings, tokenizer.pieces())?;
        Ok(Self { tokenizer, model, pooling: settings.pooling, longest: settings.longest, frame })
    }
}

impl Encode for SentenceEncoder {
    fn dimensions(&self) -> usize {
        self.model.width()
    }

    fn encode(&self, text: &str) -> Vec<f32> {
        let read = &text[..text.floor_char_boundary(LONGEST_TEXT)];
        let mut scratch = Scratch::default();
        scratch.ids.push(self.frame.0);
        self.tokenizer.encode_into(read, self.longest - 1, &mut scratch);
        scratch.ids.truncate(self.longest - 1);
        scratch.ids.push(self.frame.1);
        let states = self.model.forward(&scratch.ids);
        let mut vector = self.pooling.pool(&states);
        crate::embedder::normalize(&mut vector);
        vector
    }
}
