"""Runs cases of frameworks through the gateway and prints one line of JSON for each, as the JavaScript half does.

    run.py PLACES_FILE [TEXT ...]     only cases whose `client name provider` holds one of the texts

A row is a framework with one of its clients, a case and a provider. The cases are the same for all of them: what a framework
does of its own is in its `Framework`. Needs the packages of requirements.txt beside this file, which are other releases than the
official clients' cases use.
"""

import concurrent.futures
import dataclasses
import json
import logging
import os
import pathlib
import sys
import traceback
import warnings

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
# Frameworks report to their makers unless told not to, and look up prices on the network.
os.environ |= {"LANGSMITH_TRACING": "false", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "DO_NOT_TRACK": "1"}
os.environ |= {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
warnings.simplefilter("ignore")
# The errors that they log are the ones the cases ask for.
logging.disable(logging.CRITICAL)

import frameworks  # noqa: E402 - after the environment is set
from harness import Target  # noqa: E402
from processes import framework_model  # noqa: E402

# Frameworks compute more than the clients beneath them.
WORKERS = 4
# Seconds for one case, far more than any needs: a framework that hangs fails its case and not the run.
PATIENCE = 120


def plain(framework, target):
    text = framework.ask(framework_model(framework.name, target), "Hello there")
    assert "Hello there" in text and "Be brief" in text, text


def streamed(framework, target):
    pieces = framework.stream(framework_model(framework.name, target), "[[sim: unicode]]")
    text = "".join(pieces)
    assert "日本語のテキスト" in text and "👩‍👩‍👧‍👦" in text, text
    assert len([piece for piece in pieces if piece]) > 5, "the answer came in one piece"


def tools(framework, target):
    called, text = framework.tools(framework_model(framework.name, target), "Use get_weather and get_time")
    assert called == ["get_weather", "get_time"], called
    assert "fine" in text, text


def structured(framework, target):
    person = framework.structured(framework_model(framework.name, target), "Someone")
    assert isinstance(person.name, str) and isinstance(person.age, int), person


def error(framework, target):
    model = framework_model(framework.name, target, "rate-limited-retry-after=30")
    try:
        answer = framework.ask(model, "Where does this go?")
    except framework.rate_limited as found:
        assert "429" in str(found) or getattr(found, "status_code", None) == 429, repr(found)
    else:
        raise AssertionError(f"expected an error, got {answer!r}")


CASES = (plain, streamed, tools, structured, error)


def outcome(place, framework, case, target):
    reason = framework.not_applicable.get(case.__name__) or framework.not_applicable.get(
        (case.__name__, target.provider)
    )
    verdict, detail = ("n/a", reason) if reason else ("passed", "")
    if not reason:
        try:
            case(framework, target)
        except BaseException as failure:  # noqa: BLE001 - every failure is reported, none ends the run
            frames = [frame for frame in traceback.extract_tb(failure.__traceback__) if "/tests/sdk/" in frame.filename]
            at = f"{frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}: " if frames else ""
            words = " ".join(f"{type(failure).__name__}: {failure}".split())
            verdict, detail = "failed", (at + words)[:1500]
    return told(framework, case, target, verdict, detail)


def told(framework, case, target, verdict, detail):
    place = {"client": framework.name, "name": case.__name__, "column": target.provider}
    return place | {"verdict": verdict, "detail": detail}


def main():
    place = json.loads(pathlib.Path(sys.argv[1]).read_text())
    only = sys.argv[2:]
    known = {field.name for field in dataclasses.fields(Target)}
    targets = [Target(**{name: fact for name, fact in facts.items() if name in known}) for facts in place["targets"]]
    jobs = [
        (place, framework, case, target)
        for framework in frameworks.connected(place)
        for case in CASES
        for target in targets
        if not only or any(text in f"{framework.name} {case.__name__} {target.provider}" for text in only)
    ]
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        waiting = [(job, pool.submit(outcome, *job)) for job in jobs]
        for (_, framework, case, target), future in waiting:
            try:
                line = future.result(timeout=PATIENCE)
            except concurrent.futures.TimeoutError:
                line = told(framework, case, target, "failed", f"no end within {PATIENCE} s")
            print(json.dumps(line), flush=True)
        # Some frameworks leave threads behind that would keep the process.
        os._exit(0)


if __name__ == "__main__":
    main()
