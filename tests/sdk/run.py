"""Runs the official Python clients against the simulators and through the gateway.

    run.py TRUNKLINE_BINARY SIMULATOR_BINARY [--only TEXT ...] [--verbose]

First each client talks straight to the simulator of its own dialect, so that simulator and client are known to agree; then
the OpenAI, Anthropic and Google clients talk to providers of all three dialects through the gateway. Prints a table per
client, each failure, and `N passed, N failed`. Needs the packages of requirements.txt and nothing else.
"""

import argparse
import collections
import concurrent.futures
import inspect
import sys
import tempfile
import time
import traceback
import warnings


import straight
from harness import CASES, CHAT_ONLY, TARGETS, Place
from processes import Servers

# Importing them declares their cases.
import anthropic_cases  # noqa: F401
import cohere_cases  # noqa: F401
import fault_cases  # noqa: F401
import gemini_cases  # noqa: F401
import openai_cases  # noqa: F401
import relayed_cases  # noqa: F401
import responses_cases  # noqa: F401

# Clients wait far more than they compute.
WORKERS = 8

Outcome = collections.namedtuple("Outcome", "client name column verdict detail")


def outcome_of(client, name, column, action):
    """Runs one case; whatever it raises is its failure."""
    try:
        action()
        return Outcome(client, name, column, "passed", "")
    except Exception as error:  # noqa: BLE001 - every failure is reported, none ends the run
        own = [frame for frame in traceback.extract_tb(error.__traceback__) if "/tests/sdk/" in frame.filename]
        place = f"{own[-1].filename.rsplit('/', 1)[-1]}:{own[-1].lineno}: " if own else ""
        return Outcome(client, name, column, "failed", f"{place}{type(error).__name__}: {str(error)[:1500]}")


def jobs(servers, only):
    """Every case that is to run, and those that do not apply, as outcomes."""
    todo, skipped = [], []

    def wanted(*words):
        label = " ".join(words)
        return not only or any(text in label for text in only)

    for function in straight.CASES:
        client, _, name = function.__name__.partition("_")
        if wanted(client, name, "straight"):
            url = servers.strict_urls[client]
            todo.append((client, name, "straight", lambda function=function, url=url: function(url)))
    for case in CASES:
        for target in (*TARGETS, CHAT_ONLY) if case.client == "responses" else TARGETS:
            if not wanted(case.client, case.name, target.provider):
                continue
            reason = case.not_applicable.get(target.provider)
            if reason:
                skipped.append(Outcome(case.client, case.name, target.provider, "n/a", reason))
            else:
                run = lambda case=case, target=target: case.run(target)
                todo.append((case.client, case.name, target.provider, run))
    return todo, skipped


def table(outcomes):
    """One table per client: cases by providers."""
    columns = ("straight", *(target.provider for target in (*TARGETS, CHAT_ONLY)))
    marks = {"passed": "ok", "failed": "FAILED", "n/a": "n/a"}
    for client in dict.fromkeys(outcome.client for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.client == client]
        names = list(dict.fromkeys(outcome.name for outcome in own))
        found = {(outcome.name, outcome.column): outcome for outcome in own}
        width = max(map(len, names)) + 2
        print(f"\n{client} client".ljust(width + 3) + "".join(column.ljust(11) for column in columns))
        for name in names:
            cells = [found.get((name, column)) for column in columns]
            print("  " + name.ljust(width) + "".join((marks[cell.verdict] if cell else "").ljust(11) for cell in cells))


def main():
    parser = argparse.ArgumentParser(description=inspect.cleandoc(__doc__).splitlines()[0])
    parser.add_argument("trunkline")
    parser.add_argument("simulator")
    parser.add_argument("--only", nargs="+", default=[], help="run only cases whose `client name provider` holds one")
    parser.add_argument("--verbose", action="store_true", help="say why cases do not apply")
    arguments = parser.parse_args()
    # Names of deprecated models are used on purpose: they differ in what they support.
    warnings.simplefilter("ignore")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="trunkline-sdk-") as folder:
        with Servers(arguments.trunkline, arguments.simulator, folder) as servers:
            Place.gateway = servers.gateway
            todo, outcomes = jobs(servers, arguments.only)
            with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
                outcomes += pool.map(lambda job: outcome_of(*job), todo)
    order = {(case.client, case.name): number for number, case in enumerate(CASES)}
    outcomes.sort(key=lambda outcome: (outcome.client, order.get((outcome.client, outcome.name), -1)))
    if outcomes:
        table(outcomes)
    reasons = [outcome for outcome in outcomes if outcome.verdict == "n/a"]
    failures = [outcome for outcome in outcomes if outcome.verdict == "failed"]
    print()
    for outcome in reasons if arguments.verbose else ():
        print(f"n/a {outcome.client} {outcome.name} {outcome.column}: {outcome.detail}")
    for outcome in failures:
        print(f"FAILED {outcome.client} {outcome.name} {outcome.column}: {outcome.detail}")
    passed = sum(outcome.verdict == "passed" for outcome in outcomes)
    print(f"{time.monotonic() - started:.0f} s, {len(reasons)} not applicable")
    print(f"{passed} passed, {len(failures)} failed")
    sys.exit(1 if failures or not passed else 0)


if __name__ == "__main__":
    main()
