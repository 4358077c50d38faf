//! JSON carried as text: parsed where it must be read, passed on untouched where not.
//!
//! Owns one type. The reason it exists: schemas and tool arguments must reach the provider with key order, number forms
//! and escapes exactly as the client wrote them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;

/// One valid JSON value, kept as its text.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Checks that the text is one JSON value and keeps it.
    ///
    /// # Errors
    /// The place and kind of the first mistake.
    pub fn parse(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    /// Wraps a value already checked by serde.
    #[must_use]
    pub const fn from_raw(raw: Box<RawValue>) -> Self {
        Self(raw)
    }

    /// The value of anything serde can write; `null` if it cannot.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        serde_json::value::to_raw_value(value).map_or_else(|_| Self::null(), Self)
    }

    /// `{}`, the arguments of a call without arguments.
    #[must_use]
    pub fn empty_object() -> Self {
        Self(RawValue::from_string("{}".to_owned()).expect("`{}` is JSON"))
    }

    /// `null`.
    #[must_use]
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// The parsed value.
    #[must_use]
    pub fn value(&self) -> serde_json::Value {
        // The text was checked when the value was made, but may nest deeper than the parser allows.
        serde_json::from_str(self.text()).unwrap_or(serde_json::Value::Null)
    }

    /// Reads it as a type.
    ///
    /// # Errors
    /// When the value is not of that shape.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.text())
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.text().trim_start().starts_with('{')
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}
