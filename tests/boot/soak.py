#!/usr/bin/env python3
"""Runs a guest for very long and watches the emulator: right results, no difference, no growth.

The guest repeats the workload of the boot tests, which makes processes and files, and programs that
change their own code; the digest of each pass must be that of the same on this host. A share of the instructions runs in lockstep with the interpreter. A table
shows speed, the resident set and the number of blocks translated; the resident set may grow by
--bound MiB once the first pass is over. Ctrl-C ends the run early, with its verdict.
"""
import argparse
import dataclasses
import hashlib
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "guest"))
import boot  # noqa: E402
import emulators  # noqa: E402

SKIPPED = 77
MAX_INSTRUCTIONS_REACHED = 4  # exit status, see penumbra run --help
INTERRUPTED = 128 + signal.SIGINT
UNITS = {"k": 10**3, "M": 10**6, "G": 10**9}
PROGRESS = re.compile(r"lockstep: (\d+) million instructions, (\d+) compared, ([\d.]+) MIPS, "
                      r"(\d+) MiB resident, (\d+) blocks translated")
MEMORY_MIB = 128
KIT = ("0.002", "patch", "patch-loop", "data-beside", "inline-cache", "generate", "flip")


@dataclasses.dataclass
class Row:
    seconds: float
    instructions: int  # millions, as is the next
    compared: int
    mips: float
    resident: int  # MiB
    blocks: int
    passes: int

    HEADING = (f"{'seconds':>9}{'instructions/M':>16}{'in lockstep/M':>15}{'MIPS':>9}"
               f"{'resident/MiB':>14}{'blocks':>11}{'passes':>8}")

    def __str__(self):
        return (f"{self.seconds:9.0f}{self.instructions:16}{self.compared:15}{self.mips:9.1f}"
                f"{self.resident:14}{self.blocks:11}{self.passes:8}")


class Soak:
    def __init__(self, command, expected, total):
        self.expected = expected
        self.rows = []
        self.passes = 0
        self.wrong = []
        self._between_rows, self._next_row = total / 40 / 10**6, 0
        self._start = time.monotonic()
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True,
                                         errors="replace", stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE)

    def run(self):
        """The exit status."""
        print(Row.HEADING, flush=True)
        console = threading.Thread(target=self._read_console)
        console.start()
        for line in self._lines(self._process.stderr):
            if found := PROGRESS.search(line):
                self._add(Row(time.monotonic() - self._start, int(found[1]), int(found[2]),
                              float(found[3]), int(found[4]), int(found[5]), self.passes))
            else:
                print(line, end="", flush=True)
        console.join()
        if self.rows:
            print(self.rows[-1])
        return self._process.wait()

    def _lines(self, stream):
        """Until the stream ends; Ctrl-C reaches the emulator, too, which then ends it."""
        while True:
            try:
                if not (line := stream.readline()):
                    return
                yield line
            except KeyboardInterrupt:
                pass

    def _add(self, row):
        self.rows.append(row)
        if row.instructions >= self._next_row:
            print(row, flush=True)
            self._next_row = row.instructions + self._between_rows

    def _read_console(self):
        for line in self._process.stdout:
            if not line.startswith("soak: pass "):
                continue
            _, _, number, digest, *_ = line.split()
            self.passes = int(number)
            if digest != self.expected:
                self.wrong.append(f"pass {number} gave {digest}, on the host {self.expected}")

    def complaints(self, status, bound):
        found = self.wrong
        if status not in (MAX_INSTRUCTIONS_REACHED, INTERRUPTED):
            found.append(f"exit status {status}")
        if self.passes == 0:
            found.append("the workload was not run once")
        warm = [row.resident for row in self.rows if row.passes >= 1]
        if warm and max(warm) - warm[0] > bound:
            found.append(f"the resident set grew from {warm[0]} to {max(warm)} MiB")
        return found


def parse_count(text):
    return int(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--penumbra", required=True)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initrd", required=True)
    parser.add_argument("--program", action="append", default=[])
    parser.add_argument("--kit", required=True)
    parser.add_argument("--busybox", default="/bin/busybox")
    parser.add_argument("--instructions", default="200G", help="with k, M or G (default 200G)")
    parser.add_argument("--share", default="50M/1G", help="in lockstep: WINDOW/PERIOD (50M/1G)")
    parser.add_argument("--seed", default="0", help="varies the engine (0: not) and the slices")
    parser.add_argument("--bound", type=int, default=192, help="MiB of growth allowed (192)")
    options = parser.parse_args()
    for path in (options.kernel, options.initrd, options.kit):
        if not pathlib.Path(path).exists():
            print(f"skipped: there is no {path}")
            return SKIPPED
    results = boot.expected_lines(options.busybox, options.program)
    kit = subprocess.run([options.kit, "run", *KIT], check=True, capture_output=True, text=True)
    results += kit.stdout.splitlines()
    expected = hashlib.md5("".join(line + "\n" for line in results).encode()).hexdigest()
    append = f"{emulators.COMMAND_LINE} soak_kit={','.join(KIT)}"
    guest = emulators.Guest(options.kernel, options.initrd, append, memory=MEMORY_MIB)
    soak = Soak(emulators.penumbra(options.penumbra, guest, "--engine", "lockstep",
                                   "--lockstep-share", options.share, "--engine-seed",
                                   options.seed, "--max-instructions", options.instructions),
                expected, parse_count(options.instructions))
    status = soak.run()
    wrong = soak.complaints(status, options.bound)
    for complaint in wrong:
        print(f"FAILED: {complaint}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
