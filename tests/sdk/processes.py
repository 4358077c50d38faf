"""The programs under test: simulators and the gateway, started on free ports and always ended.

Owns the gateway's configuration: which deployment meets which fault. A fault is tied to a deployment's credential, which
the simulators recognise; each deployment and each credential is used by one case only, so that no case sees a breaker, a
back-off or a rejected credential that another one caused.
"""

import itertools
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import urllib.error
import urllib.request

from harness import TARGETS, fields
from web import Web

KEY = "sk-test-0123456789abcdef"
NARROW = "sk-narrow-0123456789abcdef"
REVOKED = "sk-revoked-0123456789abcdef"
SLOW = "sk-slow-0123456789abcdef"

CLIENTS = ("openai", "anthropic", "gemini")
MODES = ("plain", "stream")
# Clients of the other halves of the run: deployments that meet faults are made for each of them too.
NODE_CLIENTS = (
    "openai-node",
    "responses-node",
    "anthropic-node",
    "google-node",
    "vercel-responses",
    "vercel-chat",
    "vercel-anthropic",
    "vercel-google",
    "vercel-compatible",
)
# The frameworks meet one fault each: what they make of it is their clients' work.
FRAMEWORKS = (
    "langchain-openai",
    "langchain-responses",
    "langchain-anthropic",
    "langchain-google",
    "litellm-openai",
    "litellm-anthropic",
    "litellm-gemini",
    "pydantic-chat",
    "pydantic-responses",
    "pydantic-anthropic",
    "pydantic-google",
    "instructor-openai",
    "instructor-anthropic",
    "instructor-google",
    "llama-index-openai",
    "llama-index-anthropic",
    "llama-index-google",
)
MET_BY_FRAMEWORKS = ("rate-limited-retry-after=30",)
# A framework that takes only names of models on a list of its own is served as any application that cannot change the name it
# asks for: by routes of such names, one for each provider and one for each that meets the fault.
LISTED = "llama-index-anthropic"
LISTED_NAMES = {
    "plain": (
        # Models that it knows to fill schemas.
        "claude-opus-4-1",
        "claude-opus-4-1-20250805",
        "claude-sonnet-4-5-20250929",
        "claude-haiku-4-5",
        "claude-haiku-4-5-20251001",
        "claude-opus-4-5-20251101",
    ),
    "told": (
        "claude-opus-4-0",
        "claude-opus-4-20250514",
        "claude-4-opus-20250514",
        "claude-sonnet-4-0",
        "claude-sonnet-4-20250514",
        "claude-4-sonnet-20250514",
    ),
}

# Faults before the first token, which a healthy second deployment must hide.
HIDDEN = (
    "refused",
    "cut-before-headers",
    "hang-before-headers",
    "goaway",
    "unauthorized",
    "forbidden",
    "not-found",
    "request-timeout",
    "rate-limited",
    "rate-limited-retry-after=30",
    "quota-exhausted",
    "server-error",
    "bad-gateway",
    "unavailable",
    "overloaded",
    "context-too-long",
    "content-filtered",
    "html-ok",
    "html-bad-gateway",
    "empty-body",
    "wrong-json",
    "hang-before-first-token",
    "cut-before-first-token",
    "quota-before-first-token",
    "malformed-first-event",
)
# Faults that are told: with nobody to fail over to.
TOLD = (
    "bad-request",
    "unauthorized",
    "forbidden",
    "not-found",
    "rate-limited-retry-after=30",
    "quota-exhausted",
    "server-error",
    "unavailable",
    "overloaded",
    "context-too-long",
    "content-filtered",
    "cut-before-headers",
    "hang-before-headers",
)
# What a client that may retry once waits for.
PATIENT = ("rate-limited-retry-after=3",)
# Faults after the first token of a stream.
BROKEN = (
    "stall=2",
    "cut-after-first-token",
    "reset-after-first-token",
    "malformed-event",
    "quota-mid-stream=2",
    "missing-end",
)


def route_name(kind, target, client, mode, fault):
    """The route whose (first) deployment meets the fault."""
    return f"{kind}-{target.prefix}-{client}-{mode}-{fault.replace('=', '-')}"


def framework_model(client, target, fault=None):
    """The name under which a framework asks for a provider, or for its deployment that meets the fault."""
    if client == LISTED:
        return LISTED_NAMES["told" if fault else "plain"][TARGETS.index(target)]
    return route_name("told", target, client, "plain", fault) if fault else target.model(target.chat)


def _next(target):
    return TARGETS[(TARGETS.index(target) + 1) % len(TARGETS)]


def _kinds(client, mode):
    """Kinds of fault and their faults, as far as a client has cases of them."""
    if client in FRAMEWORKS:
        yield "told", MET_BY_FRAMEWORKS
        return
    yield "told", TOLD
    if client in CLIENTS:
        yield "hidden", HIDDEN
    if mode == "stream":
        yield "broken", BROKEN
    else:
        yield "patient", PATIENT


def _routes():
    """Deployments and routes for every fault, client, mode and provider."""
    deployments, routes = {}, {}
    hasty = {"connect": "3s", "first_token": "3s", "between_tokens": "3s", "total": "30s"}
    # A busy machine must not make a fault of an answer that was only late.
    calm = hasty | {"connect": "5s", "first_token": "10s", "between_tokens": "10s"}
    places = itertools.product(TARGETS, (*CLIENTS, *NODE_CLIENTS, *FRAMEWORKS), MODES)
    for target, client, mode in places:
        for kind, fault in ((kind, fault) for kind, faults in _kinds(client, mode) for fault in faults):
            name = route_name(kind, target, client, mode, fault)
            model = target.model(target.chat)
            deployments[f"at-{name}"] = {"model": model, "key": f"fault-{fault}.{name}"}
            tiers = {"first": {"deployments": [f"at-{name}"]}}
            late = fault.startswith(("hang", "stall"))
            route = {"tiers": tiers, "timeouts": hasty if late else calm, "attempts": 2}
            if kind == "hidden":
                healthy = _next(target)
                tiers["second"] = {"deployments": [healthy.model(healthy.chat)]}
                kinds_of_failure = ("error", "rate_limit", "context_length", "content_filter")
                route["fallback"] = {name: ["second"] for name in kinds_of_failure}
            else:
                route["attempts"] = 1
            routes[name] = route
            if client == LISTED and mode == "plain":
                routes[framework_model(client, target, fault)] = route
    for target in TARGETS:
        tiers = {"only": {"deployments": [target.model(target.chat)]}}
        routes[framework_model(LISTED, target)] = {"tiers": tiers, "timeouts": calm}
    return deployments, routes


def configuration(folder, urls, watched):
    """The gateway's configuration as JSON, which is YAML; `watched` are the same simulators, seen from between."""
    deployments, routes = _routes()
    paths = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta", "mistral": "/v1", "bedrock": "", "cohere": ""}
    providers = {
        prefix + target.prefix: {
            "preset": target.provider,
            "url": places[target.provider] + paths[target.provider],
            "key": "sim-key",
        }
        for prefix, places in (("", urls), ("w-", watched))
        for target in TARGETS
    }
    providers["ch"] = {
        "preset": "openai-compatible",
        "url": urls["openai"] + "/v1",
        "key": "sim-key",
        "models": ["gpt-4.1-mini", "gpt-5-mini"],
    }
    # Too old to be served unless it is named.
    providers["oa"]["models"] = ["gpt-3.5-turbo-instruct"]
    # Its embedding models are not in the catalogue.
    providers["be"]["models"] = ["cohere.embed-v4:0"]
    # What a deployment signs is verified by its simulator, which knows one secret for every key.
    signed = {"preset": "bedrock", "url": urls["bedrock"], "region": "us-east-1"}
    providers["signed"] = signed | {"access_key": "AKIDSIM", "secret_key": "simulated-secret-key"}
    # The same from the shared files, as a command of the cloud's own tools would leave them.
    providers["profiled"] = signed | {"profile": "sim"}
    return {
        "listen": "127.0.0.1:0",
        "store": f"sqlite:{folder}/log.db",
        "server": {"body_limit": "1MB"},
        "providers": providers,
        "deployments": deployments,
        "routes": routes,
        # The web of this run is on this machine.
        "media": {"allow_private": ["127.0.0.1"]},
        "keys": {
            "app": {"key": KEY, "tags": {"team": "conformance"}},
            "narrow": {"key": NARROW, "models": ["oa/gpt-4.1"]},
            "revoked": {"key": REVOKED, "revoked": True},
            "slow": {"key": SLOW, "requests_per_minute": 1},
        },
    }


def script():
    """Ties each fault to the credentials that name it."""
    headers = ("authorization", "x-api-key", "x-goog-api-key")
    faults = sorted({*HIDDEN, *TOLD, *PATIENT, *BROKEN})
    rules = [{"fault": fault, "header": [header, f"fault-{fault}."]} for fault in faults for header in headers]
    return {"rules": rules}


class Servers:
    """All processes of a run; a context manager, so that they end however the run does."""

    def __init__(self, trunkline, simulator, folder):
        self.trunkline, self.simulator = trunkline, simulator
        self.folder = pathlib.Path(folder)
        self.processes = []
        self.urls = {}
        self.strict_urls = {}
        self.gateway = None
        self.watch = None
        self.web = Web()

    def __enter__(self):
        self.web.__enter__()
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.web.__exit__()
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def _start(self):
        path = self.folder / "script.json"
        path.write_text(json.dumps(script()))
        keys = "aws_access_key_id = AKIDFILE\naws_secret_access_key = simulated-secret-key\naws_session_token = token\n"
        (self.folder / "credentials").write_text(f"[sim]\n{keys}")
        for target in TARGETS:
            # One for clients that come straight, which checks its key; one for the gateway.
            straight = [self.simulator, "--dialect", target.dialect, "--key", "sim-key", "--key", "AKIDSIM:sim-secret"]
            self.strict_urls[target.provider] = self._line(straight, "stdout")["base_url"]
            behind = [self.simulator, "--dialect", target.dialect, "--script", str(path)]
            self.urls[target.provider] = self._line(behind, "stdout")["base_url"]
        watch = [sys.executable, "-u", str(pathlib.Path(__file__).with_name("watch.py")), *self.urls.values()]
        between = self._line(watch, "stdout")
        self.watch = between["control"]
        watched = {provider: between["urls"][url] for provider, url in self.urls.items()}
        config = self.folder / "trunkline.yaml"
        config.write_text(json.dumps(configuration(self.folder, self.urls, watched), indent=1))
        command = [self.trunkline, "serve", "--config", str(config), "--log-format", "json"]
        self.gateway = "http://" + self._line(command, "stderr", "address")["address"]
        self._ready()

    def places(self):
        """Writes what the other halves of the run need to know into a file and returns its path."""
        path = self.folder / "places.json"
        own = {"gateway": self.gateway, "key": KEY, "straight_key": "sim-key", "watch": self.watch, "web": self.web.url}
        targets = [fields(target) | {"straight_url": self.strict_urls[target.provider]} for target in TARGETS]
        path.write_text(json.dumps(own | {"targets": targets}))
        return path

    def _line(self, command, stream, member=None):
        """Starts a program and returns the first JSON line with `member` that it prints."""
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment["AWS_SHARED_CREDENTIALS_FILE"] = str(self.folder / "credentials")
        pipes = {stream: subprocess.PIPE}
        process = subprocess.Popen(command, text=True, env=environment, **pipes)
        self.processes.append(process)
        lines = queue.Queue()
        log = (self.folder / f"{len(self.processes)}.log").open("w")

        def read():
            for line in getattr(process, stream):
                log.write(line)
                log.flush()
                lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        seen = []
        while True:
            line = lines.get(timeout=20)
            if line is None:
                raise RuntimeError(f"{command[0]} ended at its start:\n{''.join(seen)}")
            seen.append(line)
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if member is None or member in value:
                return value

    def _ready(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.gateway + "/readyz", timeout=10) as answer:
            assert answer.status == 200, answer.status
