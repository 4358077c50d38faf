//! Requests in canonical form.
//!
//! Owns the union of request parameters over all dialects, each under one name. Must not know who accepts what: encoders
//! consult the target's profile and report what did not pass. Parameters that only one dialect has travel in `extras`.

use crate::content::Message;
use crate::dialect::Dialect;
use crate::json::Json;
use crate::rerank::RerankRequest;

/// A conversation turn to be answered.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ChatRequest {
    /// What the client put in `model`.
    pub model: String,
    /// The conversation, in the client's order.
    pub messages: Vec<Message>,
    /// Tools offered.
    pub tools: Vec<Tool>,
    /// Which tool must, may or must not be called.
    pub tool_choice: Option<ToolChoice>,
    /// `false` asks for one call at a time.
    pub parallel_tool_calls: Option<bool>,
    /// Most tokens to generate, reasoning included; at least one.
    pub max_output_tokens: Option<u64>,
    /// Sampling parameters.
    pub sampling: Sampling,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// How many answers, from 1 to 128.
    pub choices: Option<u32>,
    /// Log-probabilities: `Some(n)` asks for them with the `n` most likely alternatives.
    pub logprobs: Option<u32>,
    /// The form of the answer.
    pub output: OutputFormat,
    /// How much to reason.
    pub reasoning: Option<Reasoning>,
    /// Answer as a stream.
    pub stream: bool,
    /// The client wants usage in the stream.
    pub stream_usage: bool,
    /// The end user, as the client names them.
    pub user: Option<String>,
    /// Parameters that only the client's own dialect has, under their own names.
    pub extras: Vec<Extra>,
}

/// A parameter without a canonical name.
#[derive(Clone, Debug, PartialEq)]
pub struct Extra {
    /// The dialect it came in.
    pub origin: Dialect,
    /// Its name at the top level of the body.
    pub name: String,
    /// Its value as it came.
    pub value: Json,
}

/// Sampling parameters; `None` leaves the provider's default.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Sampling {
    /// 0 to 2 (0 to 1 on some targets).
    pub temperature: Option<f64>,
    /// Nucleus mass, 0 to 1.
    pub top_p: Option<f64>,
    /// Most likely tokens considered.
    pub top_k: Option<u64>,
    /// -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// -2 to 2.
    pub presence_penalty: Option<f64>,
    /// For repeatable sampling.
    pub seed: Option<i64>,
}

/// A tool the model may call.
#[derive(Clone, Debug, PartialEq)]
pub enum Tool {
    /// A function of the client.
    Function(FunctionTool),
    /// A tool the provider itself runs (web search, code execution), known to one dialect only.
    BuiltIn {
        /// The dialect it came in.
        origin: Dialect,
        /// The tool's type name there.
        kind: String,
        /// The whole declaration.
        json: Json,
    },
}

/// A function of the client.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionTool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// JSON Schema of its arguments; `None` takes no arguments.
    pub parameters: Option<Json>,
    /// Arguments must follow the schema exactly.
    pub strict: Option<bool>,
    /// The prompt cache may cut after this declaration.
    pub cache: Option<crate::content::CacheMark>,
}

/// Which tool must, may or must not be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// No tool.
    None,
    /// Some tool.
    Required,
    /// This tool.
    Named(String),
    /// One of these tools.
    Allowed {
        /// Their names.
        names: Vec<String>,
        /// Whether one must be called.
        required: bool,
    },
}

/// The form of the answer.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum OutputFormat {
    /// Free text.
    #[default]
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// Its name, where the dialect has one.
        name: Option<String>,
        /// What it describes.
        description: Option<String>,
        /// The schema.
        schema: Json,
        /// Follow it exactly.
        strict: Option<bool>,
    },
}

/// How much to reason.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Reasoning {
    /// The named level.
    pub effort: Option<Effort>,
    /// Tokens to spend at the most.
    pub budget_tokens: Option<u64>,
    /// The model chooses how much (Anthropic `adaptive`, Gemini budget -1).
    pub adaptive: bool,
    /// Whether the reasoning (or its summary) is to stand in the answer.
    pub visibility: Visibility,
}

impl Reasoning {
    /// Whether there may be reasoning, and the client said that its answer is not to show it.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.visibility == Visibility::Hidden && self.effort != Some(Effort::None)
    }

    /// Whether that is all that the client said.
    #[must_use]
    pub fn is_only_hidden(&self) -> bool {
        *self == Self { visibility: Visibility::Hidden, ..Self::default() }
    }
}

/// What a client says of reasoning in its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Visibility {
    /// Nothing: the target does as it does by default.
    #[default]
    Unsaid,
    /// Nothing, in a dialect that leaves it out of answers unless asked (Gemini). Who has a word for that is told; elsewhere it
    /// is no wish that could get lost.
    Unasked,
    /// Show it.
    Shown,
    /// Leave it out.
    Hidden,
}

impl Visibility {
    /// What a target with a word for it is told: to show it or not; nothing where nothing follows from what the client says.
    #[must_use]
    pub const fn told(self) -> Option<bool> {
        match self {
            Self::Unsaid => None,
            Self::Unasked | Self::Hidden => Some(false),
            Self::Shown => Some(true),
        }
    }
}

/// Named levels of reasoning, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effort {
    /// No reasoning.
    None,
    /// As little as possible.
    Minimal,
    /// Little.
    Low,
    /// The usual.
    Medium,
    /// Much.
    High,
    /// Very much.
    ExtraHigh,
    /// As much as possible.
    Max,
}

impl Effort {
    /// The name, as most dialects write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::ExtraHigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::ExtraHigh, Self::Max]
            .into_iter()
            .find(|effort| effort.name().eq_ignore_ascii_case(name))
    }
}

/// Texts to be embedded.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct EmbeddingRequest {
    /// What the client put in `model`.
    pub model: String,
    /// What to embed, one vector each.
    pub inputs: Vec<EmbeddingInput>,
    /// Length of the vectors wanted.
    pub dimensions: Option<u32>,
    /// How the client wants the vectors written.
    pub encoding: VectorEncoding,
    /// What the vectors are for (Gemini `taskType`, Cohere `input_type`).
    pub task: Option<String>,
    /// The end user, as the client names them.
    pub user: Option<String>,
    /// Parameters that only the client's own dialect has.
    pub extras: Vec<Extra>,
}

/// One thing to embed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmbeddingInput {
    /// Text.
    Text(String),
    /// Token ids of the model's own tokenizer.
    Tokens(Vec<u32>),
}

/// How vectors are written in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum VectorEncoding {
    /// JSON numbers.
    #[default]
    Float,
    /// Base64 of little-endian 32-bit floats.
    Base64,
}

/// A canonical request of any operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A conversation turn, also the subject of a token count.
    Chat(Box<ChatRequest>),
    /// Texts to be embedded.
    Embeddings(EmbeddingRequest),
    /// Documents to be ordered.
    Rerank(RerankRequest),
}
