//! What can be wrong with the text of a rule.
//!
//! Owns the problems and their words. Each names what stands there, what would be right, and where.

use crate::features::FeatureKind;
use std::fmt;

/// A rule that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionError {
    /// Where in the text, in bytes, where it can be told.
    pub offset: Option<usize>,
    /// Line and column of that place, both counted from 1.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub problem: Problem,
}

impl ConditionError {
    pub(super) fn new(source: &str, offset: Option<usize>, problem: Problem) -> Self {
        let offset = offset.filter(|offset| source.is_char_boundary(*offset));
        let place = offset.map(|offset| {
            let before = &source[..offset];
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
        });
        Self { offset, place, problem }
    }

    /// A problem that only running the rule shows.
    pub(crate) fn stated(source: &str, message: String) -> Self {
        Self::new(source, None, Problem::Syntax { message })
    }
}

impl std::error::Error for ConditionError {}

impl fmt::Display for ConditionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("read the rule")?;
        match self.place {
            Some((1, column)) => write!(formatter, " at column {column}")?,
            Some((line, column)) => write!(formatter, " at line {line}, column {column}")?,
            None => {}
        }
        write!(formatter, ": {}", self.problem)
    }
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nothing but white space.
    #[error("it is empty")]
    Empty,
    /// Longer than a rule may be.
    #[error("it has {bytes} bytes, more than {}", super::LONGEST_RULE)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Nested deeper than a parser should be asked to follow.
    #[error("it is nested more than {limit} deep")]
    TooDeep {
        /// The deepest nesting allowed.
        limit: usize,
    },
    /// More operators than a rule may have.
    #[error("it has more than {limit} operators; split it into several steps")]
    TooComplex {
        /// The most allowed.
        limit: usize,
    },
    /// No thread to parse on, or the parser broke down.
    #[error("the parser gave it up")]
    GivenUp,
    /// Not an expression.
    #[error("{message}")]
    Syntax {
        /// What the parser said.
        message: String,
    },
    /// A name that nothing has.
    #[error("there is no `{name}`{}", Hint(near))]
    UnknownName {
        /// The name as written.
        name: String,
        /// The names nearest to it.
        near: Vec<String>,
    },
    /// A group of names used as a value.
    #[error("`{name}` is a group of values and no value itself; name one, such as `{example}`")]
    Group {
        /// The group.
        name: String,
        /// A value of it.
        example: &'static str,
    },
    /// A function that does not exist or cannot be used so.
    #[error("there is no function `{name}`{}", Hint(near))]
    UnknownFunction {
        /// The name as written.
        name: String,
        /// The names nearest to it.
        near: Vec<String>,
    },
    /// The whole rule is no condition.
    #[error("it gives a value of type {} where true or false is needed", .kind.name())]
    NotBool {
        /// What it gives.
        kind: FeatureKind,
    },
    /// The whole rule may be no condition, which nobody can tell before it runs.
    #[error("it may give something other than true or false; compare it with something")]
    UnknownType,
    /// Two values that an operator cannot combine.
    #[error("`{operator}` cannot combine {} with {}", .left.name(), .right.name())]
    Types {
        /// The operator as written.
        operator: &'static str,
        /// Type of the left side.
        left: FeatureKind,
        /// Type of the right side.
        right: FeatureKind,
    },
    /// A value that an operator or function cannot take.
    #[error("`{operator}` cannot take a value of type {}; it needs {needs}", .kind.name())]
    Operand {
        /// The operator or function.
        operator: String,
        /// The type given.
        kind: FeatureKind,
        /// What it needs, in words.
        needs: &'static str,
    },
    /// Too many or too few arguments.
    #[error("`{function}` takes {needs}, not {given}")]
    Arguments {
        /// The function.
        function: String,
        /// How many it takes, in words.
        needs: &'static str,
        /// How many are given.
        given: usize,
    },
    /// A name in brackets that is not written out.
    #[error(
        "a name in brackets must be written out, as in `{map}[\"name\"]`, so that it is known what is read"
    )]
    ComputedKey {
        /// The map.
        map: &'static str,
    },
    /// A regular expression that is none, or too large.
    #[error("the regular expression is refused: {message}")]
    Pattern {
        /// What the compiler of regular expressions said.
        message: String,
    },
    /// A literal that nothing can be compared with.
    #[error("`null` equals nothing here; use `has(...)` to ask whether something is set")]
    Null,
    /// Something the language has and rules have not.
    #[error("{what} cannot be used in a rule")]
    Unsupported {
        /// What.
        what: &'static str,
    },
}

/// Names worth suggesting.
struct Hint<'a>(&'a [String]);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, name) in self.0.iter().enumerate() {
            let lead = if position == 0 { "; did you mean " } else { " or " };
            write!(formatter, "{lead}`{name}`")?;
        }
        if self.0.is_empty() { Ok(()) } else { formatter.write_str("?") }
    }
}
