"""Writes benchmarks/README.md: what is measured and how, then the table of stored results."""
import pathlib

import report

HEAD = """\
# Benchmarks

`./dev bench` builds the kit in `guest/` (one static program, `-O2`, x86-64 baseline), runs it
natively, under Debian's QEMU TCG and under Penumbra, and writes `build/bench/results.json` and
`results.svg`. This file is written from such results by `./dev bench --write-readme`.

- Both emulators boot the same kernel and initramfs with the same memory and command line. All
  programs of a class run in one session; the engines take turns, class by class, run by run.
- Seconds are the host's, between two short lines that a program prints when it has prepared its
  data and when it has its checksum. Boot is from the start of the process to init's first line.
- A program counts only if its checksum is the native one. Programs that need AVX2 and FMA ask CPUID
  and are not offered where these are missing.
- "x QEMU" is QEMU's median divided by Penumbra's; "range" is what the fastest and slowest runs
  allow; "slower" marks a program that stays below 0.95 even so. "x native" is the native median
  divided by Penumbra's. Class figures are geometric means of "x QEMU"; "everything" is that of all
  programs.

| To | Run |
|---|---|
| measure everything | `./dev bench` |
| look quickly: one run, a fifth of the work | `./dev bench --quick` |
| measure a class, or some programs | `./dev bench --class string --program fib` |
| tune: only Penumbra, beside the stored times of the others | `./dev bench --reuse --class float` |
| choose Penumbra's engine | `./dev bench --engine interp` |

`guest/*.c` holds a class each; a new program is a function and a line in its file's table. `kit.py`
starts the engines, `measure.py` reads the marks, `report.py` does the arithmetic, `picture.py` and
this file's `readme.py` show it.
"""


def as_markdown(head, lines):
    yield "| " + " | ".join(head) + " |"
    yield "|" + "|".join("---" if title in report.WORDS else "---:" for title in head) + "|"
    for cells in lines:
        yield "| " + " | ".join(cells) + " |"


def without_places(words):
    """A command with the names of its files, but not their folders."""
    return " ".join(pathlib.Path(word).name if word.startswith("/") else word for word in words)


def conditions(results):
    host = results["host"]
    yield (f"- Machine: {host['cpu']}, {host['cpus']} CPUs, load {host['load']:g} before, "
           f"Linux {host['kernel']}")
    yield f"- Penumbra {host['penumbra']}; {host['qemu'] or 'no QEMU'}"
    yield f"- {results['date']}: {results['runs']} runs at scale {results['scale']:g}"
    for engine, command in results["commands"].items():
        yield f"- {engine}: `{without_places(command)}`"


def write(results):
    programs, classes = report.tables(results)
    lines = [HEAD, "## Results", "", *conditions(results), "", *as_markdown(*classes), "",
             *as_markdown(*programs)]
    problems = report.failures(results)
    if problems:
        lines += ["", *(f"- {problem}" for problem in problems)]
    return "\n".join(lines) + "\n"
