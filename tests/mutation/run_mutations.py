#!/usr/bin/env python3
"""Mutation check: each one-line fault of mutations.json must turn its test red.

The sources are copied under the build folder and built there, so the work tree is never touched;
the copy is kept, so a later run compiles only what changed. A fault that is not noticed means that
a test is missing; one that does not compile, or whose test runs too long, proves nothing and fails.
"""
import argparse
import json
import pathlib
import shlex
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77
TEST_SECONDS = 60
PASSES, FAILS, SKIPS, HANGS = "passes", "fails", "is skipped", f"runs over {TEST_SECONDS} s"


class Failure(Exception):
    """Why a test of a mutation says nothing."""


class Workbench:
    """A copy of the work tree and its build."""

    def __init__(self, sources, folder, compiler):
        self.sources, self.compiler = sources, compiler
        self.copy, self.build_folder = folder / "source", folder / "build"

    def update(self):
        """Files that did not change keep their time, so that nothing is compiled for them."""
        listed = self._check(["git", "-C", self.sources, "ls-files", "-z", "--cached", "--others",
                              "--exclude-standard"]).split("\0")
        names = {name for name in listed if (self.sources / name).is_file()}
        for path in [path for path in self.copy.rglob("*") if path.is_file()]:
            if str(path.relative_to(self.copy)) not in names:
                path.unlink()
        for name in names:
            source, target = self.sources / name, self.copy / name
            if not target.exists() or target.read_bytes() != source.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)

    def configure(self):
        self._check(["cmake", "-S", self.copy, "-B", self.build_folder, "-G", "Ninja",
                     f"-DCMAKE_CXX_COMPILER={self.compiler}", "-DCMAKE_BUILD_TYPE=Release"])

    def build(self, programs):
        self._check(["ninja", "-C", self.build_folder, *sorted(programs)])

    def test(self, mutation):
        """What the mutation's test does as the sources are now."""
        command = [self.build_folder / mutation["program"], *mutation["arguments"]]
        try:
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL, timeout=TEST_SECONDS).returncode
        except subprocess.TimeoutExpired:
            return HANGS
        return {0: PASSES, SKIPPED: SKIPS}.get(status, FAILS)

    def mutate(self, mutation):
        """Puts the fault in; returns what takes it out again."""
        path = self.copy / mutation["file"]
        text = path.read_text()
        if text.count(mutation["replace"]) != 1:
            raise Failure(f"its text occurs {text.count(mutation['replace'])} times")
        path.write_text(text.replace(mutation["replace"], mutation["by"]))
        return lambda: path.write_text(text)

    def _check(self, command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise Failure(f"{command[0]} fails:\n{done.stdout[-4000:]}")
        return done.stdout


def test_mutated(bench, mutation):
    revert = bench.mutate(mutation)
    try:
        bench.build([mutation["program"]])
        return bench.test(mutation)
    finally:
        revert()


def judge(bench, mutation, unmutated):
    """"passed", "skipped" or "failed", and what to say of it."""
    test = shlex.join([mutation["program"], *mutation["arguments"]])
    if unmutated == SKIPS:
        return "skipped", f"{test} cannot run on this machine"
    if unmutated != PASSES:
        return "failed", f"FAILED: without the fault, too, {test} {unmutated}"
    try:
        mutated = test_mutated(bench, mutation)
    except Failure as failure:
        return "failed", f"FAILED: {failure}"
    if mutated == FAILS:
        return "passed", f"killed by {test}"
    return "failed", f"FAILED: with the fault, {test} {mutated}"


def show(name, start, what):
    print(f"{name:<32} {time.monotonic() - start:5.1f} s  {what}", flush=True)


def run(bench, mutations):
    start = time.monotonic()
    try:
        bench.update()
        bench.configure()
        bench.build({mutation["program"] for mutation in mutations})
    except Failure as failure:
        print(f"FAILED: {failure}")
        return 1
    unmutated = [bench.test(mutation) for mutation in mutations]
    show("(built and tested as they are)", start, "")
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for mutation, result in zip(mutations, unmutated):
        start = time.monotonic()
        outcome, what = judge(bench, mutation, result)
        show(mutation["name"], start, what)
        counts[outcome] += 1
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['passed']} passed, {counts['failed']} failed{skipped}")
    return 1 if counts["failed"] else 0 if counts["passed"] else SKIPPED


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="only print what would be done")
    parser.add_argument("--folder", type=pathlib.Path, help="where to copy and build")
    parser.add_argument("--compiler", default="clang++-19")
    parser.add_argument("name", nargs="*", help="only these mutations")
    options = parser.parse_args()
    mutations = json.loads((HERE / "mutations.json").read_text())
    known = [mutation["name"] for mutation in mutations]
    if unknown := set(options.name) - set(known):
        parser.error(f"no mutation is called {', '.join(sorted(unknown))}")
    chosen = [m for m in mutations if not options.name or m["name"] in options.name]
    if options.list:
        for mutation in chosen:
            print(f"{mutation['name']:<32} {mutation['file']}: {mutation['stands_for']}")
        return 0
    if options.folder is None:
        parser.error("--folder is needed")
    return run(Workbench(HERE.parent.parent, options.folder.resolve(), options.compiler), chosen)


if __name__ == "__main__":
    sys.exit(main())
