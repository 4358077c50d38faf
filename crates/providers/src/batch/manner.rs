//! How a provider's files and batches differ from those they were copied from.
//!
//! Owns what a preset may say of it, and the usual ways where it says nothing. Must not know which provider differs, nor send or read
//! anything: [`super::files`] and [`super::upload`] do. It is data, because those who copied a form changed names and numbers, not the way
//! lines go there and back.

use serde::Deserialize;
use std::borrow::Cow;

/// What stands before the endpoints that lines ask for, where nobody says otherwise.
const USUAL_VERSION: &str = "/v1";

/// What is different of the form `files`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Manner {
    /// The path to which files are uploaded, where that is not where they are looked at.
    pub upload: Option<String>,
    /// What files of lines are uploaded for.
    pub purpose: String,
    /// Whether an upload says the file's name in a field of its own, too: `file_name`.
    pub names_files: bool,
    /// Whether a line is a name and a body only, because the order says where all of them go.
    pub bare_lines: bool,
    /// The version that stands before the endpoints that lines ask for: `/v1`.
    pub version: String,
    /// The time that is asked for, in hours. Lines go there only where a batch has that much left, less an hour.
    pub window: u64,
    /// Whether a batch keeps what it was made with as `metadata`; without it, it is found again by the file of its lines.
    pub keeps_metadata: bool,
    /// The member in which the answer to an order has the batch, where it is not the batch itself.
    pub made_in: Option<String>,
    /// The query of a list of batches; where it is empty, the list is whole.
    pub list_batches: String,
    /// The query of a list of files.
    pub list_files: String,
    /// States of a batch that is under way, besides the usual ones; in small letters.
    pub running: Vec<String>,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            upload: None,
            purpose: "batch".to_owned(),
            names_files: false,
            bare_lines: false,
            version: USUAL_VERSION.to_owned(),
            window: 24,
            keeps_metadata: true,
            made_in: None,
            list_batches: "limit=100".to_owned(),
            list_files: "purpose=batch&limit=1000".to_owned(),
            running: Vec::new(),
        }
    }
}

impl Manner {
    /// An endpoint as the provider names it.
    pub(super) fn endpoint<'e>(&self, usual: &'e str) -> Cow<'e, str> {
        match usual.strip_prefix(USUAL_VERSION) {
            Some(path) if self.version != USUAL_VERSION => Cow::Owned(format!("{}{path}", self.version)),
            _ => Cow::Borrowed(usual),
        }
    }
}

#[cfg(test)]
mod tests;
