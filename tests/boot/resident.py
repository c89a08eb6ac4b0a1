#!/usr/bin/env python3
"""Boots Linux to its shell and asks what memory the emulator holds beside the guest's own.

A page counts once, however often the process maps it (Pss; generated code is mapped twice). What
the guest has touched of its memory is the guest's.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "guest"))
import emulators  # noqa: E402

SKIPPED = 77
PROMPT = b"penumbra:/root# "
GUEST_MEMORY = "memfd:guest-ram"
PATIENCE = 300  # seconds


def wait_for_prompt(process):
    """Whether the shell asks for a command, before the patience ends."""
    os.set_blocking(process.stdout.fileno(), False)
    seen, end = b"", time.monotonic() + PATIENCE
    while PROMPT not in seen and time.monotonic() < end and process.poll() is None:
        seen += process.stdout.read() or b""
        time.sleep(0.1)
    return PROMPT in seen


def held_kib(pid):
    """Of the emulator, of the guest."""
    emulator = guest = 0
    in_guest = False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            in_guest = GUEST_MEMORY in line
        elif line.startswith("Pss:"):
            kib = int(line.split()[1])
            guest += kib if in_guest else 0
            emulator += 0 if in_guest else kib
    return emulator, guest


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--penumbra", required=True)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initrd", required=True)
    parser.add_argument("--bound", type=int, default=120, help="MiB (120)")
    options = parser.parse_args()
    for path in (options.kernel, options.initrd):
        if not pathlib.Path(path).exists():
            print(f"skipped: there is no {path}")
            return SKIPPED
    guest = emulators.Guest(options.kernel, options.initrd)
    process = subprocess.Popen(emulators.penumbra(options.penumbra, guest), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    try:
        if not wait_for_prompt(process):
            print("FAILED: no prompt of the shell")
            return 1
        emulator, guest = (kib / 1024 for kib in held_kib(process.pid))
    finally:
        process.kill()
    print(f"{emulator:.1f} MiB held beside {guest:.1f} MiB of the guest's")
    if guest == 0 or emulator > options.bound:
        print(f"FAILED: at most {options.bound} MiB")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
