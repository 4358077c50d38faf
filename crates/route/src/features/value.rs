//! Reading features.
//!
//! Owns the values, the inputs they are read from, and the set of those that were read. Must not read a clock: the time of day
//! is given. A feature that the request leaves open is absent, not zero; a rule that needs it then gives no answer.

use super::lexical::{Lexical, language};
use super::list::Feature;
use super::prompt::{Prompt, PromptVector, embed};
use crate::caller::Caller;
use crate::fleet::DeploymentIndex;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt::{self, Write as _};
use trunkline_model::id::Name;
use trunkline_model::shape::Shape;

/// The value of a feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// A text.
    Text(&'a str),
    /// Texts by name.
    Map(&'a [(Name, Name)]),
}

/// Time of day and week, as the configuration's time zone has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallClock {
    /// 0 to 23.
    pub hour: u8,
    /// The day of the week.
    pub weekday: Weekday,
    /// Seconds since the Unix epoch.
    pub unix: u64,
}

impl WallClock {
    /// The clock at a moment of Unix time, `offset` seconds east of Greenwich.
    #[must_use]
    pub const fn from_unix(unix: u64, offset: i32) -> Self {
        let local = unix.saturating_add_signed(offset as i64);
        let hour = (local / 3_600) % 24;
        // 1 January 1970 was a Thursday.
        let weekday = Weekday::ALL[((local / 86_400 + 3) % 7) as usize];
        Self { hour: hour as u8, weekday, unix }
    }
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the days say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    /// The week.
    pub const ALL: [Self; 7] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];

    /// The three letters used in rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Monday => "mon",
            Self::Tuesday => "tue",
            Self::Wednesday => "wed",
            Self::Thursday => "thu",
            Self::Friday => "fri",
            Self::Saturday => "sat",
            Self::Sunday => "sun",
        }
    }
}

/// What is known of the deployments that may serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetFacts {
    /// How many there are.
    pub eligible: u32,
    /// How many of them take requests now.
    pub open: u32,
    /// Requests under way on them.
    pub outstanding: u32,
}

/// Where features are read from, and the record of those that were.
///
/// The text and its vector are worked out once, when the first step asks, and shared by all steps of the decision.
pub struct FeatureSource<'a> {
    shape: &'a Shape,
    caller: &'a Caller,
    clock: WallClock,
    fleet: FleetFacts,
    read: Cell<FeatureSet>,
    prompt: Option<&'a dyn Prompt>,
    text: OnceCell<Option<String>>,
    vector: OnceCell<Option<Box<PromptVector>>>,
    note: Cell<Option<Cow<'static, str>>>,
    predicted: RefCell<Vec<(DeploymentIndex, f32)>>,
    lexical: OnceCell<Option<Lexical>>,
    language: OnceCell<&'static str>,
    system_hash: OnceCell<String>,
}

impl fmt::Debug for FeatureSource<'_> {
    /// Without the text: what a user wrote is in no log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FeatureSource")
            .field("shape", self.shape)
            .field("caller", self.caller)
            .field("clock", &self.clock)
            .field("fleet", &self.fleet)
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

impl<'a> FeatureSource<'a> {
    /// A source over these inputs, nothing read yet.
    #[must_use]
    pub const fn new(shape: &'a Shape, caller: &'a Caller, clock: WallClock, fleet: FleetFacts) -> Self {
        Self {
            shape,
            caller,
            clock,
            fleet,
            read: Cell::new(FeatureSet::EMPTY),
            prompt: None,
            text: OnceCell::new(),
            vector: OnceCell::new(),
            note: Cell::new(None),
            predicted: RefCell::new(Vec::new()),
            lexical: OnceCell::new(),
            language: OnceCell::new(),
            system_hash: OnceCell::new(),
        }
    }

    /// The same with the request's text at hand.
    #[must_use]
    pub const fn with_prompt(mut self, prompt: Option<&'a dyn Prompt>) -> Self {
        self.prompt = prompt;
        self
    }

    /// The text of the user's last turn; `None` when no text is at hand or there is none.
    #[must_use]
    pub fn user_text(&self) -> Option<&str> {
        let text = self.text.get_or_init(|| self.prompt.map(|prompt| prompt.last_user_text().into_owned()));
        text.as_deref().filter(|text| !text.trim_ascii().is_empty())
    }

    /// The text of the system prompt; `None` when no text is at hand. Not kept: steps that read it take its hash.
    #[must_use]
    pub fn system_text(&self) -> Option<Cow<'a, str>> {
        self.prompt.filter(|prompt| prompt.has_system_text()).map(Prompt::system_text)
    }

    /// The vector of the user's last turn; `None` when there is no text.
    #[must_use]
    pub fn vector(&self) -> Option<&PromptVector> {
        self.vector.get_or_init(|| self.user_text().map(|text| Box::new(embed(text)))).as_deref()
    }

    /// The counts of the user's last turn; `None` when there is no text.
    #[must_use]
    pub fn lexical(&self) -> Option<&Lexical> {
        self.lexical.get_or_init(|| self.user_text().map(Lexical::of)).as_ref()
    }

    fn language(&self) -> Option<&'static str> {
        let text = self.user_text()?;
        Some(self.language.get_or_init(|| language(text)))
    }

    /// The first eight bytes of the system prompt's SHA-256.
    fn system_hash(&self) -> Option<&str> {
        if self.system_hash.get().is_none() {
            let text = self.system_text()?;
            let mut hash = String::new();
            if !text.is_empty() {
                for byte in Sha256::digest(text.as_bytes()).iter().take(8) {
                    // Writing to a string cannot fail.
                    let _ = write!(hash, "{byte:02x}");
                }
            }
            self.system_hash.get_or_init(|| hash);
        }
        self.system_hash.get().map(String::as_str)
    }

    /// The value of a feature, and notes that it was read; `None` when the request leaves it open.
    #[must_use]
    pub fn value(&self, feature: Feature) -> Option<Value<'_>> {
        self.read.set(self.read.get().with(feature));
        let (shape, caller) = (self.shape, self.caller);
        Some(match feature {
            Feature::RequestModel => Value::Text(&shape.model),
            Feature::RequestOperation => Value::Text(shape.operation.name()),
            Feature::RequestDialect => Value::Text(shape.dialect.name()),
            Feature::RequestStream => Value::Bool(shape.delivery.is_stream()),
            Feature::RequestInputTokens => whole(shape.estimated_input_tokens()),
            Feature::RequestTextBytes => whole(shape.text_bytes),
            Feature::RequestBodyBytes => whole(shape.body_bytes),
            Feature::RequestMaxOutputTokens => whole(shape.max_output_tokens?),
            Feature::RequestMessages => Value::Int(shape.messages.into()),
            Feature::RequestChoices => Value::Int(shape.choices.into()),
            Feature::RequestTools => Value::Int(shape.tools.into()),
            Feature::RequestHasTools => Value::Bool(shape.tools > 0),
            Feature::RequestForcesTool => Value::Bool(shape.forces_tool),
            Feature::RequestHasToolHistory => Value::Bool(shape.has_tool_history),
            Feature::RequestImages => Value::Int(shape.images.into()),
            Feature::RequestHasImages => Value::Bool(shape.images > 0),
            Feature::RequestDocuments => Value::Int(shape.documents.into()),
            Feature::RequestHasDocuments => Value::Bool(shape.documents > 0),
            Feature::RequestHasAudio => Value::Bool(shape.audio > 0),
            Feature::RequestHasVideo => Value::Bool(shape.videos > 0),
            Feature::RequestWantsJson => Value::Bool(shape.wants_json || shape.wants_schema),
            Feature::RequestWantsSchema => Value::Bool(shape.wants_schema),
            Feature::RequestWantsReasoning => Value::Bool(shape.wants_reasoning),
            Feature::RequestWantsLogprobs => Value::Bool(shape.wants_logprobs),
            Feature::RequestHasOpaqueState => Value::Bool(shape.has_opaque_state),
            Feature::RequestWords => Value::Int(self.lexical()?.words.into()),
            Feature::RequestLanguage => Value::Text(self.language()?),
            Feature::RequestCodeBlocks => Value::Int(self.lexical()?.code_blocks.into()),
            Feature::RequestHasCode => Value::Bool(self.lexical()?.has_code()),
            Feature::RequestHasMaths => Value::Bool(self.lexical()?.has_maths()),
            Feature::RequestQuestion => Value::Text(self.lexical()?.question.name()),
            Feature::RequestCues => Value::Int(self.lexical()?.cues.into()),
            Feature::RequestFormat if shape.wants_json || shape.wants_schema => Value::Text("json"),
            Feature::RequestFormat => Value::Text(self.lexical()?.format.name()),
            Feature::RequestAskedWords => Value::Int(self.lexical()?.asked_words?.into()),
            Feature::RequestSystemHash => Value::Text(self.system_hash()?),
            Feature::CallerKey => text(caller.key.as_ref()),
            Feature::CallerTeam => text(caller.team.as_ref()),
            Feature::CallerUser => match &caller.user {
                Some(user) => Value::Text(user),
                None => Value::Text(shape.user.as_deref().unwrap_or_default()),
            },
            Feature::CallerSession => text(caller.session.as_ref()),
            Feature::CallerSessionRequests => Value::Int(caller.history.requests.into()),
            Feature::CallerSessionTier => text(caller.history.tier.as_ref()),
            Feature::CallerTags => Value::Map(&caller.tags),
            Feature::CallerMetadata => Value::Map(&caller.metadata),
            Feature::CallerBudgetLeft => Value::Double(caller.budget_left?.to_f64()),
            Feature::CallerStrict => Value::Bool(caller.strict),
            Feature::Headers => Value::Map(&caller.headers),
            Feature::FleetEligible => Value::Int(self.fleet.eligible.into()),
            Feature::FleetOpen => Value::Int(self.fleet.open.into()),
            Feature::FleetOutstanding => Value::Int(self.fleet.outstanding.into()),
            Feature::TimeHour => Value::Int(self.clock.hour.into()),
            Feature::TimeWeekday => Value::Text(self.clock.weekday.name()),
            Feature::TimeUnix => whole(self.clock.unix),
        })
    }

    /// Keeps how a step came to its answer, for the trace of the step that is being asked.
    pub fn note(&self, note: impl Into<Cow<'static, str>>) {
        self.note.set(Some(note.into()));
    }

    /// The note of the step that was asked last.
    pub(crate) fn take_note(&self) -> Option<Cow<'static, str>> {
        self.note.take()
    }

    /// Keeps the quality a step predicts for a deployment's answer, 0 to 1: what is expected of the plan's first legs.
    pub fn predict(&self, deployment: DeploymentIndex, quality: f32) {
        let mut predicted = self.predicted.borrow_mut();
        match predicted.iter_mut().find(|(known, _)| *known == deployment) {
            Some((_, known)) => *known = quality,
            None => predicted.push((deployment, quality)),
        }
    }

    /// The quality predicted for a deployment.
    pub(crate) fn predicted(&self, deployment: DeploymentIndex) -> Option<f64> {
        let predicted = self.predicted.borrow();
        predicted.iter().find(|(known, _)| *known == deployment).map(|(_, quality)| f64::from(*quality))
    }

    /// The features read so far.
    #[must_use]
    pub const fn read(&self) -> FeatureSet {
        self.read.get()
    }
}

fn whole(number: u64) -> Value<'static> {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn text(name: Option<&Name>) -> Value<'_> {
    Value::Text(name.map_or("", |name| &**name))
}

/// A set of features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeatureSet(u64);

impl FeatureSet {
    /// No feature.
    pub const EMPTY: Self = Self(0);

    /// The set and one more.
    #[must_use]
    pub const fn with(self, feature: Feature) -> Self {
        Self(self.0 | 1 << feature as u64)
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a feature is in it.
    #[must_use]
    pub const fn contains(self, feature: Feature) -> bool {
        self.0 & (1 << feature as u64) != 0
    }

    /// Those in it, in the order of the list.
    pub fn iter(self) -> impl Iterator<Item = Feature> {
        Feature::ALL.iter().copied().filter(move |feature| self.contains(*feature))
    }
}

impl FromIterator<Feature> for FeatureSet {
    fn from_iter<I: IntoIterator<Item = Feature>>(features: I) -> Self {
        features.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl Serialize for FeatureSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Feature::name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::dialect::{Dialect, Operation};

    #[test]
    fn what_is_read_is_noted_and_the_open_is_absent() {
        let shape = Shape { messages: 2, ..Shape::new(Dialect::OpenAi, Operation::Chat) };
        let caller = Caller::default();
        let source = FeatureSource::new(&shape, &caller, WallClock::from_unix(0, 0), FleetFacts::default());
        assert_eq!(source.read(), FeatureSet::EMPTY);
        assert_eq!(source.value(Feature::RequestMessages), Some(Value::Int(2)));
        assert_eq!(source.value(Feature::RequestMaxOutputTokens), None);
        assert_eq!(source.value(Feature::CallerTeam), Some(Value::Text("")));
        let read: Vec<_> = source.read().iter().map(Feature::name).collect();
        assert_eq!(read, ["request.max_output_tokens", "request.messages", "caller.team"]);
    }

    #[test]
    fn every_value_has_the_type_the_list_states() {
        use super::super::list::FeatureKind;
        let mut shape = Shape::new(Dialect::Anthropic, Operation::Chat);
        shape.max_output_tokens = Some(u64::MAX);
        let caller =
            Caller { budget_left: Some(trunkline_model::money::NanoDollars(5)), ..Caller::default() };
        struct Words;
        impl Prompt for Words {
            fn last_user_text(&self) -> Cow<'_, str> {
                "explain it in 50 words".into()
            }

            fn system_text(&self) -> Cow<'_, str> {
                "be brief".into()
            }
        }
        let source = FeatureSource::new(&shape, &caller, WallClock::from_unix(5, 0), FleetFacts::default())
            .with_prompt(Some(&Words));
        for &feature in Feature::ALL {
            let kind = match source.value(feature).expect("every feature is set") {
                Value::Bool(_) => FeatureKind::Bool,
                Value::Int(_) => FeatureKind::Int,
                Value::Double(_) => FeatureKind::Double,
                Value::Text(_) => FeatureKind::Text,
                Value::Map(_) => FeatureKind::Map,
            };
            assert_eq!(kind, feature.kind(), "{feature}");
        }
    }

    #[test]
    fn the_text_is_asked_for_once_and_embedded_once() {
        struct Counted(Cell<u32>);
        impl Prompt for Counted {
            fn last_user_text(&self) -> Cow<'_, str> {
                self.0.set(self.0.get() + 1);
                "how do I reset my password".into()
            }

            fn system_text(&self) -> Cow<'_, str> {
                "be brief".into()
            }
        }
        let shape = Shape::new(Dialect::OpenAi, Operation::Chat);
        let (caller, prompt) = (Caller::default(), Counted(Cell::new(0)));
        let source = FeatureSource::new(&shape, &caller, WallClock::from_unix(0, 0), FleetFacts::default());
        assert_eq!((source.user_text(), source.vector(), source.system_text()), (None, None, None));
        let source = FeatureSource::new(&shape, &caller, WallClock::from_unix(0, 0), FleetFacts::default())
            .with_prompt(Some(&prompt));
        assert_eq!(prompt.0.get(), 0);
        assert_eq!(source.vector(), Some(&embed("how do I reset my password")));
        assert_eq!(source.user_text(), Some("how do I reset my password"));
        assert_eq!(source.system_text().as_deref(), Some("be brief"));
        assert_eq!(prompt.0.get(), 1);
        assert!(!format!("{source:?}").contains("password"));
    }

    #[test]
    fn the_clock_knows_its_week() {
        // 2026-11-21 was a Saturday; 23:30 UTC is Sunday in Berlin.
        let clock = WallClock::from_unix(1_795_303_800, 0);
        assert_eq!((clock.hour, clock.weekday), (23, Weekday::Saturday));
        let berlin = WallClock::from_unix(1_795_303_800, 3_600);
        assert_eq!((berlin.hour, berlin.weekday), (0, Weekday::Sunday));
    }
}
