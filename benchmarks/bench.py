#!/usr/bin/env python3
"""Measures the benchmark kit natively, under QEMU TCG and under Penumbra, and reports the ratios.

Writes NAME.json and NAME.svg into the output folder and prints tables. NAME is "results" after a
complete run, "quick" after one with --quick, "partial" after one of some programs or with --reuse.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys

import kit
import measure
import picture
import readme
import report

HERE = pathlib.Path(__file__).resolve().parent
RUNS, QUICK_SCALE = 3, 0.2
BUSY = 0.7  # load average from which on a warning is due


def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.splitlines()[0] if done.stdout else None


def host():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo")
                  if line.startswith("model name")), "unknown")
    return {"cpu": model, "cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1),
            "kernel": platform.release(),
            "qemu": first_line("qemu-system-x86_64", "--version"),
            "penumbra": first_line("git", "-C", str(HERE), "describe", "--always", "--dirty")
            or "of unknown revision"}


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    for name in ("penumbra", "kernel", "initrd", "kit", "output"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS, required=True)
    parser.add_argument("--class", dest="groups", action="append", default=[], metavar="CLASS",
                        help="only programs of this class; may be repeated")
    parser.add_argument("--program", dest="names", action="append", default=[], metavar="NAME",
                        help="only this program; may be repeated, and joined to --class")
    parser.add_argument("--runs", type=int, metavar="N", help=f"default {RUNS}, with --quick 1")
    parser.add_argument("--quick", action="store_true", help="one run, a fifth of the work")
    parser.add_argument("--scale", type=float, metavar="FACTOR", help="of the work; default 1")
    parser.add_argument("--engine", help="given to Penumbra as its --engine")
    parser.add_argument("--reuse", nargs="?", const="", metavar="FILE",
                        help="run only Penumbra; take the other times from earlier results "
                             "(default: results.json, with --quick quick.json)")
    parser.add_argument("--list", action="store_true", help="list classes and programs")
    parser.add_argument("--write-readme", action="store_true",
                        help="write benchmarks/README.md from the last complete results")
    options = parser.parse_args()
    options.runs = options.runs or (1 if options.quick else RUNS)
    options.scale = options.scale or (QUICK_SCALE if options.quick else 1.0)
    options.output = pathlib.Path(options.output)
    return options


def stored(path):
    try:
        return json.loads(pathlib.Path(path).read_text())
    except (OSError, ValueError) as error:
        sys.exit(f"bench: no results to use: {error}")


def earlier(options):
    """The measurements that this run starts from: of other engines with --reuse, or none."""
    measurements = measure.Measurements()
    if options.reuse is None:
        return measurements
    name = "quick.json" if options.quick else "results.json"
    results = stored(options.reuse or options.output / name)
    if results["scale"] != options.scale:
        sys.exit(f"bench: the stored results are of scale {results['scale']:g}")
    measurements.checksums = results["checksums"]
    for what in ("samples", "failures", "unsupported"):
        kept = {engine: of for engine, of in results[what].items() if engine != "penumbra"}
        setattr(measurements, what, kept)
    return measurements


def engines_to_run(options):
    if options.reuse is not None:
        return ["penumbra"]
    if shutil.which("qemu-system-x86_64"):
        return list(report.ENGINES)
    print("bench: QEMU is not installed; there will be no ratios to it", file=sys.stderr)
    return ["native", "penumbra"]


def run(options, programs):
    penumbra_options = ["--engine", options.engine] if options.engine else []
    engines = kit.Engines(options.kit, options.penumbra, options.kernel, options.initrd,
                          options.scale, penumbra_options)
    which, measurements = engines_to_run(options), earlier(options)
    conditions = host()
    if conditions["load"] > BUSY:
        print(f"bench: the machine is busy (load {conditions['load']}): times will mislead",
              file=sys.stderr)
    measure.measure(engines, which, programs, options.runs, measurements)
    return {"date": datetime.date.today().isoformat(), "host": conditions, "runs": options.runs,
            "scale": options.scale,
            "programs": [{"name": program.name, "class": program.group} for program in programs],
            "commands": {engine: engines.command(engine, ["..."]) for engine in report.ENGINES},
            "samples": measurements.samples, "failures": measurements.failures,
            "unsupported": measurements.unsupported, "checksums": measurements.checksums}


def result_name(options):
    if options.groups or options.names or options.reuse is not None:
        return "partial"
    return "quick" if options.quick else "results"


def save(results, options):
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / result_name(options)
    path.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    path.with_suffix(".svg").write_text(picture.draw(results))
    print(f"written: {path}.json, {path}.svg")


def show(results):
    for head, lines in report.tables(results):
        print("\n".join(report.as_text(head, lines)), end="\n\n")
    for problem in report.failures(results):
        print(problem)


def main():
    options = parse_arguments()
    if options.write_readme:
        (HERE / "README.md").write_text(readme.write(stored(options.output / "results.json")))
        return 0
    try:
        programs = kit.select(kit.programs(options.kit), options.groups, options.names)
    except KeyError as unknown:
        sys.exit(f"bench: neither class nor program: {unknown.args[0]} (try --list)")
    if options.list:
        print("\n".join(f"{program.group:10}{program.name}" for program in programs))
        return 0
    results = run(options, programs)
    show(results)
    save(results, options)
    return 1 if results["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
