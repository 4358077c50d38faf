//! What the simulated model says: a small pure planner that all dialects share.
//!
//! Owns the decision (text, reasoning, tool calls, JSON, refusal) and its length; must not know how any dialect writes
//! it down. Prompts steer it: mention a tool's name and it is called, or write a directive such as
//! `[[sim: words=200]]`. The directives:
//!
//! | directive | answer |
//! |---|---|
//! | `words=N` | N words of text |
//! | `echo` | the prompt itself, without the directive |
//! | `unicode` | text of two-, three- and four-byte characters |
//! | `cite` | two claims, each with the page of the web it rests on (Mistral: the claims alone) |
//! | `empty` | nothing at all |
//! | `refuse` | the model declines |
//! | `filter` | some text, then the content filter ends it |
//! | `stop` | the first stop sequence comes up and ends it |
//! | `call=A,B` | calls these tools, in this order, though they be the same |
//! | `malformed-call` | a tool call the provider could not read (Gemini), otherwise like `refuse` |
//! | `redacted` | redacted thinking, where reasoning is on (Anthropic) |
//! | `picture` | a picture behind the text (Gemini) |
//! | `fault=F` | the fault F of the catalogue |

mod directives;
mod plan;
mod prompt;
mod sources;

pub(crate) use directives::Directives;
pub(crate) use plan::{Call, Finish, Turn, plan};
pub(crate) use prompt::{Choice, Format, Offer, Prompt, ToolOutcome};
pub(crate) use sources::{Source, cut};
