//! The catalogue as a whole: an immutable sorted list, and finding a model in it by whatever name someone wrote.
//!
//! Owns [`Catalogue`] and [`Lookup`]. It knows no provider by name. The list is sorted by id and searched by bisection: it is
//! read while a configuration is compiled, so an index built at every start would cost more than it could save.

use super::ModelEntry;
use crate::nearest::nearest;

/// How many near names a failed lookup offers.
const NEAREST_NAMES: usize = 3;

/// Models of any number of providers, sorted by id, each id once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    entries: Vec<ModelEntry>,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// Exactly one model, by its id, its bare name or one of its stated aliases.
    Found(&'a ModelEntry),
    /// No entry has this name, but it is that model with another date or `-latest`. Send the name as it was written; limits
    /// and prices of the entry are the best there is.
    Snapshot(&'a ModelEntry),
    /// A bare name that several providers offer, by id.
    Ambiguous(Vec<&'a ModelEntry>),
    /// No such model; the nearest ids.
    Unknown(Vec<&'a str>),
}

impl<'a> Lookup<'a> {
    /// The one model the name stands for, if there is one.
    #[must_use]
    pub fn entry(&self) -> Option<&'a ModelEntry> {
        match self {
            Self::Found(entry) | Self::Snapshot(entry) => Some(entry),
            Self::Ambiguous(_) | Self::Unknown(_) => None,
        }
    }
}

impl Catalogue {
    /// A catalogue of these entries. Of several with one id the last stays, so that later lists override earlier ones.
    #[must_use]
    pub fn new(mut entries: Vec<ModelEntry>) -> Self {
        // The bundled lists arrive sorted; a stable sort of sorted input is one comparison per entry.
        entries.sort_by(|one, two| one.id().cmp(two.id()));
        let mut unique: Vec<ModelEntry> = Vec::with_capacity(entries.len());
        for entry in entries {
            match unique.last_mut() {
                Some(last) if last.id() == entry.id() => *last = entry,
                _ => unique.push(entry),
            }
        }
        Self { entries: unique }
    }

    /// How many models there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no models.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every model, by id.
    pub fn iter(&self) -> std::slice::Iter<'_, ModelEntry> {
        self.entries.iter()
    }

    /// The model with exactly this id.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&ModelEntry> {
        let at = self.entries.binary_search_by(|entry| entry.id().cmp(id)).ok()?;
        self.entries.get(at)
    }

    /// The models of one provider, by name.
    #[must_use]
    pub fn of_provider(&self, provider: &str) -> &[ModelEntry] {
        // `provider/` is compared, not `provider`: `-` sorts before `/`, so `a-b/x` lies before `a/x`.
        let start = self.entries.partition_point(|entry| before_provider(entry.id(), provider));
        let rest = self.entries.get(start..).unwrap_or_default();
        let length = rest.partition_point(|entry| entry.provider() == provider);
        rest.get(..length).unwrap_or_default()
    }

    /// The model of one provider by the name the provider uses, an alias, or a name with another date.
    #[must_use]
    pub fn model(&self, provider: &str, name: &str) -> Option<Lookup<'_>> {
        let entries = self.of_provider(provider);
        if let Ok(at) = entries.binary_search_by(|entry| entry.model().cmp(name)) {
            return entries.get(at).map(Lookup::Found);
        }
        if let Some(entry) = entries.iter().find(|entry| entry.aliases.iter().any(|alias| alias == name)) {
            return Some(Lookup::Found(entry));
        }
        snapshot(entries, name).map(Lookup::Snapshot)
    }

    /// The model a name stands for: an id, a bare name that is unambiguous, an alias, or one of these with another date.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Lookup<'_> {
        if let Some(entry) = self.by_id(name) {
            return Lookup::Found(entry);
        }
        if let Some((provider, model)) = name.split_once('/')
            && let Some(found) = self.model(provider, model)
        {
            return found;
        }
        let bare: Vec<&ModelEntry> = self
            .entries
            .iter()
            .filter(|entry| entry.model() == name || entry.aliases.iter().any(|alias| alias == name))
            .collect();
        match bare.as_slice() {
            [] => {}
            [only] => return Lookup::Found(only),
            _ => return Lookup::Ambiguous(bare),
        }
        let dated: Vec<&ModelEntry> =
            self.providers().filter_map(|provider| snapshot(self.of_provider(provider), name)).collect();
        match dated.as_slice() {
            [] => Lookup::Unknown(self.nearest(name)),
            [only] => Lookup::Snapshot(only),
            _ => Lookup::Ambiguous(dated),
        }
    }

    /// The providers that have models here, in the order of ids.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.entries
            .chunk_by(|one, two| one.provider() == two.provider())
            .filter_map(|chunk| Some(chunk.first()?.provider()))
    }

    /// The ids nearest to a name nobody has.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Vec<&str> {
        let bare = nearest(name, self.entries.iter().map(ModelEntry::id), NEAREST_NAMES);
        if !bare.is_empty() || name.contains('/') {
            return bare;
        }
        // A bare name is far from every id by the length of the provider's part: compare it with bare names.
        let names = nearest(name, self.entries.iter().map(ModelEntry::model), NEAREST_NAMES);
        let offered =
            |model: &str| self.entries.iter().find(|entry| entry.model() == model).map(ModelEntry::id);
        names.into_iter().filter_map(offered).collect()
    }

    /// This catalogue with entries added or, where the id is taken, replaced.
    #[must_use]
    pub fn with(&self, entries: impl IntoIterator<Item = ModelEntry>) -> Self {
        Self::new(self.entries.iter().cloned().chain(entries).collect())
    }
}

impl<'a> IntoIterator for &'a Catalogue {
    type Item = &'a ModelEntry;
    type IntoIter = std::slice::Iter<'a, ModelEntry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Whether an id sorts before every id of a provider.
fn before_provider(id: &str, provider: &str) -> bool {
    id.bytes().lt(provider.bytes().chain([b'/']))
}

/// The entry that is the same model as `name` but for a date or `-latest`: the undated one, else the newest dated one.
fn snapshot<'a>(entries: &'a [ModelEntry], name: &str) -> Option<&'a ModelEntry> {
    let stem = undated(name);
    if stem.is_empty() {
        return None;
    }
    let same = |entry: &&ModelEntry| entry.model() == stem || undated(entry.model()) == stem;
    entries.iter().filter(same).max_by_key(|entry| (entry.model() == stem, entry.released, entry.model()))
}

/// A model name without what makes it one of several of its kind: the owner and number of a fine-tuned model
/// (`ft:base:owner::number`), or a trailing date or `-latest`: `-2025-08-07`, `-20250807`, `@20250807`, `-2508`, `-latest`.
#[must_use]
pub fn undated(name: &str) -> &str {
    if let Some(tuned) = name.strip_prefix("ft:") {
        return tuned.find(':').and_then(|end| name.get(..end + "ft:".len())).unwrap_or(name);
    }
    if let Some(stem) = name.strip_suffix("-latest") {
        return stem;
    }
    for (separator, length) in [("-", 10), ("-", 8), ("@", 8), ("-", 4)] {
        let Some((at, suffix)) = name.len().checked_sub(length).and_then(|at| Some((at, name.get(at..)?)))
        else {
            continue;
        };
        if let Some(stem) = name.get(..at).and_then(|stem| stem.strip_suffix(separator))
            && is_date(suffix)
        {
            return stem;
        }
    }
    name
}

/// Whether a suffix is a day (`2025-08-07`, `20250807`) or a year and month (`2508`).
fn is_date(suffix: &str) -> bool {
    let digits: String = match suffix.len() {
        10 => suffix.splitn(3, '-').collect(),
        _ => suffix.to_owned(),
    };
    let number = |from: usize, to: usize| digits.get(from..to).and_then(|text| text.parse::<u32>().ok());
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    match digits.len() {
        8 => {
            number(0, 4).is_some_and(|year| (2019..2100).contains(&year))
                && number(4, 6).is_some_and(|month| (1..=12).contains(&month))
                && number(6, 8).is_some_and(|day| (1..=31).contains(&day))
        }
        4 => {
            number(0, 2).is_some_and(|year| (22..40).contains(&year))
                && number(2, 4).is_some_and(|month| (1..=12).contains(&month))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Kind;

    fn catalogue(ids: &[&'static str]) -> Catalogue {
        Catalogue::new(ids.iter().map(|&id| ModelEntry::new(id, Kind::Chat).expect("an id")).collect())
    }

    fn sample() -> Catalogue {
        let mut sonnet = ModelEntry::new("anthropic/claude-sonnet-4-5", Kind::Chat).expect("an id");
        sonnet.aliases.push("claude-sonnet-4.5".into());
        catalogue(&[
            "openrouter/openai/gpt-5",
            "openai/gpt-5",
            "openai/gpt-5-2025-08-07",
            "openai/ft:gpt-4o-2024-08-06",
            "openai/o3",
            "open-ai/o3",
            "mistral/mistral-large-2411",
            "mistral/mistral-large-2512",
            "groq/llama-3.3-70b",
            "cerebras/llama-3.3-70b",
        ])
        .with([sonnet])
    }

    /// What a lookup found, in words.
    fn told(catalogue: &Catalogue, name: &str) -> String {
        match catalogue.lookup(name) {
            Lookup::Found(entry) => format!("found {}", entry.id()),
            Lookup::Snapshot(entry) => format!("snapshot of {}", entry.id()),
            Lookup::Ambiguous(entries) => {
                format!(
                    "ambiguous: {}",
                    entries.iter().map(|entry| entry.id()).collect::<Vec<_>>().join(", ")
                )
            }
            Lookup::Unknown(names) => format!("unknown, near {names:?}"),
        }
    }

    #[test]
    fn names_are_resolved_in_every_spelling() {
        let catalogue = sample();
        let names = [
            "openai/gpt-5",
            "gpt-5",
            "openrouter/openai/gpt-5",
            "o3",
            "llama-3.3-70b",
            "claude-sonnet-4.5",
            "anthropic/claude-sonnet-4.5",
            "anthropic/claude-sonnet-4-5-20250929",
            "claude-sonnet-4-5@20250929",
            "claude-sonnet-4-5-latest",
            "mistral-large-latest",
            "mistral/mistral-large",
            "openai/gpt-5-2026-01-01",
            "openai/ft:gpt-4o-2024-08-06:acme::x1",
            "gpt-5-turbo",
            "openai/gtp-5",
            "claude-sonet",
            "something else entirely",
            "",
        ];
        let told: Vec<String> =
            names.iter().map(|name| format!("{name:?}: {}", told(&catalogue, name))).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        "openai/gpt-5": found openai/gpt-5
        "gpt-5": found openai/gpt-5
        "openrouter/openai/gpt-5": found openrouter/openai/gpt-5
        "o3": ambiguous: open-ai/o3, openai/o3
        "llama-3.3-70b": ambiguous: cerebras/llama-3.3-70b, groq/llama-3.3-70b
        "claude-sonnet-4.5": found anthropic/claude-sonnet-4-5
        "anthropic/claude-sonnet-4.5": found anthropic/claude-sonnet-4-5
        "anthropic/claude-sonnet-4-5-20250929": snapshot of anthropic/claude-sonnet-4-5
        "claude-sonnet-4-5@20250929": snapshot of anthropic/claude-sonnet-4-5
        "claude-sonnet-4-5-latest": snapshot of anthropic/claude-sonnet-4-5
        "mistral-large-latest": snapshot of mistral/mistral-large-2512
        "mistral/mistral-large": snapshot of mistral/mistral-large-2512
        "openai/gpt-5-2026-01-01": snapshot of openai/gpt-5
        "openai/ft:gpt-4o-2024-08-06:acme::x1": snapshot of openai/ft:gpt-4o-2024-08-06
        "gpt-5-turbo": unknown, near ["openai/gpt-5"]
        "openai/gtp-5": unknown, near ["openai/gpt-5"]
        "claude-sonet": unknown, near ["anthropic/claude-sonnet-4-5"]
        "something else entirely": unknown, near []
        "": unknown, near []
        "#);
    }

    #[test]
    fn providers_are_found_whatever_sorts_between_their_names() {
        let catalogue = sample();
        let ids = |provider| catalogue.of_provider(provider).iter().map(ModelEntry::id).collect::<Vec<_>>();
        assert_eq!(
            ids("openai"),
            ["openai/ft:gpt-4o-2024-08-06", "openai/gpt-5", "openai/gpt-5-2025-08-07", "openai/o3"]
        );
        assert_eq!(ids("open-ai"), ["open-ai/o3"]);
        assert!(ids("open").is_empty());
        let providers: Vec<&str> = catalogue.providers().collect();
        assert_eq!(
            providers,
            ["anthropic", "cerebras", "groq", "mistral", "open-ai", "openai", "openrouter"]
        );
    }

    #[test]
    fn a_later_entry_replaces_an_earlier_one() {
        let mut changed = ModelEntry::new("openai/o3", Kind::Chat).expect("an id");
        changed.context_window = Some(7);
        let catalogue = sample().with([changed]);
        assert_eq!(catalogue.len(), sample().len());
        assert_eq!(catalogue.by_id("openai/o3").and_then(|entry| entry.context_window), Some(7));
    }
}
