//! The table of features.
//!
//! Owns names, types and one line of meaning for each. The order is that of the reference page and of explanations.

use std::fmt;

/// The type of a feature's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeatureKind {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Double,
    /// A text; empty where there is none.
    Text,
    /// Texts by name.
    Map,
}

impl FeatureKind {
    /// The name of the type in rules and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::Text => "string",
            Self::Map => "map",
        }
    }
}

macro_rules! features {
    ($($variant:ident = $name:literal, $kind:ident, $meaning:literal;)*) => {
        /// One thing a rule or step may read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Feature {
            $(#[doc = $meaning] $variant,)*
        }

        impl Feature {
            /// Every feature.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in rules: `request.messages`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The type of its value.
            #[must_use]
            pub const fn kind(self) -> FeatureKind {
                match self { $(Self::$variant => FeatureKind::$kind,)* }
            }

            /// What it means, in one line.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

features! {
    RequestModel = "request.model", Text, "What the client put in `model`.";
    RequestOperation = "request.operation", Text, "`chat`, `embeddings` or `count_tokens`.";
    RequestDialect = "request.dialect", Text, "The protocol the client speaks.";
    RequestStream = "request.stream", Bool, "A streamed answer is asked for.";
    RequestInputTokens = "request.input_tokens", Int, "Estimated tokens of the prompt.";
    RequestTextBytes = "request.text_bytes", Int, "Bytes of text in the prompt.";
    RequestBodyBytes = "request.body_bytes", Int, "Bytes of the whole request body.";
    RequestMaxOutputTokens = "request.max_output_tokens", Int, "Most tokens to generate; absent when the client sets no limit.";
    RequestMessages = "request.messages", Int, "Messages of the conversation, or inputs to embed.";
    RequestChoices = "request.choices", Int, "How many answers are asked for.";
    RequestTools = "request.tools", Int, "How many tools are offered.";
    RequestHasTools = "request.has_tools", Bool, "Tools are offered.";
    RequestForcesTool = "request.forces_tool", Bool, "A tool must be called.";
    RequestHasToolHistory = "request.has_tool_history", Bool, "Earlier tool calls or results are in the conversation.";
    RequestImages = "request.images", Int, "How many pictures are in the prompt.";
    RequestHasImages = "request.has_images", Bool, "Pictures are in the prompt.";
    RequestDocuments = "request.documents", Int, "How many documents are in the prompt.";
    RequestHasDocuments = "request.has_documents", Bool, "Documents are in the prompt.";
    RequestHasAudio = "request.has_audio", Bool, "Sounds are in the prompt.";
    RequestHasVideo = "request.has_video", Bool, "Videos are in the prompt.";
    RequestWantsJson = "request.wants_json", Bool, "The answer must be JSON, with or without a schema.";
    RequestWantsSchema = "request.wants_schema", Bool, "The answer must follow a JSON schema.";
    RequestWantsReasoning = "request.wants_reasoning", Bool, "Reasoning is asked for in so many words.";
    RequestWantsLogprobs = "request.wants_logprobs", Bool, "Log-probabilities are asked for.";
    RequestHasOpaqueState = "request.has_opaque_state", Bool, "A provider's own state (signatures, encrypted reasoning) is in the conversation.";
    RequestWords = "request.words", Int, "Words of the user's last turn.";
    RequestLanguage = "request.language", Text, "Language of the user's last turn, as its ISO 639-3 code (`eng`, `deu`, `jpn`); empty when it cannot be told.";
    RequestCodeBlocks = "request.code_blocks", Int, "Fenced blocks of code in the user's last turn.";
    RequestHasCode = "request.has_code", Bool, "The user's last turn holds code, fenced or not.";
    RequestHasMaths = "request.has_maths", Bool, "The user's last turn holds formulas.";
    RequestQuestion = "request.question", Text, "What the user's last turn asks, by its first question word: `what`, `why`, `how`, `who`, `when`, `where`, `which`, `yes_no`; empty when it asks nothing.";
    RequestCues = "request.cues", Int, "Words in the user's last turn that ask for reasoning: prove, derive, compare, step by step.";
    RequestFormat = "request.format", Text, "The form asked for: `json`, `yaml`, `xml`, `csv`, `table`, `list`, `code`; empty when none is.";
    RequestAskedWords = "request.asked_words", Int, "The length asked for in words (`in 200 words`); absent when none is.";
    RequestSystemHash = "request.system_hash", Text, "Hash of the system prompt, 16 hexadecimal digits; empty when there is none.";
    CallerKey = "caller.key", Text, "Name of the virtual key.";
    CallerTeam = "caller.team", Text, "Team of the key.";
    CallerUser = "caller.user", Text, "The end user.";
    CallerSession = "caller.session", Text, "The session.";
    CallerSessionRequests = "caller.session_requests", Int, "Earlier requests of the session that this process remembers.";
    CallerSessionTier = "caller.session_tier", Text, "The tier that served the session last; empty when none did.";
    CallerTags = "caller.tags", Map, "Tags of the key and the request.";
    CallerMetadata = "caller.metadata", Map, "Metadata of the request body.";
    CallerBudgetLeft = "caller.budget_left", Double, "Dollars left of the tightest budget that applies; absent when there is none.";
    CallerStrict = "caller.strict", Bool, "The caller refuses dropped or emulated parameters.";
    Headers = "headers", Map, "Headers of the request, names in lower case.";
    FleetEligible = "fleet.eligible", Int, "How many deployments of the route may serve this request.";
    FleetOpen = "fleet.open", Int, "How many of those are neither broken, full nor rate limited.";
    FleetOutstanding = "fleet.outstanding", Int, "Requests under way on those that may serve.";
    TimeHour = "time.hour", Int, "Hour of the day, 0 to 23, in the time zone of the configuration.";
    TimeWeekday = "time.weekday", Text, "Day of the week: `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`.";
    TimeUnix = "time.unix", Int, "Seconds since the Unix epoch.";
}

/// What it takes to read a feature, once per decision; the text is looked for only when something reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeatureCost {
    /// Nothing: it is known anyway, or is one lookup.
    Known,
    /// A second look at the body and one pass over the user's last turn, for all features of this kind together.
    Text,
    /// A second look at the body and the trigrams of the first paragraph.
    Language,
    /// A second look at the body and a hash of the system prompt.
    System,
}

impl FeatureCost {
    /// The words of the reference page.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Known => "none",
            Self::Text => "text",
            Self::Language => "text, trigrams",
            Self::System => "system text, hash",
        }
    }
}

impl Feature {
    /// What it takes to read it.
    #[must_use]
    pub const fn cost(self) -> FeatureCost {
        match self {
            Self::RequestWords
            | Self::RequestCodeBlocks
            | Self::RequestHasCode
            | Self::RequestHasMaths
            | Self::RequestQuestion
            | Self::RequestCues
            | Self::RequestFormat
            | Self::RequestAskedWords => FeatureCost::Text,
            Self::RequestLanguage => FeatureCost::Language,
            Self::RequestSystemHash => FeatureCost::System,
            _ => FeatureCost::Known,
        }
    }

    /// The feature of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|feature| feature.name() == name)
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_feature_has_its_own_name_and_fits_the_set() {
        let names: BTreeSet<_> = Feature::ALL.iter().map(|feature| feature.name()).collect();
        assert_eq!(names.len(), Feature::ALL.len());
        assert!(Feature::ALL.len() <= 64);
        for feature in Feature::ALL {
            assert_eq!(Feature::find(feature.name()), Some(*feature));
            assert!(feature.meaning().ends_with('.'), "{feature}");
        }
    }
}
