#!/usr/bin/env python3
"""perf report names the guest's code that penumbra run --perf-map ran.

Usage: perf_test.py PENUMBRA. Ends with 77 where there is no perf or it may not record.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
TIMEOUT = 120
# mov ecx, 300000000; l: add rax, rcx; dec ecx; jnz l
LOOP = bytes.fromhex("b900a3e1114801c8ffc975f9")
NAMED = re.compile(r"\[\.\] guest_100005\+64-kernel")


def perf(*words):
    return subprocess.run(["perf", *words], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=TIMEOUT, text=True)


def main(penumbra):
    if shutil.which("perf") is None:
        print("perf is not installed")
        return SKIPPED
    sys.argv = ["command_test.py", penumbra]
    import command_test
    with tempfile.TemporaryDirectory() as folder:
        data, kernel = os.path.join(folder, "data"), os.path.join(folder, "guest")
        if perf("record", "-e", "cpu-clock", "-o", data, "true").returncode != 0:
            print("perf may not record here")
            return SKIPPED
        with open(kernel, "wb") as file:
            file.write(command_test.elf(LOOP + command_test.POWER_OFF))
        run = perf("record", "-e", "cpu-clock", "-o", data, penumbra, "run", "--kernel", kernel,
                   "--memory", "16M", "--engine", "baseline", "--perf-map", "--serial", "none")
        report = perf("report", "--stdio", "--sort", "pid,dso,symbol", "-i", data)
        process = re.search(r"(\d+):penumbra", report.stdout)
        if process:
            os.unlink(f"/tmp/perf-{process[1]}.map")
    if run.returncode != 0 or not NAMED.search(report.stdout):
        print(f"no name for the guest's code:\n{run.stderr}\n{report.stdout}\n{report.stderr}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1])))
