#!/usr/bin/env python3
"""Boots a Debian kernel with the self-test initramfs and compares what it prints.

The expected lines are computed now: the same workload script runs on this host under the same
static busybox. The guest must power off through ACPI (exit status 0). `--emulator qemu` runs the
same test under QEMU, to tell a broken guest from a broken emulator.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "guest"))
import emulators  # noqa: E402

SKIPPED = 77
POWERED_OFF = "powered-off"
WORKLOAD = pathlib.Path(emulators.__file__).parent / "workload.sh"
TIMEOUT = 540
FLAGS_OF_LONG_MODE = {"fpu", "tsc", "msr", "pae", "cx8", "apic", "cmov", "sse", "sse2", "lm", "nx"}


def expected_lines(busybox, programs):
    """The workload's output on the host, with nothing but busybox's applets and our programs."""
    with tempfile.TemporaryDirectory() as folder:
        bin_folder = pathlib.Path(folder, "bin")
        bin_folder.mkdir()
        listed = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True)
        for applet in listed.stdout.split():
            (bin_folder / applet).symlink_to(busybox)
        for program in programs:
            (bin_folder / pathlib.Path(program).name).symlink_to(program)
        run = subprocess.run([busybox, "sh", str(WORKLOAD)], check=True, capture_output=True,
                             text=True, cwd=folder, env={"PATH": str(bin_folder)})
    if run.stderr:
        raise RuntimeError(f"the workload failed on the host: {run.stderr}")
    return run.stdout.splitlines()


def show(console):
    """The console's lines, printed as they come."""
    lines = []
    for seconds, line in console:
        lines.append(line)
        print(f"{seconds:8.3f} {line}", flush=True)
    return lines


def boot(options):
    """The console's lines, and how the run ended."""
    guest = emulators.Guest(options.kernel, options.initrd)
    if options.emulator == "qemu":
        console = emulators.Console(emulators.qemu(guest), TIMEOUT)
        return show(console), POWERED_OFF if console.status == 0 else f"status {console.status}"
    with tempfile.TemporaryDirectory() as folder:
        stats = pathlib.Path(folder, "stats.json")
        console = emulators.Console(
            emulators.penumbra(options.penumbra, guest, "--deterministic", "--stats", str(stats)),
            TIMEOUT)
        lines = show(console)
        if console.status != 0:
            return lines, f"exit status {console.status}"
        return lines, json.loads(stats.read_text())["end"]


def complaints(lines, end, expected):
    """Everything that is wrong with a finished boot, one line each."""
    found = []
    if end != POWERED_OFF:
        found.append(f"the run ended by {end}, not {POWERED_OFF}")
    if "selftest: end" not in lines:
        return found + ["the guest did not come to the end of its script"]
    results = [line for line in lines if line.startswith("= ")]
    if results != expected:
        found += [f"missing: {line}" for line in expected if line not in results]
        found += [f"unexpected: {line}" for line in results if line not in expected]
        found += [] if found else ["the results come in another order"]
    return found + cpu_complaints(lines)


def cpu_complaints(lines):
    values = dict(re.findall(r"^(\w+)\s*: (.*)$", "\n".join(lines), re.MULTILINE))
    missing = FLAGS_OF_LONG_MODE - set(values.get("flags", "").split())
    found = [f"/proc/cpuinfo has no flag {flag}" for flag in sorted(missing)]
    if values.get("vendor_id") != "AuthenticAMD":
        found.append(f"/proc/cpuinfo: vendor_id is {values.get('vendor_id')}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--penumbra", required=True)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initrd", required=True)
    parser.add_argument("--program", action="append", default=[])
    parser.add_argument("--busybox", default="/bin/busybox")
    parser.add_argument("--emulator", choices=("penumbra", "qemu"), default="penumbra")
    options = parser.parse_args()
    for path in (options.kernel, options.initrd):
        if not pathlib.Path(path).exists():
            print(f"skipped: there is no {path}")
            return SKIPPED
    expected = expected_lines(options.busybox, options.program)
    lines, end = boot(options)
    wrong = complaints(lines, end, expected)
    for complaint in wrong:
        print(f"FAILED: {complaint}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
