"""Compares the protocol core of Sockeye with that of Python's `websockets`.

tests/interoperability/run starts this script. Its environment can contain:

    SEED=1          selects the streams: two runs with the same seed compare the same streams
    STREAMS=12000   the number of streams
    STREAM=1234     compares only the stream with this number, and prints it

Each stream is passed to both implementations whole, in single bytes, and in pieces of seven bytes. The result of an
implementation must not depend on the pieces. Sockeye must have the result of `websockets`, changed by the rules of
head_rules.py and frame_rules.py. The table in docs/conformance.md explains each rule.
"""

import collections
import functools
import multiprocessing
import os
import pathlib
import re
import struct
import subprocess
import sys

import websockets

import frame_rules
import head_rules
import reference
from outcome import is_late_flush_of, sockeye_outcome
from streams import HANDSHAKE, generate

WHOLE = 2**30
PIECES = [WHOLE, 1, 7]
# `websockets` receives at most about this many pieces, so that long streams do not take most of the time.
MOST_PIECES = 1000
CHUNK = 500  # streams for one process of Sockeye
MOST_FAILURES, MOST_TEXT = 20, 4000  # how many failures are printed, and how many characters of each
RULES = [*head_rules.HEAD_RULES, *frame_rules.FRAME_RULES]
# A run of this many streams must contain everything that is listed here, and apply every rule.
ENOUGH = 12_000
EXPECTED = [
    "accepted", "rejected with 4xx", "rejected with 5xx", "incomplete", "text", "binary", "ping", "pong", "close",
    *(f"failed with {code}" for code in (1002, 1006, 1007, 1008, 1009)),
]
PAGE = pathlib.Path(__file__).parents[3] / "docs" / "conformance.md"


class Different(Exception):
    """The implementations differ, and no rule explains it."""


def run_sockeye(streams):
    """Returns the results of core.rs for each stream."""
    records = []
    for stream in streams:
        extensions = stream.extensions.encode()
        record = bytes([stream.role, stream.begin, stream.compresses, len(extensions)]) + extensions + stream.data
        records.append(struct.pack("<I", len(record)) + record)
    process = subprocess.run([os.environ["SOCKEYE_CORE"]], input=b"".join(records), stdout=subprocess.PIPE, check=True)
    results = list(contents(process.stdout))
    assert len(results) == len(streams), "Sockeye has not answered each record"
    return [list(contents(result)) for result in results]


def contents(data):
    at = 0
    while at < len(data):
        size, = struct.unpack_from("<I", data, at)
        yield data[at + 4:at + 4 + size]
        at += 4 + size


def compare(stream, results):
    """Returns the outcome of Sockeye, and the rules that explain why that of `websockets` is a different one."""
    *ours, late = [sockeye_outcome(stream, result) for result in results]
    same("Sockeye, in pieces", ours)
    if not is_late_flush_of(late, ours[0]):
        raise Different(f"Sockeye, if output is written late:\n  {ours[0]}\n  {late}")
    theirs = []
    for size in PIECES:
        size = max(size, len(stream.data) // MOST_PIECES)
        theirs.append(reference.receive(reference.create(stream), stream, size))
    same("websockets, in pieces", theirs)
    expected, applied = expectation(stream, ours[0])
    if ours[0] != expected or (ours[0] != theirs[0] and not applied):
        raise Different(f"\n  Sockeye    {ours[0]}\n  websockets {theirs[0]}\n  expected   {expected}, by {applied}")
    return ours[0], applied if ours[0] != theirs[0] else set()


def same(whose, outcomes):
    if any(outcome != outcomes[0] for outcome in outcomes):
        raise Different(f"{whose}:" + "".join(f"\n  {outcome}" for outcome in outcomes))


def expectation(stream, ours):
    """Returns the outcome of `websockets` with all rules, and the rules that have an effect."""
    length, applied = 0, set()
    if stream.begin == HANDSHAKE:
        stream, length, applied = head_rules.acceptable(stream)
    protocol = reference.create(stream, frame_rules.AmendedServer, frame_rules.AmendedClient)
    expected = reference.receive(protocol, stream, WHOLE)
    applied = applied | protocol.applied
    if stream.begin == HANDSHAKE:
        expected, more = head_rules.judged(stream, length, expected, ours)
        applied |= more
    return expected, applied


def compare_chunk(seed, numbers):
    """Compares streams; returns how often each rule was applied, what the streams contain, and the failures."""
    streams = [generate(seed, number) for number in numbers]
    applied, contained, failures = collections.Counter(), collections.Counter(), []
    for number, stream, results in zip(numbers, streams, run_sockeye(streams)):
        try:
            outcome, rules = compare(stream, results)
        except (Different, AssertionError) as error:
            failures.append((number, str(error)))
        else:
            applied.update(rules)
            contained.update(outcome.contents())
            contained["streams with an accepted difference"] += bool(rules)
    return applied, contained, failures


def check_page():
    """Every rule is explained on the page, and every rule on the page exists."""
    section = PAGE.read_text(encoding="utf-8").partition("## Differences from `websockets`")[2].partition("\n## ")[0]
    explained = re.findall(r"^\| `([-a-z0-9]+)` \|", section, re.MULTILINE)
    assert sorted(explained) == sorted(RULES), f"{PAGE.name} does not match the rules: {set(explained) ^ set(RULES)}"


def main():
    seed, count, only = os.environ.get("SEED", "1"), int(os.environ.get("STREAMS", ENOUGH)), os.environ.get("STREAM")
    check_page()
    numbers = range(count) if only is None else [int(only)]
    assert numbers, "there is nothing to compare"
    print(f"differential test: {len(numbers)} streams, SEED={seed}", flush=True)
    chunks = [numbers[at:at + CHUNK] for at in range(0, len(numbers), CHUNK)]
    applied, contained, failures = collections.Counter(), collections.Counter(), []
    with multiprocessing.Pool() as pool:
        for rules, names, failed in pool.imap(functools.partial(compare_chunk, seed), chunks):
            applied.update(rules)
            contained.update(names)
            for number, text in failed[:max(0, MOST_FAILURES - len(failures))]:
                repeat = f"SEED={seed} STREAM={number}"
                print(f"FAILED: stream {number}, to repeat with {repeat}: {text[:MOST_TEXT]}", flush=True)
            failures += failed
    if only is not None:
        print(generate(seed, numbers[0]))
    print("contents:", ", ".join(f"{name} {number}" for name, number in sorted(contained.items())))
    print("accepted differences:", ", ".join(f"{name} {number}" for name, number in applied.most_common()))
    missing = [name for name in [*EXPECTED, *RULES] if not contained[name] and not applied[name]]
    if missing and len(numbers) >= ENOUGH and not failures:
        print("FAILED: no stream contains", ", ".join(missing))
        failures = missing
    print(f"differential test with websockets {websockets.__version__}: {len(numbers) - len(failures)} passed, "
          f"{len(failures)} failed", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
