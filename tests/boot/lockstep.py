#!/usr/bin/env python3
"""Boots a Debian kernel in lockstep: generated code beside the interpreter.

The machines must be in equal states after every slice up to the limit, and have got somewhere. The
report of a difference is what the command prints.
"""
import argparse
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "guest"))
import emulators  # noqa: E402

SKIPPED = 77
MAX_INSTRUCTIONS_REACHED = 4  # exit status, see penumbra run --help


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--penumbra", required=True)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initrd", required=True)
    parser.add_argument("--instructions", default="1G")
    parser.add_argument("--expect", default="Linux version", help="text on the console by then")
    parser.add_argument("--seed", default="1")
    options = parser.parse_args()
    for path in (options.kernel, options.initrd):
        if not pathlib.Path(path).exists():
            print(f"skipped: there is no {path}")
            return SKIPPED
    guest = emulators.Guest(options.kernel, options.initrd, "console=ttyS0 earlyprintk=ttyS0")
    command = emulators.penumbra(options.penumbra, guest, "--engine", "lockstep", "--engine-seed",
                                 options.seed, "--max-instructions", options.instructions)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=540)
    if done.returncode != MAX_INSTRUCTIONS_REACHED:
        print(f"FAILED: exit status {done.returncode}, expected {MAX_INSTRUCTIONS_REACHED}")
    elif options.expect.encode() not in done.stdout:
        print(f"FAILED: no '{options.expect}' on the console")
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
