//! Directives inside prompts.
//!
//! Owns their syntax: `[[sim: name name=value]]`. The last one in a text counts; one with `only=TEXT` is for models whose name
//! holds the text, and not there for others.

use crate::fault::Fault;

const OPEN: &str = "[[sim:";
const CLOSE: &str = "]]";

/// The words of one directive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives(Vec<(String, String)>);

impl Directives {
    /// Reads the last directive in `text`.
    pub(crate) fn read(text: &str) -> Self {
        Self::last(text, |_| true)
    }

    /// Reads the last directive in `text` that is for `model`.
    pub(crate) fn read_for(text: &str, model: &str) -> Self {
        Self::last(text, |directive| directive.value("only").is_none_or(|only| model.contains(only)))
    }

    fn last(text: &str, applies: impl Fn(&Self) -> bool) -> Self {
        let mut rest = text;
        while let Some((before, after)) = rest.rsplit_once(OPEN) {
            let found = after.split_once(CLOSE).map(|(words, _)| Self::parse(words));
            if let Some(found) = found.filter(&applies) {
                return found;
            }
            rest = before;
        }
        Self::default()
    }

    fn parse(words: &str) -> Self {
        let pair = |word: &str| match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (word.to_owned(), String::new()),
        };
        Self(words.split_whitespace().map(pair).collect())
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
        let scoped = "[[sim: words=1]] [[sim: only=mini refuse]]";
        assert!(Directives::read_for(scoped, "gpt-mini").has("refuse"));
        assert_eq!(Directives::read_for(scoped, "gpt-large").value("words"), Some("1"));
    }
}
