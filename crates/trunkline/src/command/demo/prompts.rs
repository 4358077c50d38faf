//! The requests of the demo: every kind in turn, in the protocols of two SDKs.
//!
//! Owns paths and bodies. Must not know where they are sent or what comes back.

use serde_json::{Value, json};

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// OpenAI chat, one body.
    OpenAiPlain,
    /// OpenAI chat, streamed.
    OpenAiStream,
    /// OpenAI chat that calls a tool, streamed.
    OpenAiTool,
    /// OpenAI chat with a JSON schema, which the demo's rules send to the strong tier.
    OpenAiSchema,
    /// Anthropic messages, one body.
    AnthropicPlain,
    /// Anthropic messages, streamed.
    AnthropicStream,
    /// Anthropic messages that call a tool.
    AnthropicTool,
    /// Anthropic messages with a long document, which the demo's rules send to the strong tier.
    AnthropicLong,
    /// OpenAI embeddings.
    Embeddings,
    /// OpenAI chat that a cheap model answers well, on the route that tells prompts apart.
    AssistSimple,
    /// OpenAI chat that looks hard, likewise, streamed.
    AssistHard,
    /// Anthropic messages that the simulated cheap model declines, likewise, so that a better one answers.
    AssistUnsure,
}

/// The order in which they are sent, again and again.
const MIX: [Kind; 16] = [
    Kind::OpenAiStream,
    Kind::AssistSimple,
    Kind::AnthropicPlain,
    Kind::Embeddings,
    Kind::AssistHard,
    Kind::OpenAiPlain,
    Kind::AnthropicStream,
    Kind::AnthropicLong,
    Kind::AssistUnsure,
    Kind::OpenAiTool,
    Kind::OpenAiStream,
    Kind::Embeddings,
    Kind::AssistSimple,
    Kind::AnthropicTool,
    Kind::OpenAiSchema,
    Kind::AnthropicStream,
];

/// A request as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Prompt {
    /// Its kind.
    pub(super) kind: Kind,
    /// The path.
    pub(super) path: &'static str,
    /// The JSON body.
    pub(super) body: String,
}

/// The request with this number.
pub(super) fn prompt(number: u64) -> Prompt {
    let position = usize::try_from(number % MIX.len() as u64).unwrap_or(0);
    let kind = MIX[position];
    let question = QUESTIONS[usize::try_from(number % QUESTIONS.len() as u64).unwrap_or(0)];
    Prompt { kind, path: kind.path(), body: kind.body(question).to_string() }
}

/// The route that tells prompts apart and checks cheap answers.
pub(super) const ASSIST: &str = "assist";

/// A prompt that takes several steps.
const HARD: &str = "A customer bought three machines at 480, 355 and 1,120 with a discount of 12 % on the second and a voucher of 60 \
    on the sum, returned the first after nine days, and was charged a restocking fee of 7.5 %. Prove step by step what we owe, \
    compare it with an exchange for the model at 410, and derive which of the two costs us less if one return in six comes back \
    damaged.";

/// Tells the simulators, which read such directives, that the cheap model declines.
const DECLINED: &str = "[[sim: only=gpt-5-mini refuse]]";

const QUESTIONS: [&str; 7] = [
    "My parcel has not arrived. What can I do?",
    "How do I change the address of my account?",
    "The invoice of last month looks wrong. Who checks it?",
    "Is there a discount for schools?",
    "The app closes when I open a picture. Why?",
    "Can I move my subscription to a friend?",
    "What does the warranty cover after two years?",
];

impl Kind {
    /// Whether the answer is a stream of events.
    pub(super) const fn is_stream(self) -> bool {
        matches!(
            self,
            Self::OpenAiStream
                | Self::OpenAiTool
                | Self::AnthropicStream
                | Self::AnthropicLong
                | Self::AssistHard
        )
    }

    /// Whether it speaks Anthropic's protocol.
    pub(super) const fn is_anthropic(self) -> bool {
        matches!(
            self,
            Self::AnthropicPlain
                | Self::AnthropicStream
                | Self::AnthropicTool
                | Self::AnthropicLong
                | Self::AssistUnsure
        )
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Embeddings => "/v1/embeddings",
            _ if self.is_anthropic() => "/v1/messages",
            _ => "/v1/chat/completions",
        }
    }

    fn body(self, question: &str) -> Value {
        let mut body = match self {
            Self::Embeddings => return json!({"model": "search", "input": [question]}),
            _ if self.is_anthropic() => json!({
                "model": "support",
                "max_tokens": 300,
                "system": "You help customers of a small shop.",
                "messages": [{"role": "user", "content": question}],
            }),
            _ => json!({
                "model": "support",
                "messages": [
                    {"role": "system", "content": "You help customers of a small shop."},
                    {"role": "user", "content": question},
                ],
            }),
        };
        if self.is_stream() {
            body["stream"] = json!(true);
        }
        match self {
            Self::OpenAiTool => {
                body["messages"][1]["content"] = json!(format!("{question} Use find order."));
                body["tools"] = json!([{"type": "function", "function": {
                    "name": "find_order", "description": "Finds an order", "parameters": order_schema(),
                }}]);
            }
            Self::OpenAiSchema => {
                body["response_format"] = json!({"type": "json_schema", "json_schema": {
                    "name": "ticket", "strict": true, "schema": ticket_schema(),
                }});
            }
            Self::AnthropicTool => {
                body["messages"][0]["content"] = json!(format!("{question} Use find order."));
                body["tools"] = json!([{"name": "find_order", "description": "Finds an order", "input_schema": order_schema()}]);
            }
            Self::AssistSimple => {
                body["model"] = json!(ASSIST);
            }
            Self::AssistHard => {
                body["model"] = json!(ASSIST);
                body["messages"][1]["content"] = json!(HARD);
            }
            Self::AssistUnsure => {
                body["model"] = json!(ASSIST);
                body["messages"][0]["content"] = json!(format!("{question} {DECLINED}"));
            }
            Self::AnthropicLong => {
                let terms = "The customer may return goods within thirty days of delivery, unless they were made to measure. ";
                body["messages"][0]["content"] = json!(format!("{}\n\n{question}", terms.repeat(90)));
            }
            _ => {}
        }
        body
    }
}

fn order_schema() -> Value {
    json!({
        "type": "object",
        "properties": {"number": {"type": "string"}, "email": {"type": "string"}},
        "required": ["number", "email"],
    })
}

fn ticket_schema() -> Value {
    json!({
        "type": "object",
        "properties": {"topic": {"type": "string"}, "urgent": {"type": "boolean"}},
        "required": ["topic", "urgent"],
        "additionalProperties": false,
    })
}
