#!/usr/bin/env python3
"""Builds the benchmark kit and runs every program briefly, natively.

Each program must come to its end, give the same checksum twice, and also when the C library is
told to do without AVX2 and FMA, as it does on emulated CPUs without them. Usage: kit_check.py KIT
"""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
import kit  # noqa: E402
import measure  # noqa: E402
import report  # noqa: E402

SCALE = "0.002"
OLDER_CPU = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-ERMS,-AVX512F,-AVX512VL"}


def run(binary, names, environment):
    """{name: checksum, or what went wrong}"""
    done = subprocess.run([binary, "run", SCALE, *names], capture_output=True, text=True,
                          env=os.environ | environment)
    heard = measure.Transcript()
    for place, line in enumerate(done.stdout.splitlines()):
        heard.feed(place, line)
    unsupported = {name: "unsupported" for name in heard.unsupported}
    return heard.failures | heard.checksums | unsupported


def main(binary):
    subprocess.run([ROOT / "benchmarks" / "guest" / "build.sh", binary], check=True)
    programs = [program for program in kit.programs(binary) if program.name != kit.BOOT]
    names = [program.name for program in programs]
    runs = [run(binary, names, environment) for environment in ({}, {}, OLDER_CPU)]
    problems = [f"{name}: {', '.join(found)}" for name in names
                if len(set(found := [results.get(name, "no end") for results in runs])) > 1
                or not is_checksum(found[0])]
    if len(set(names)) != len(names):
        problems.append("two programs have one name")
    if {program.group for program in programs} | {kit.BOOT} != report.TARGETS.keys():
        problems.append("classes and targets differ")
    print("\n".join(problems) or f"{len(names)} programs agree with themselves")
    return 1 if problems else 0


def is_checksum(text):
    return text == "unsupported" or all(digit in "0123456789abcdef" for digit in text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
