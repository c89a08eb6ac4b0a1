#!/usr/bin/env python3
"""Reads CTest's JUnit files and prints one line: N passed, N failed, N skipped.

A test counts as skipped only if it says so itself (SKIP_RETURN_CODE); one that could not be run
counts as failed. Exit status 1 if any failed, none ran, or a file is missing.
"""
import sys
import xml.etree.ElementTree as ElementTree


def outcome(case):
    if case.get("status") == "run":
        return "passed"
    skipped = case.find("skipped")
    if skipped is not None and skipped.get("message", "").startswith("SKIP_"):
        return "skipped"
    return "failed"


def cases(path):
    """(name, outcome) of every test in one JUnit file."""
    return [(case.get("name"), outcome(case)) for case in ElementTree.parse(path).iter("testcase")]


def main(paths):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    broken = False
    for path in paths:
        try:
            for _, result in cases(path):
                counts[result] += 1
        except (OSError, ElementTree.ParseError) as error:
            print(f"count_tests: no results in {path}: {error}", file=sys.stderr)
            broken = True
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    return 1 if broken or counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
