//! Text of a conversation, which may remember how JSON wrote it.
//!
//! Owns one type. The reason it exists: most of a long prompt passes from one protocol to another word for word, and every
//! protocol here writes its strings as JSON does. Text that is still the part of a body it came as is not copied, not unescaped
//! and not escaped again on its way; a picture of many megabytes is in memory once.

use bytes::Bytes;
use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;

/// Shorter text is kept as a string of its own: to share a body costs more than to copy a line.
const WORTH_SHARING: usize = 128;

/// Text that is read as any string, and written as the JSON it came as where it came as JSON.
#[derive(Clone)]
pub struct Text {
    form: Form,
    /// Stands for it while it is written.
    mark: Option<u32>,
}

#[derive(Clone)]
enum Form {
    /// A string of its own.
    Own(String),
    /// A part of a body that reads as it is written.
    Shared(Bytes),
    /// A part of a body, quotes included, that holds escapes; and what it reads as, once somebody has asked.
    Escaped { json: Bytes, plain: OnceLock<String> },
}

impl Text {
    /// A part of `body` that holds nothing JSON would escape. What is no part of it, or too short to be worth it, is copied.
    #[must_use]
    pub fn plain_part(body: Option<&Bytes>, part: &str) -> Self {
        match body.filter(|_| part.len() >= WORTH_SHARING).and_then(|body| share(body, part)) {
            Some(shared) => Form::Shared(shared).into(),
            None => Form::Own(part.to_owned()).into(),
        }
    }

    /// A JSON string with its quotes, already checked, as it stands in `body`; `None` where it is too short to be worth it. It must
    /// hold no escapes by number: they can be halves of a character, which not every reader takes alike.
    #[must_use]
    pub fn escaped_part(body: Option<&Bytes>, json: &str) -> Option<Self> {
        if json.len() < WORTH_SHARING {
            return None;
        }
        let shared = body.and_then(|body| share(body, json));
        let json = shared.unwrap_or_else(|| Bytes::copy_from_slice(json.as_bytes()));
        Some(Form::Escaped { json, plain: OnceLock::new() }.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.form {
            Form::Own(text) => text,
            Form::Shared(part) => std::str::from_utf8(part).expect("it was a string when it was made"),
            Form::Escaped { json, plain } => plain.get_or_init(|| {
                serde_json::from_slice(json)
                    .expect("it was a JSON string without escapes by number when it was made")
            }),
        }
    }

    /// The inside of a JSON string that reads as this text, where it need not be made.
    #[must_use]
    pub fn written(&self) -> Option<&[u8]> {
        match &self.form {
            Form::Own(_) => None,
            Form::Shared(part) => Some(part),
            Form::Escaped { json, .. } => Some(&json[1..json.len() - 1]),
        }
    }

    /// The same, as a share of the body it came in.
    #[must_use]
    pub fn shared(&self) -> Option<Bytes> {
        match &self.form {
            Form::Own(_) => None,
            Form::Shared(part) => Some(part.clone()),
            Form::Escaped { json, .. } => Some(json.slice(1..json.len() - 1)),
        }
    }

    /// The same text, written by a number instead of by itself; `None` for text that is no share of a body.
    #[must_use]
    pub fn marked(&self, number: u32) -> Option<Self> {
        self.written().map(|_| Self { form: self.form.clone(), mark: Some(number) })
    }

    /// The number it is written by.
    #[must_use]
    pub const fn mark(&self) -> Option<u32> {
        self.mark
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self.written() {
            Some(written) => written.is_empty(),
            None => self.as_str().is_empty(),
        }
    }

    /// Whether there is nothing but white space.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        // Most text shows by its first letter that it is some.
        match self.written().and_then(<[u8]>::first) {
            Some(first) if first.is_ascii_graphic() && *first != b'\\' => false,
            _ => self.as_str().trim().is_empty(),
        }
    }

    /// The text as a string of its own.
    #[must_use]
    pub fn into_string(self) -> String {
        match self.form {
            Form::Own(text) => text,
            _ => self.as_str().to_owned(),
        }
    }

    /// Appends to it.
    pub fn push_str(&mut self, more: &str) {
        let mut text = std::mem::take(self).into_string();
        text.push_str(more);
        *self = text.into();
    }
}

/// The part as a share of the body it lies in.
fn share(body: &Bytes, part: &str) -> Option<Bytes> {
    let (start, part_start) = (body.as_ptr().addr(), part.as_ptr().addr());
    let is_within = part_start >= start && part_start + part.len() <= start + body.len();
    is_within.then(|| body.slice_ref(part.as_bytes()))
}

impl From<Form> for Text {
    fn from(form: Form) -> Self {
        Self { form, mark: None }
    }
}

impl Default for Text {
    fn default() -> Self {
        Form::Own(String::new()).into()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Form::Own(text).into()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Form::Own(text.to_owned()).into()
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Form::Own(text.clone()).into()
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.into_string()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_its_form_it_reads_and_is_written_alike(text in "[ -~é漢\n\t\"\\\\]{0,300}", more in "[a-z\"]{0,9}") {
            let json = serde_json::to_string(&text).unwrap();
            let body = Bytes::from(format!("{{\"text\":{json}}}"));
            let here = std::str::from_utf8(&body[8..body.len() - 1]).unwrap();
            let inside = &here[1..here.len() - 1];
            let mut forms = vec![Text::from(text.clone())];
            forms.extend(Text::escaped_part(Some(&body), here));
            forms.extend(Text::escaped_part(None, here));
            if inside == text {
                forms.extend([Text::plain_part(Some(&body), inside), Text::plain_part(None, &text)]);
            }
            for form in forms {
                prop_assert_eq!(form.is_empty(), text.is_empty());
                prop_assert_eq!(form.is_blank(), text.trim().is_empty());
                if let Some(written) = form.written() {
                    prop_assert_eq!(written, inside.as_bytes());
                    prop_assert_eq!(form.shared().unwrap(), written);
                }
                prop_assert_eq!(form.as_str(), &text);
                let mut longer = form.clone();
                longer.push_str(&more);
                prop_assert_eq!(longer.into_string(), format!("{text}{more}"));
                prop_assert_eq!(form.into_string(), text.clone());
            }
        }
    }

    #[test]
    fn a_long_part_of_a_body_is_not_copied() {
        let body = Bytes::from(format!("\"{}\"", "a".repeat(1_000)));
        let part = std::str::from_utf8(&body[1..1_001]).unwrap();
        let text = Text::plain_part(Some(&body), part);
        assert_eq!(text.written().unwrap().as_ptr(), part.as_ptr());
        let elsewhere = "a".repeat(1_000);
        assert_ne!(Text::plain_part(Some(&body), &elsewhere).as_str().as_ptr(), part.as_ptr());
    }
}
