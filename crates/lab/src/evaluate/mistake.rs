//! What is wrong with a data set, and where.
//!
//! Owns the message: file, line, field, problem. All mistakes are told at once, up to a number that a person reads.

use std::fmt;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1.
    pub line: usize,
    /// The field, as a path; empty for the whole line.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// The mistakes of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// The file.
    pub path: String,
    /// At least one, in the order of lines.
    pub all: Vec<Mistake>,
}

/// Most mistakes shown.
const SHOWN: usize = 20;

impl fmt::Display for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "use the data set {}", self.path)?;
        for Mistake { line, field, problem } in self.all.iter().take(SHOWN) {
            write!(formatter, "\n  {}:{line}: ", self.path)?;
            if !field.is_empty() {
                write!(formatter, "`{field}`: ")?;
            }
            formatter.write_str(problem)?;
        }
        if self.all.len() > SHOWN {
            write!(formatter, "\n  and {} more", self.all.len() - SHOWN)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
