#!/usr/bin/env python3
"""./dev ledger: writes docs/ledger.md from docs/ledger.toml and the last test results.

Results are the JUnit files that ./dev test left in build/ and build-sanitize/. A promise is kept
only if a test matches it, none of its tests failed, and not all of them were skipped.
"""
import pathlib
import re
import sys
import tomllib

import count_tests

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = {"": ROOT / "build/junit.xml", "sanitize/": ROOT / "build-sanitize/junit.xml"}
HEAD = """# Ledger: what is promised, what proves it, and whether it held

Written by `./dev ledger` from docs/ledger.toml and the results of the last `./dev test`.

| Area | Promise | Proof (test names) | Last result |
|---|---|---|---|
"""


def results():
    """test name -> outcome, over both builds."""
    return {prefix + name: outcome for prefix, path in RESULTS.items() if path.exists()
            for name, outcome in count_tests.cases(path)}


def verdict(outcomes):
    """One cell for what became of a promise's tests."""
    if not outcomes:
        return "**not kept**: no test"
    counts = {kind: outcomes.count(kind) for kind in ("passed", "failed", "skipped")}
    text = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    if counts["failed"]:
        return f"**not kept**: {text}"
    return f"kept: {text}" if counts["passed"] else f"**not proven here**: {text}"


def row(promise, outcomes_by_name):
    pattern = re.compile(promise["tests"])
    outcomes = [outcome for name, outcome in outcomes_by_name.items() if pattern.search(name)]
    proof = promise["tests"].replace("|", "\\|")
    return f"| {promise['area']} | {promise['text']} | `{proof}` | {verdict(outcomes)} |"


def main():
    promises = tomllib.loads((ROOT / "docs/ledger.toml").read_text())["promise"]
    outcomes = results()
    if not outcomes:
        print("ledger: no results; run ./dev test first", file=sys.stderr)
        return 1
    rows = [row(promise, outcomes) for promise in promises]
    (ROOT / "docs/ledger.md").write_text(HEAD + "\n".join(rows) + "\n")
    kept = sum("| kept:" in line for line in rows)
    print(f"docs/ledger.md: {kept} of {len(rows)} promises kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
