#!/usr/bin/env python3
"""Boots the same guest under Penumbra and under QEMU TCG, interleaved, and compares the times.

Measured by the host's clock: from process start to the init script's first line on the serial
console, then each loop from its "begin" line to its "end" line. The loops also run natively. Every
run must print the same results. Writes results.json and results.svg; prints a table.
"""
import argparse
import json
import pathlib
import platform
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "guest"))
import emulators  # noqa: E402
import picture  # noqa: E402

BOOT = "boot"
TIMEOUT = 900


class Failed(Exception):
    """A run that did not come to its end; the text says which and why."""


def measure(name, command):
    """Runs once: {"boot": seconds, LOOP: seconds, ...} and {LOOP: result}."""
    times, results, begun = {}, {}, {}
    console = emulators.Console(command, TIMEOUT, subprocess.PIPE)
    lines = []
    for seconds, line in console:
        lines.append(line)
        if "bench: " not in line:
            continue
        event, *words = line.split("bench: ", 1)[1].split()
        if event == "init":
            times[BOOT] = seconds
        elif event == "begin":
            begun[words[0]] = seconds
        elif event == "end":
            times[words[0]] = seconds - begun[words[0]]
            results[words[0]] = words[1]
    if console.status != 0 or not results:
        end = "\n".join(lines[-15:])
        raise Failed(f"{name}: exit status {console.status}; the last lines were\n{end}")
    return times, results


def run_all(commands, runs):
    """{engine: {what: [seconds, ...]}}; the engines take turns, so that drift hits all alike."""
    samples = {engine: {} for engine in commands}
    reference = None
    for run in range(runs):
        for engine, command in commands.items():
            print(f"run {run + 1} of {runs}: {engine}", file=sys.stderr, flush=True)
            times, results = measure(engine, command)
            reference = reference or results
            if results != reference:
                raise Failed(f"{engine} computed {results}, expected {reference}")
            for what, seconds in times.items():
                samples[engine].setdefault(what, []).append(seconds)
    return samples


def summary(values):
    return {"median": statistics.median(values), "low": min(values), "high": max(values),
            "samples": values}


def table(summaries):
    """One row a measurement: each engine's median and range, and the speed against QEMU."""
    engines = list(summaries)
    yield f"{'seconds':8}" + "".join(f"{engine:>26}" for engine in engines) + f"{'vs QEMU':>10}"
    for what in summaries["qemu"]:
        cells = []
        for engine in engines:
            entry = summaries[engine].get(what)
            cells.append(f"{entry['median']:.3f} ({entry['low']:.3f}-{entry['high']:.3f})"
                         if entry else "-")
        yield f"{what:8}" + "".join(f"{cell:>26}" for cell in cells) + speed_text(summaries, what)


def speed(summaries, engine, what):
    """How many times as fast as QEMU TCG, by the medians."""
    return summaries["qemu"][what]["median"] / summaries[engine][what]["median"]


def speed_text(summaries, what):
    return f"{speed(summaries, 'penumbra', what):9.2f}x" if "penumbra" in summaries else ""


def host():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo")
                  if line.startswith("model name")), "unknown")
    qemu = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True)
    return {"cpu": model, "kernel": platform.release(), "qemu": qemu.stdout.splitlines()[0]}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--penumbra", required=True)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initrd", required=True)
    parser.add_argument("--loops", required=True, help="the loops program, to run natively")
    parser.add_argument("--output", required=True, help="folder of the results")
    parser.add_argument("--quick", action="store_true", help="one run of a quarter of the work")
    parser.add_argument("--engines", default="native,qemu,penumbra",
                        help="which to run; qemu must be among them")
    return parser.parse_args()


def main():
    options = parse_arguments()
    runs, scale = (1, 1) if options.quick else (5, 4)
    guest = emulators.Guest(options.kernel, options.initrd,
                            f"{emulators.COMMAND_LINE} bench_scale={scale}")
    known = {"native": [options.loops, str(scale)], "qemu": emulators.qemu(guest),
             "penumbra": emulators.penumbra(options.penumbra, guest)}
    commands = {engine: known[engine] for engine in options.engines.split(",")}
    try:
        samples = run_all(commands, runs)
    except Failed as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    summaries = {engine: {what: summary(values) for what, values in entries.items()}
                 for engine, entries in samples.items()}
    report = {"host": host(), "runs": runs, "scale": scale, "commands": commands,
              "seconds": summaries}
    output = pathlib.Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    (output / "results.json").write_text(json.dumps(report, indent=2) + "\n")
    (output / "results.svg").write_text(picture.draw(report))
    print("\n".join(table(summaries)))
    print(f"written: {output}/results.json, {output}/results.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
