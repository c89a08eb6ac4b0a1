#!/usr/bin/env python3
"""A gdb that is attached to penumbra run --gdb-jit names the generated code that runs.

Usage: gdb_test.py PENUMBRA. Ends with 77 where there is no gdb or it may not attach.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
TIMEOUT = 120
LOOKS = 5
ENTRY = 0x100000
NAMED = re.compile(r"^guest_1000[0-9a-f]{2}\+64-kernel", re.MULTILINE)


def fail(text):
    print(text)
    sys.exit(1)


def attach(pid):
    return subprocess.run(["gdb", "-nx", "-batch", "-ex", "set debuginfod enabled off", "-p",
                           str(pid), "-ex", "thread apply all -q info symbol $pc"],
                          capture_output=True, timeout=TIMEOUT, text=True)


def look_until_named(pid):
    """Generated code runs nearly always, not always."""
    for _ in range(LOOKS):
        gdb = attach(pid)
        if NAMED.search(gdb.stdout):
            break
    return gdb


def main(penumbra):
    if shutil.which("gdb") is None:
        print("gdb is not installed")
        return SKIPPED
    sys.argv = ["command_test.py", penumbra]
    import command_test
    with tempfile.TemporaryDirectory() as folder:
        kernel = os.path.join(folder, "guest")
        with open(kernel, "wb") as file:
            file.write(command_test.elf(command_test.prints(b"ready") + command_test.SPIN, ENTRY))
        process = subprocess.Popen(
            [penumbra, "run", "--kernel", kernel, "--memory", "16M", "--engine", "baseline",
             "--gdb-jit"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            if process.stdout.read(5) != b"ready":
                fail("the guest does not run")
            time.sleep(0.2)
            gdb = look_until_named(process.pid)
        finally:
            process.kill()
            process.wait()
    if "ptrace" in gdb.stderr and "not permitted" in gdb.stderr:
        print("gdb may not attach to processes here")
        return SKIPPED
    if not NAMED.search(gdb.stdout):
        fail(f"no name for the guest's code:\n{gdb.stdout}\n{gdb.stderr}")
    return 0


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1])))
