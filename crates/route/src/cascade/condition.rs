//! Rules over an answer.
//!
//! Owns what a rule can read of an answer: `answer.text`, `answer.bytes`, `answer.words`, `answer.finish`, `answer.tool_calls`,
//! `answer.refused`. Must not read the request: rules over requests are [`Condition`](crate::cel::Condition)s. An answer takes
//! milliseconds to come, so the general interpreter is fast enough here.

use super::answer::Answer;
use crate::cel::{self, ConditionError};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use trunkline_model::id::Name;

/// A compiled rule over an answer.
#[derive(Clone)]
pub struct AnswerCondition {
    source: Name,
    program: Arc<::cel::Program>,
}

impl AnswerCondition {
    /// Compiles a rule.
    ///
    /// # Errors
    /// [`ConditionError`] when it is too long, no expression, or reads anything but `answer`; a text when it gives something
    /// other than true or false.
    pub fn compile(source: &str) -> Result<Self, ConditionError> {
        let program = cel::program(source, &["answer"])?;
        let rule = Self { source: source.into(), program: Arc::new(program) };
        // Every name and type is the same for every answer, so one answer shows what all would.
        match rule.holds(&Answer::default()) {
            Ok(_) => Ok(rule),
            Err(fault) => Err(ConditionError::stated(source, fault)),
        }
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// What the interpreter says.
    pub fn holds(&self, answer: &Answer) -> Result<bool, String> {
        let mut context = ::cel::Context::default();
        context.add_variable_from_value("answer", fields(answer));
        match self.program.execute(&context) {
            Ok(::cel::Value::Bool(value)) => Ok(value),
            Ok(_) => Err("it does not give true or false".to_owned()),
            Err(::cel::ExecutionError::NoSuchKey(key)) => {
                let known = "text, bytes, words, finish, tool_calls and refused";
                Err(format!("there is no `answer.{key}`; an answer has {known}"))
            }
            Err(error) => Err(error.to_string().chars().take(200).collect()),
        }
    }
}

fn fields(answer: &Answer) -> HashMap<String, ::cel::Value> {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let finish = answer.finish.map_or("", |finish| finish.name());
    [
        ("text", answer.text.as_str().into()),
        ("bytes", count(answer.text.len()).into()),
        ("words", count(answer.text.split_whitespace().count()).into()),
        ("finish", finish.into()),
        ("tool_calls", count(answer.calls.len()).into()),
        ("refused", answer.declined.into()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

impl fmt::Debug for AnswerCondition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("AnswerCondition").field(&self.source).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_the_answer() {
        let answer = Answer { text: "one two".into(), ..Answer::default() };
        let holds = |rule: &str| AnswerCondition::compile(rule).unwrap().holds(&answer);
        assert_eq!(holds("answer.words == 2 && answer.text.startsWith('one')"), Ok(true));
        assert_eq!(holds("answer.bytes > 100 || answer.refused"), Ok(false));
    }

    #[test]
    fn mistakes_are_found_when_the_rule_is_compiled() {
        let told = ["answer.length > 3", "request.model == 'a'", "answer.words", "answer.words >", ""]
            .map(|rule| AnswerCondition::compile(rule).unwrap_err().to_string());
        insta::assert_snapshot!(told.join("\n"));
    }
}
