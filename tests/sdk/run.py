"""Runs the official clients against the simulators and through the gateway.

    run.py TRUNKLINE_BINARY SIMULATOR_BINARY [--half NAME COMMAND ...] [--page FILE [--update]]
           [--only TEXT ...] [--verbose]

First each client talks straight to the simulator of its own dialect, so that simulator and client are known to agree; then
it talks to providers of every dialect through the gateway. The Python clients run here; a half is a program for clients
that cannot (another language, releases that exclude each other): it is given the file that says where everything is and
prints one line of JSON per case. Prints a table per client, each failure, and `N passed, N failed`; compares the page of
documentation with what was seen, or writes it. Needs the packages of requirements.txt and nothing else.
"""

import argparse
import collections
import concurrent.futures
import inspect
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time
import traceback
import warnings


import matrix
import straight
from harness import CASES, CHAT_ONLY, TARGETS, Place
from processes import Servers

# Importing them declares their cases.
import anthropic_cases  # noqa: F401
import batch_cases  # noqa: F401
import cloud_batches  # noqa: F401
import clouds  # noqa: F401
import cohere_cases  # noqa: F401
import fault_cases  # noqa: F401
import gemini_cases  # noqa: F401
import more_cases  # noqa: F401
import openai_cases  # noqa: F401
import relayed_cases  # noqa: F401
import responses_cases  # noqa: F401
import sources_cases  # noqa: F401

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


def half(name, command, servers, only):
    """The outcomes that another program prints; a program that fails is a failure of its own."""
    process = subprocess.run([*shlex.split(command), servers.places(), *only], stdout=subprocess.PIPE, text=True)
    outcomes = [Outcome(**json.loads(line)) for line in process.stdout.splitlines()]
    if process.returncode or not (outcomes or only):
        outcomes.append(Outcome(name, "run", "straight", "failed", f"ended with {process.returncode}"))
    return outcomes


COLUMNS = ("straight", *(target.provider for target in (*TARGETS, CHAT_ONLY)))


def compared(path, update, outcomes):
    """The page of documentation as an outcome: written, or the same as what was seen."""
    text = matrix.page(outcomes, COLUMNS)
    if update:
        path.write_text(text)
    difference = matrix.differs(path, text)
    detail = difference and f"{difference}; `cargo xtask conformance --update` writes it"
    return Outcome("conformance", "page", "straight", "failed" if detail else "passed", detail)


def table(outcomes):
    """One table per client: cases by providers."""
    marks = {"passed": "ok", "failed": "FAILED", "n/a": "n/a"}
    for client in dict.fromkeys(outcome.client for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.client == client]
        names = list(dict.fromkeys(outcome.name for outcome in own))
        found = {(outcome.name, outcome.column): outcome for outcome in own}
        width = max(map(len, names)) + 2
        print(f"\n{client} client".ljust(width + 3) + "".join(column.ljust(11) for column in COLUMNS))
        for name in names:
            cells = [found.get((name, column)) for column in COLUMNS]
            print("  " + name.ljust(width) + "".join((marks[cell.verdict] if cell else "").ljust(11) for cell in cells))


def main():
    parser = argparse.ArgumentParser(description=inspect.cleandoc(__doc__).splitlines()[0])
    parser.add_argument("trunkline")
    parser.add_argument("simulator")
    parser.add_argument("--half", nargs=2, action="append", default=[], metavar=("NAME", "COMMAND"))
    parser.add_argument("--page", type=pathlib.Path, help="page of documentation to compare with what was seen")
    parser.add_argument("--update", action="store_true", help="write the page instead")
    parser.add_argument("--only", nargs="+", default=[], help="run only cases whose `client name provider` holds one")
    parser.add_argument("--verbose", action="store_true", help="say why cases do not apply")
    arguments = parser.parse_args()
    # Names of deprecated models are used on purpose: they differ in what they support.
    warnings.simplefilter("ignore")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="trunkline-sdk-") as folder:
        with Servers(arguments.trunkline, arguments.simulator, folder) as servers:
            Place.gateway, Place.watch, Place.web = servers.gateway, servers.watch, servers.web.url
            todo, outcomes = jobs(servers, arguments.only)
            with concurrent.futures.ThreadPoolExecutor(WORKERS + len(arguments.half)) as pool:
                halves = [pool.submit(half, *one, servers, arguments.only) for one in arguments.half]
                outcomes += pool.map(lambda job: outcome_of(*job), (job for job in todo if job[1] != "disconnect"))
                for one in halves:
                    outcomes += one.result()
            # Those that measure time run last and alone.
            outcomes += [outcome_of(*job) for job in todo if job[1] == "disconnect"]
    order = {(case.client, case.name): number for number, case in enumerate(CASES)}
    places = {column: number for number, column in enumerate(COLUMNS)}
    outcomes.sort(
        key=lambda one: (one.client, order.get((one.client, one.name), -1), one.name, places.get(one.column, -1))
    )
    if outcomes:
        table(outcomes)
    if arguments.page and not arguments.only:
        outcomes.append(compared(arguments.page, arguments.update, outcomes))
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
