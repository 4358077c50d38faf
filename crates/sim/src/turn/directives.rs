//! Directives inside prompts.
//!
//! Owns their syntax: `[[sim: name name=value]]`. The last one in a text counts.

use crate::fault::Fault;

const OPEN: &str = "[[sim:";
const CLOSE: &str = "]]";

/// The words of one directive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives(Vec<(String, String)>);

impl Directives {
    /// Reads the last directive in `text`.
    pub(crate) fn read(text: &str) -> Self {
        let words =
            text.rsplit_once(OPEN).and_then(|(_, rest)| rest.split_once(CLOSE)).map(|(words, _)| words);
        let pair = |word: &str| match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (word.to_owned(), String::new()),
        };
        Self(words.unwrap_or_default().split_whitespace().map(pair).collect())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The fault asked for.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.value("fault")?.parse().ok()
    }
}

/// `text` without its directives.
pub(crate) fn stripped(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some((_, behind)) = after.split_once(CLOSE) else { break };
        kept.push_str(before);
        rest = behind;
    }
    kept.push_str(rest);
    kept.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_directive_counts_and_all_are_stripped() {
        let text = "Hi [[sim: empty]] there [[sim: words=5 fault=stall=3]]";
        let directives = Directives::read(text);
        assert_eq!(directives.value("words"), Some("5"));
        assert_eq!(directives.fault(), Some(Fault::Stall(3)));
        assert!(!directives.has("empty"));
        assert_eq!(stripped(text), "Hi  there");
        assert_eq!(stripped("open [[sim: x"), "open [[sim: x");
    }
}
