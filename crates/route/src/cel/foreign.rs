//! The part of a rule that the general interpreter evaluates.
//!
//! Owns the hand-over of features to it. Must not be used for what the typed tree can express: this path looks names up in a
//! map and allocates for every value.

use super::evaluate::Fault;
use crate::features::{FeatureSet, FeatureSource, Value};
use cel::common::ast::IdedExpr;
use cel::{Context, Env};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// The longest message of the interpreter that is kept, in characters.
const LONGEST_MESSAGE: usize = 200;

/// An expression for the general interpreter, with the features it reads.
#[derive(Debug)]
pub(super) struct Foreign {
    pub(super) expression: IdedExpr,
    pub(super) features: FeatureSet,
}

impl Foreign {
    /// Whether the expression is true.
    pub(super) fn holds(&self, features: &FeatureSource<'_>) -> Result<bool, Fault> {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        let mut absent = FeatureSet::EMPTY;
        for feature in self.features.iter() {
            match features.value(feature) {
                Some(value) => context.add_variable_from_value(feature.name(), converted(value)),
                None => absent = absent.with(feature),
            }
        }
        match cel::Value::resolve(&self.expression, &context) {
            Ok(cel::Value::Bool(value)) => Ok(value),
            Ok(_) => Err(interpreter("it does not give true or false")),
            // Every name was checked, so what is not declared is absent.
            Err(cel::ExecutionError::UndeclaredReference(name)) => Err(absent.iter().next().map_or_else(
                || interpreter(&format!("`{name}` is unknown")),
                |feature| Fault::Absent { feature },
            )),
            Err(cel::ExecutionError::NoSuchKey(key)) => {
                Err(interpreter(&format!("there is no entry `{key}`")))
            }
            Err(error) => Err(interpreter(&error.to_string())),
        }
    }
}

fn interpreter(message: &str) -> Fault {
    Fault::Interpreter(message.chars().take(LONGEST_MESSAGE).collect::<String>().into())
}

fn converted(value: Value<'_>) -> cel::Value {
    match value {
        Value::Bool(value) => value.into(),
        Value::Int(value) => value.into(),
        Value::Double(value) => value.into(),
        Value::Text(value) => value.into(),
        Value::Map(entries) => {
            let map: HashMap<String, cel::Value> =
                entries.iter().map(|(name, value)| (name.to_string(), (&**value).into())).collect();
            map.into()
        }
    }
}
