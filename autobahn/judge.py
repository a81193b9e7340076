#!/usr/bin/env python3
"""Compares the reports of a run with the expected results.

    autobahn/judge.py target/autobahn/server

The folder is the output of `autobahn/run` for one role: `cases.json` (the selected cases) and one
`N/report/index.json` for each group of cases. The comparison is strict. A case counts as failed if it was not run, was
run more than once, was run without being selected, or has any other result than the expected one.
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
            raise ValueError(f"no case matches {pattern!r}; the form of a case is 6.4.1, and that of a group is 6.4.*")
    return [case for case in cases if any(fnmatch.fnmatchcase(case, p) for p in patterns)]


def read_reports(folder):
    """Returns (case, result) for every case in the reports of the run."""
    found = []
    for index in sorted(folder.glob("*/report/index.json")):
        for cases in json.loads(index.read_text()).values():
            for case, result in cases.items():
                found.append((case, {**result, "report": index.parent / result["reportfile"]}))
    return found


def deviations(selected, found):
    """Returns (case, description of the deviation) for every case that deviates from the expected results."""
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
    unselected = [case for case in results if case not in selected]
    return wrong + [(case, "was run, but not selected") for case in unselected]


def describe(result, expected):
    """Describes the result and the expected result, and names the page of the report about the case."""
    pairs = [f"{key} {result[key]}, expected {value}" for key, value in expected.items() if result[key] != value]
    return f"{'; '.join(pairs)} ({result['report'].with_suffix('.html')})"


def judge(folder):
    """Prints every deviation and a summary. Returns whether there are no deviations."""
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
