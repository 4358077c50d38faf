"""The matrix of a run as a page of the documentation: every client by every provider, with the reasons of what does not apply.

Owns the page's form and the comparison with the page that is there. Nothing on the page depends on time or machine.
"""

import collections
import json
import pathlib

HERE = pathlib.Path(__file__).parent

HEAD = """# Conformance

Official clients and frameworks, none of them written by us, run against the provider simulators: straight, so that client and
simulator are known to agree, and through the gateway to a provider of every protocol. `cargo xtask conformance` installs them at
the releases below, runs every case and compares this page with what it saw; `cargo xtask conformance --update` writes it.

A number is how many cases passed; `n/a` counts those that do not apply, with the reasons below. `chat-only` is a provider of the
OpenAI kind that has no responses API.
"""

# What each client of the cases is: its name for readers and the package whose release is pinned.
CLIENTS = {
    "openai": ("OpenAI for Python, chat completions", "openai"),
    "responses": ("OpenAI for Python, responses", "openai"),
    "anthropic": ("Anthropic for Python", "anthropic"),
    "gemini": ("Google Gen AI for Python", "google-genai"),
    "mistral": ("Mistral for Python", "mistralai"),
    "cohere": ("Cohere for Python", "cohere"),
    "bedrock": ("AWS SDK for Python", "boto3"),
    "openai-node": ("OpenAI for JavaScript, chat completions", "node:openai"),
    "responses-node": ("OpenAI for JavaScript, responses", "node:openai"),
    "anthropic-node": ("Anthropic for JavaScript", "node:@anthropic-ai/sdk"),
    "google-node": ("Google Gen AI for JavaScript", "node:@google/genai"),
    "vercel-responses": ("Vercel AI SDK, OpenAI provider, responses", "node:@ai-sdk/openai"),
    "vercel-chat": ("Vercel AI SDK, OpenAI provider, chat", "node:@ai-sdk/openai"),
    "vercel-anthropic": ("Vercel AI SDK, Anthropic provider", "node:@ai-sdk/anthropic"),
    "vercel-google": ("Vercel AI SDK, Google provider", "node:@ai-sdk/google"),
    "vercel-compatible": ("Vercel AI SDK, OpenAI-compatible provider", "node:@ai-sdk/openai-compatible"),
    "langchain-openai": ("LangChain, OpenAI client, chat", "frameworks:langchain-openai"),
    "langchain-responses": ("LangChain, OpenAI client, responses", "frameworks:langchain-openai"),
    "langchain-anthropic": ("LangChain, Anthropic client", "frameworks:langchain-anthropic"),
    "langchain-google": ("LangChain, Google client", "frameworks:langchain-google-genai"),
    "litellm-openai": ("LiteLLM as a client, OpenAI protocol", "frameworks:litellm"),
    "litellm-anthropic": ("LiteLLM as a client, Anthropic protocol", "frameworks:litellm"),
    "litellm-gemini": ("LiteLLM as a client, Gemini protocol", "frameworks:litellm"),
    "pydantic-chat": ("Pydantic AI, OpenAI client, chat", "frameworks:pydantic-ai-slim"),
    "pydantic-responses": ("Pydantic AI, OpenAI client, responses", "frameworks:pydantic-ai-slim"),
    "pydantic-anthropic": ("Pydantic AI, Anthropic client", "frameworks:pydantic-ai-slim"),
    "pydantic-google": ("Pydantic AI, Google client", "frameworks:pydantic-ai-slim"),
    "instructor-openai": ("Instructor, OpenAI client, chat", "frameworks:instructor"),
    "instructor-anthropic": ("Instructor, Anthropic client", "frameworks:instructor"),
    "instructor-google": ("Instructor, Google client", "frameworks:instructor"),
    "llama-index-openai": ("LlamaIndex, OpenAI client, chat", "frameworks:llama-index-llms-openai-like"),
    "llama-index-anthropic": ("LlamaIndex, Anthropic client", "frameworks:llama-index-llms-anthropic"),
    "llama-index-google": ("LlamaIndex, Google client", "frameworks:llama-index-llms-google-genai"),
}


def _releases():
    """The pinned release of every package, by its name; of another language or environment with a prefix."""
    found = {}
    for prefix, path in (("", "requirements.txt"), ("frameworks:", "frameworks/requirements.txt")):
        file = HERE / path
        for line in file.read_text().splitlines() if file.exists() else ():
            name, _, release = line.partition("==")
            found[prefix + name.strip()] = release.strip()
    packages = json.loads((HERE / "node/package.json").read_text())["dependencies"]
    return found | {f"node:{name}": release for name, release in packages.items()}


def _cell(outcomes):
    count = collections.Counter(outcome.verdict for outcome in outcomes)
    if not count:
        return ""
    words = [f"**{count['failed']} failed**"] if count["failed"] else []
    words += [str(count["passed"])] if count["passed"] else []
    words += [f"{count['n/a']} n/a"] if count["n/a"] else []
    return ", ".join(words)


def _row(*cells):
    return f"| {' | '.join(cells)} |\n"


def _rule(columns):
    return "|---" * columns + "|\n"


def _client(client, outcomes, columns):
    """Cases of one client by columns, then why some do not apply."""
    shown = [column for column in columns if any(outcome.column == column for outcome in outcomes)]
    marks = {"passed": "ok", "failed": "**failed**", "n/a": "n/a"}
    found = {(outcome.name, outcome.column): marks[outcome.verdict] for outcome in outcomes}
    text = f"\n## {CLIENTS[client][0]}\n\n" + _row("case", *shown) + _rule(len(shown) + 1)
    for name in dict.fromkeys(outcome.name for outcome in outcomes):
        text += _row(name.replace("_", " "), *(found.get((name, column), "") for column in shown))
    reasons = collections.defaultdict(list)
    for outcome in outcomes:
        if outcome.verdict == "n/a":
            reasons[outcome.name, outcome.detail].append(outcome.column)
    text += "\nNot applicable:\n\n" if reasons else ""
    for (name, reason), places in reasons.items():
        text += f"- {name.replace('_', ' ')} ({', '.join(places)}): {reason}\n"
    return text


def page(outcomes, columns):
    """The whole page. Outcomes come in the order of their declaration."""
    releases = _releases()
    text = HEAD + "\n" + _row("client", "release", *columns) + _rule(len(columns) + 2)
    clients = [client for client in CLIENTS if any(outcome.client == client for outcome in outcomes)]
    for client in clients:
        own = [outcome for outcome in outcomes if outcome.client == client]
        cells = (_cell([outcome for outcome in own if outcome.column == column]) for column in columns)
        title, package = CLIENTS[client]
        text += _row(title, f"{package.partition(':')[2] or package} {releases[package]}", *cells)
    for client in clients:
        text += _client(client, [outcome for outcome in outcomes if outcome.client == client], columns)
    return text


def differs(path, text):
    """What a reader would see change if the page were written, as a few words; nothing when it is the same."""
    old = path.read_text() if path.exists() else ""
    if old == text:
        return ""
    gone, new = (set(one.splitlines()) - set(other.splitlines()) for one, other in ((old, text), (text, old)))
    return f"{len(gone)} lines of {path.name} are no longer true, {len(new)} are new, such as: {next(iter(sorted(new)), '')}"
