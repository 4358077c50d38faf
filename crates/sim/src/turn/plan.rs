//! The planner: from a prompt to the model's turn.
//!
//! Pure, and the same for every dialect, so that a conversation has the same course whoever serves it.

use serde_json::{Value, json};

use super::directives::{Directives, stripped};
use super::prompt::{Choice, Format, Offer, Prompt};
use super::sources::{CITING, Source, sources};
use crate::chance::Chance;
use crate::schema_instance::instance;
use crate::tokens;

/// What the model says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Turn {
    /// Thought before answering; empty if not asked to.
    pub(crate) reasoning: String,
    /// Whether the thoughts are shown only in sealed form.
    pub(crate) redacted: bool,
    pub(crate) text: String,
    pub(crate) refusal: Option<String>,
    /// A picture follows the text.
    pub(crate) picture: bool,
    pub(crate) calls: Vec<Call>,
    pub(crate) finish: Finish,
    /// Whether it says what its text rests on.
    pub(crate) cites: bool,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) arguments: Value,
}

/// Why the model stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Finish {
    #[default]
    Stop,
    StopSequence(String),
    Length,
    Tools,
    Filtered,
    Refused,
    MalformedCall,
}

impl Turn {
    /// What the text rests on.
    pub(crate) fn sources(&self) -> Vec<Source> {
        if self.cites { sources(&self.text) } else { Vec::new() }
    }

    pub(crate) fn reasoning_tokens(&self) -> u64 {
        tokens::count(&self.reasoning)
    }

    /// All tokens of the turn.
    pub(crate) fn tokens(&self) -> u64 {
        let calls = self.calls.iter().map(call_tokens).sum::<u64>();
        let refusal = self.refusal.as_deref().map_or(0, tokens::count);
        self.reasoning_tokens() + tokens::count(&self.text) + refusal + calls
    }
}

fn call_tokens(call: &Call) -> u64 {
    tokens::count(&call.name) + tokens::count(&call.arguments.to_string())
}

/// Plans the turn; `choice` numbers the alternatives when several were asked for.
pub(crate) fn plan(prompt: &Prompt, choice: usize) -> Turn {
    let directives = Directives::read_for(&prompt.user, &prompt.model);
    let user = stripped(&prompt.user);
    let mut turn = Turn { reasoning: reasoning(prompt, &user), ..Turn::default() };
    turn.redacted = directives.has("redacted") || prompt.user.contains(REDACTION_TRIGGER);
    if directives.has("empty") {
        return turn;
    }
    if directives.has("malformed-call") {
        turn.finish = Finish::MalformedCall;
        return turn;
    }
    if directives.has("refuse") {
        turn.refusal = Some("I'm sorry, but I can't help with that.".to_owned());
        turn.finish = Finish::Refused;
        return turn;
    }
    turn.picture = directives.has("picture");
    turn.cites = directives.has("cite");
    turn.calls = calls(prompt, &directives, &user);
    if turn.calls.is_empty() {
        turn.text = text(prompt, &directives, &user, choice);
    } else {
        turn.finish = Finish::Tools;
    }
    if directives.has("filter") {
        turn.finish = Finish::Filtered;
    }
    stop(&mut turn, &prompt.stop);
    shorten(&mut turn, prompt.max_tokens);
    turn
}

/// Anthropic's documented test string for redacted thinking.
const REDACTION_TRIGGER: &str = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING_\
    46C9A13E193C177646C7398A98432ECCCE4C1253D5E2D82641AC0E52CC2876CB";

fn reasoning(prompt: &Prompt, user: &str) -> String {
    if prompt.reasoning == 0 {
        return String::new();
    }
    let thought =
        format!("The user says: {}. Let me think about what a helpful answer would be.", clip(user, 80));
    tokens::truncate(&thought, prompt.reasoning).to_owned()
}

fn calls(prompt: &Prompt, directives: &Directives, user: &str) -> Vec<Call> {
    if prompt.tools.is_empty() || prompt.choice == Choice::None {
        return Vec::new();
    }
    let mut chosen = match (&prompt.choice, directives.value("call")) {
        (_, Some(names)) if prompt.outcomes.is_empty() => {
            names.split(',').filter_map(|name| prompt.tools.iter().find(|tool| tool.name == name)).collect()
        }
        (Choice::Required(allowed), _) => required(prompt, allowed, user),
        _ if prompt.outcomes.is_empty() => mentioned(&prompt.tools, user),
        _ => Vec::new(),
    };
    if prompt.one_call_only {
        chosen.truncate(1);
    }
    let call = |tool: &Offer| Call { name: tool.name.clone(), arguments: arguments(&tool.schema, user) };
    chosen.into_iter().map(call).collect()
}

fn required<'a>(prompt: &'a Prompt, allowed: &[String], user: &str) -> Vec<&'a Offer> {
    let permitted = |tool: &&Offer| allowed.is_empty() || allowed.contains(&tool.name);
    let named: Vec<_> = mentioned(&prompt.tools, user).into_iter().filter(|tool| permitted(tool)).collect();
    if named.is_empty() { prompt.tools.iter().filter(permitted).take(1).collect() } else { named }
}

/// Tools whose name, with underscores or with spaces, stands in the text.
fn mentioned<'a>(tools: &'a [Offer], user: &str) -> Vec<&'a Offer> {
    let user = user.to_lowercase();
    let named = |tool: &&Offer| {
        let name = tool.name.to_lowercase();
        user.contains(&name) || user.contains(&name.replace(['_', '-'], " "))
    };
    tools.iter().filter(named).collect()
}

fn arguments(schema: &Value, user: &str) -> Value {
    match instance(schema, user) {
        Value::Object(members) => Value::Object(members),
        _ => json!({}),
    }
}

fn text(prompt: &Prompt, directives: &Directives, user: &str, choice: usize) -> String {
    if let Some(said) = directives.value("say") {
        return said.to_owned();
    }
    let text = unfenced(prompt, directives, user, choice);
    // What models do that were asked for nothing but JSON.
    if directives.has("fence") { format!("Here it is:\n```json\n{text}\n```\n") } else { text }
}

fn unfenced(prompt: &Prompt, directives: &Directives, user: &str, choice: usize) -> String {
    match &prompt.format {
        Format::Schema(schema) => return instance(schema, user).to_string(),
        Format::Json => return json!({"answer": clip(user, 60), "simulated": true}).to_string(),
        Format::Text => {}
    }
    if directives.has("echo") {
        return user.to_owned();
    }
    if directives.has("cite") {
        return CITING.to_owned();
    }
    if directives.has("unicode") {
        return UNICODE.to_owned();
    }
    let mut text = match directives.value("words").and_then(|number| number.parse().ok()) {
        Some(number) => words(number, prompt.seed.wrapping_add(choice as u64)),
        None => answer(prompt, user),
    };
    if choice > 0 {
        text.push_str(&format!(" (choice {})", choice + 1));
    }
    if let (true, Some(sequence)) = (directives.has("stop"), prompt.stop.first()) {
        text.push_str(sequence);
        text.push_str(" and this is never said");
    }
    text
}

const UNICODE: &str = "Grüße aus Zürich — 日本語のテキスト, русский текст, العربية, naïve café, \
    👩‍👩‍👧‍👦 and 🏳️‍🌈 and 𝔘𝔫𝔦𝔠𝔬𝔡𝔢, e\u{301} combined, \"quoted\" \\ backslash\n\ttab. Ende 🎉";

fn answer(prompt: &Prompt, user: &str) -> String {
    let mut text = String::new();
    for outcome in &prompt.outcomes {
        let verb = if outcome.failed { "failed with" } else { "returned" };
        text.push_str(&format!("The tool {} {verb}: {}. ", outcome.name, outcome.text));
    }
    text.push_str(&format!("This is a simulated answer of {} to: \"{}\".", prompt.model, clip(user, 120)));
    if !prompt.system.is_empty() {
        text.push_str(&format!(" Following the instructions: \"{}\".", clip(&prompt.system, 80)));
    }
    for (number, noun) in [(prompt.images, "image"), (prompt.documents, "document")] {
        if number > 0 {
            let plural = if number == 1 { "" } else { "s" };
            text.push_str(&format!(" I received {number} {noun}{plural}."));
        }
    }
    text
}

fn words(number: usize, seed: u64) -> String {
    const LEXICON: &[&str] = &[
        "line", "trunk", "signal", "route", "answer", "model", "token", "stream", "light", "bridge", "river",
        "stone", "quiet", "copper", "switch", "carrier", "tone", "relay", "wire", "call", "north", "garden",
    ];
    let mut chance = Chance::new(seed);
    let mut text = String::new();
    for index in 0..number.min(LONGEST_WORDS) {
        if index > 0 {
            text.push(' ');
        }
        text.push_str(LEXICON[(chance.next() % LEXICON.len() as u64) as usize]);
    }
    text
}

/// The longest answer that can be asked for, in words.
const LONGEST_WORDS: usize = 50_000;

/// Ends the text at the first stop sequence in it.
fn stop(turn: &mut Turn, sequences: &[String]) {
    let found = sequences
        .iter()
        .filter(|sequence| !sequence.is_empty())
        .filter_map(|sequence| turn.text.find(sequence.as_str()).map(|at| (at, sequence)))
        .min_by_key(|(at, _)| *at);
    if let Some((at, sequence)) = found {
        turn.text.truncate(at);
        turn.finish = Finish::StopSequence(sequence.clone());
    }
}

/// Cuts the turn to `limit` tokens, thoughts counted first. A call that does not fit whole is left out.
fn shorten(turn: &mut Turn, limit: Option<u64>) {
    let Some(limit) = limit.filter(|limit| turn.tokens() > *limit) else { return };
    let reasoning = tokens::truncate(&turn.reasoning, limit).len();
    turn.reasoning.truncate(reasoning);
    let left = limit.saturating_sub(turn.reasoning_tokens());
    let text = tokens::truncate(&turn.text, left).len();
    turn.text.truncate(text);
    let mut left = left.saturating_sub(tokens::count(&turn.text));
    turn.calls.retain(|call| {
        let cost = call_tokens(call);
        let fits = cost <= left;
        left = if fits { left - cost } else { 0 };
        fits
    });
    turn.finish = Finish::Length;
}

/// At most `limit` characters of `text`, on one line.
fn clip(text: &str, limit: usize) -> String {
    let line: String =
        text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    let mut clipped: String = line.chars().take(limit).collect();
    if clipped.len() < line.len() {
        clipped.push('…');
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::super::prompt::ToolOutcome;
    use super::*;

    fn prompt(user: &str) -> Prompt {
        Prompt { model: "m".to_owned(), user: user.to_owned(), ..Prompt::default() }
    }

    fn with_tools(user: &str) -> Prompt {
        let schema =
            json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
        let offer = |name: &str| Offer { name: name.to_owned(), schema: schema.clone() };
        Prompt { tools: vec![offer("get_weather"), offer("get_time")], ..prompt(user) }
    }

    fn called(prompt: &Prompt) -> Vec<String> {
        plan(prompt, 0).calls.into_iter().map(|call| call.name).collect()
    }

    #[test]
    fn the_default_answer_quotes_prompt_instructions_and_attachments() {
        let prompt =
            Prompt { system: "Be brief".to_owned(), images: 1, documents: 2, ..prompt("Hello\nyou") };
        insta::assert_snapshot!(
            plan(&prompt, 0).text,
            @r#"This is a simulated answer of m to: "Hello you". Following the instructions: "Be brief". I received 1 image. I received 2 documents."#
        );
    }

    #[test]
    fn mentioned_tools_are_called_together() {
        assert_eq!(called(&with_tools("Use get_weather and get time please")), ["get_weather", "get_time"]);
        assert_eq!(called(&with_tools("Hello")), Vec::<String>::new());
        let single = Prompt { one_call_only: true, ..with_tools("get_weather, get_time") };
        assert_eq!(called(&single), ["get_weather"]);
        assert_eq!(called(&with_tools("[[sim: call=get_time,get_time]]")), ["get_time", "get_time"]);
    }

    #[test]
    fn a_choice_forces_or_forbids() {
        let choose = |choice, user: &str| called(&Prompt { choice, ..with_tools(user) });
        assert_eq!(choose(Choice::None, "get_weather"), Vec::<String>::new());
        assert_eq!(choose(Choice::Required(vec![]), "Hello"), ["get_weather"]);
        assert_eq!(choose(Choice::Required(vec!["get_time".to_owned()]), "get_weather"), ["get_time"]);
    }

    #[test]
    fn a_tool_result_is_quoted_instead_of_calling_again() {
        let outcome =
            ToolOutcome { name: "get_weather".to_owned(), text: "21 degrees".to_owned(), failed: false };
        let turn = plan(&Prompt { outcomes: vec![outcome], ..with_tools("get_weather") }, 0);
        assert!(turn.calls.is_empty());
        assert!(turn.text.starts_with("The tool get_weather returned: 21 degrees."), "{}", turn.text);
    }

    #[test]
    fn directives_steer() {
        assert_eq!(plan(&prompt("[[sim: words=7]]"), 0).text.split(' ').count(), 7);
        assert_eq!(plan(&prompt("exactly this [[sim: echo]]"), 0).text, "exactly this");
        assert_eq!(plan(&prompt("[[sim: empty]]"), 0), Turn::default());
        assert_eq!(plan(&prompt("[[sim: refuse]]"), 0).finish, Finish::Refused);
        let stopped = plan(&Prompt { stop: vec!["END".to_owned()], ..prompt("x [[sim: stop]]") }, 0);
        assert_eq!(stopped.finish, Finish::StopSequence("END".to_owned()));
        assert!(!stopped.text.contains("never said"));
    }

    #[test]
    fn a_limit_cuts_thoughts_first_and_is_kept() {
        let prompt = |limit| Prompt { reasoning: 8, max_tokens: Some(limit), ..prompt("[[sim: words=50]]") };
        for limit in [1, 8, 9, 20] {
            let turn = plan(&prompt(limit), 0);
            assert_eq!((turn.tokens(), turn.finish), (limit, Finish::Length));
        }
        assert_eq!(plan(&prompt(10_000), 0).finish, Finish::Stop);
    }
}
