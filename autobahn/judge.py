#!/usr/bin/env python3
"""Compares the reports of a run with the expected results.

    autobahn/judge.py target/autobahn/server

The folder is what `autobahn/run` leaves for one role: `cases.json` (the cases that were selected) and one
`N/report/index.json` for each group of cases. Nothing is forgiven: a case that was not run, a case that was run twice
or without being selected, and any result other than the expected one count as failed.
"""

import fnmatch
import json
import sys
from pathlib import Path

EXPECTED = Path(__file__).resolve().parent / "expected.json"


def expected_results():
    """Returns the expected result of every case of the suite, in the suite's order."""
    table = json.loads(EXPECTED.read_text())
    cases = [f"{group}.{n}" for group, count in table["cases"].items() for n in range(1, count + 1)]
    return {case: table["exceptions"].get(case, table["default"]) for case in cases}


def select(patterns):
    """Returns the cases that match one of the patterns (`6.4.*`), in the suite's order."""
    cases = list(expected_results())
    for pattern in patterns:
        if not fnmatch.filter(cases, pattern):
            raise ValueError(f"no case matches {pattern!r}; a case is written 6.4.1, a group 6.4.*")
    return [case for case in cases if any(fnmatch.fnmatchcase(case, p) for p in patterns)]


def read_reports(folder):
    """Returns (case, result) for every case that any report of the run speaks of."""
    found = []
    for index in sorted(folder.glob("*/report/index.json")):
        for cases in json.loads(index.read_text()).values():
            for case, result in cases.items():
                found.append((case, {**result, "report": index.parent / result["reportfile"]}))
    return found


def deviations(selected, found):
    """Returns (case, what is wrong with it), one for each case that is not as it should be."""
    expected = expected_results()
    results = dict(found)
    names = [case for case, _ in found]
    wrong = []
    for case in selected:
        if case not in results:
            wrong.append((case, "was not run"))
        elif names.count(case) > 1:
            wrong.append((case, f"was run {names.count(case)} times"))
        elif any(results[case][key] != value for key, value in expected[case].items()):
            wrong.append((case, describe(results[case], expected[case])))
    strangers = [case for case in results if case not in selected]
    return wrong + [(case, "was run, but not selected") for case in strangers]


def describe(result, expected):
    """Describes the result, the expected result, and where the suite explains the case."""
    pairs = [f"{key} {result[key]}, expected {value}" for key, value in expected.items() if result[key] != value]
    return f"{'; '.join(pairs)} ({result['report'].with_suffix('.html')})"


def judge(folder):
    """Prints every deviation and the closing line; returns whether there was none."""
    selected = json.loads((folder / "cases.json").read_text())
    found = read_reports(folder)
    wrong = deviations(selected, found)
    print(f"{folder.name}: {len(selected)} cases selected, {len(found)} reported")
    for case, what in wrong:
        print(f"{folder.name}: {case} {what}")
    failed = {case for case, _ in wrong}
    print(f"{folder.name}: {len(set(selected) - failed)} passed, {len(failed)} failed")
    return not wrong


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(0 if judge(Path(sys.argv[1])) else 1)
