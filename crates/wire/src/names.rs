//! Tool names a target would refuse, mapped so that they can be mapped back.
//!
//! Owns the mapping. Must not know which target allows what: length and the question of dots are arguments. No table is
//! kept between request and answer: the mapping of a request's own tool names, made again from the request, is the table.

use std::borrow::Cow;
use trunkline_model::event::{Event, PartKind};
use trunkline_model::request::{ChatRequest, Tool};

/// What a target accepts as a tool name; letters, digits, `_` and `-` are accepted by all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameRule {
    /// The most characters.
    pub length: usize,
    /// Whether `.` and `:` are accepted too.
    pub dots: bool,
}

impl NameRule {
    /// OpenAI and Bedrock: 64 of letters, digits, `_` and `-`.
    pub const STRICT_64: Self = Self { length: 64, dots: false };
    /// Anthropic: 128 of the same.
    pub const STRICT_128: Self = Self { length: 128, dots: false };

    const fn allows(self, byte: u8) -> bool {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b'-')
            || (self.dots && matches!(byte, b'.' | b':'))
    }
}

/// The name as the target accepts it: unchanged where it fits, else sanitised, cut and ended by `_` and eight hexadecimal
/// digits of a hash of the whole name, so that two names stay two.
#[must_use]
pub fn fit(name: &str, rule: NameRule) -> Cow<'_, str> {
    if !name.is_empty() && name.len() <= rule.length && name.bytes().all(|byte| rule.allows(byte)) {
        return Cow::Borrowed(name);
    }
    let suffix = format!("_{:08x}", hash(name));
    let room = rule.length.saturating_sub(suffix.len());
    let mut fitted: String = name
        .chars()
        .take(room)
        .map(|character| match u8::try_from(character) {
            Ok(byte) if rule.allows(byte) => character,
            _ => '_',
        })
        .collect();
    fitted.push_str(&suffix);
    Cow::Owned(fitted)
}

/// The tools of a request whose names a target gets in another form. Empty for nearly every request.
#[derive(Clone, Debug, Default)]
pub struct FittedNames(Vec<(String, String)>);

impl FittedNames {
    /// The names that `rule` changes.
    #[must_use]
    pub fn of(chat: &ChatRequest, rule: NameRule) -> Self {
        let names = chat.tools.iter().filter_map(|tool| match tool {
            Tool::Function(function) => match fit(&function.name, rule) {
                Cow::Borrowed(_) => None,
                Cow::Owned(fitted) => Some((fitted, function.name.clone())),
            },
            Tool::BuiltIn { .. } => None,
        });
        Self(names.collect())
    }

    /// Puts the client's names back into the events of an answer.
    pub fn restore(&self, events: &mut [Event]) {
        if self.0.is_empty() {
            return;
        }
        for event in events {
            if let Event::PartStart { kind: PartKind::ToolCall { name, .. }, .. } = event
                && let Some((_, original)) = self.0.iter().find(|(fitted, _)| fitted == name)
            {
                name.clone_from(original);
            }
        }
    }
}

/// The client's name for one the target gave back, among the names the request offered.
#[must_use]
pub fn unfit<'n>(fitted: &'n str, offered: impl IntoIterator<Item = &'n str>, rule: NameRule) -> &'n str {
    offered.into_iter().find(|name| fit(name, rule) == fitted).unwrap_or(fitted)
}

/// A tool call id as targets with `^[a-zA-Z0-9_-]+$` accept it: as it is where it fits, else sanitised with a hash.
#[must_use]
pub fn fit_id(id: &str) -> Cow<'_, str> {
    fit(id, NameRule { length: 256, dots: false })
}

/// FNV-1a folded to 32 bits: stable over releases and machines, which the standard hasher does not promise.
fn hash(text: &str) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (hash ^ (hash >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_name_fits_and_comes_back(names in proptest::collection::hash_set("\\PC{0,90}", 1..6)) {
            for name in &names {
                let fitted = fit(name, NameRule::STRICT_64);
                prop_assert!(!fitted.is_empty() && fitted.len() <= 64);
                prop_assert!(fitted.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')));
                prop_assert_eq!(unfit(&fitted, names.iter().map(String::as_str), NameRule::STRICT_64), name);
            }
        }
    }

    #[test]
    fn answers_get_the_clients_names_back() {
        let tool = |name: &str| {
            Tool::Function(trunkline_model::request::FunctionTool {
                name: name.to_owned(),
                description: None,
                parameters: None,
                strict: None,
                cache: None,
            })
        };
        let chat = ChatRequest { tools: vec![tool("files/read"), tool("plain")], ..ChatRequest::default() };
        let names = FittedNames::of(&chat, NameRule::STRICT_64);
        let call = |name: &str| Event::PartStart {
            choice: 0,
            part: 0,
            kind: PartKind::ToolCall { id: "c".to_owned(), name: name.to_owned() },
        };
        let mut events = vec![call(&fit("files/read", NameRule::STRICT_64)), call("plain")];
        names.restore(&mut events);
        assert_eq!(events, [call("files/read"), call("plain")]);
    }

    #[test]
    fn a_name_that_fits_is_not_touched() {
        assert_eq!(fit("get_weather-2", NameRule::STRICT_64), "get_weather-2");
        assert_eq!(fit("a.b", NameRule { length: 64, dots: true }), "a.b");
        insta::assert_snapshot!(fit("files.read/all", NameRule::STRICT_64), @"files_read_all_b317bc71");
    }
}
