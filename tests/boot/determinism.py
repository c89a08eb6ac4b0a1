#!/usr/bin/env python3
"""Two deterministic runs of one boot must be equal: console, state hash and every count
of what happened to the guest.

The second run gets another environment, another time of day and other addresses, as any two
processes do; nothing of that may reach the guest.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "guest"))
import emulators  # noqa: E402

SKIPPED = 77
MAX_INSTRUCTIONS_REACHED = 4  # exit status, see penumbra run --help
ENVIRONMENTS = ({"PATH": "/usr/bin:/bin"}, {"PATH": "/usr/bin:/bin", "TZ": "Asia/Tokyo",
                                            "LC_ALL": "C", "PADDING": "x" * 5000})
# The other statistics tell how the engine worked, which may depend on host addresses.
OF_THE_GUEST = ("end", "total_instructions", "resets", "halts", "state_hash", "clock")
EVENTS = (("events", "interrupts"), ("events", "exceptions"), ("exits", "port"), ("exits", "mmio"),
          ("exits", "halt"))


def run(options, guest, environment):
    """One run: what the console said and the statistics that are the guest's."""
    with tempfile.TemporaryDirectory() as folder:
        stats = pathlib.Path(folder, "stats.json")
        command = emulators.penumbra(options.penumbra, guest, "--deterministic", "--stats",
                                     str(stats), "--max-instructions", options.instructions)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              env=environment, timeout=540)
        if done.returncode != MAX_INSTRUCTIONS_REACHED:
            sys.exit(f"FAILED: exit status {done.returncode}, expected {MAX_INSTRUCTIONS_REACHED}")
        counts = json.loads(stats.read_text())
    return done.stdout, ({key: counts[key] for key in OF_THE_GUEST}
                         | {" ".join(key): counts["cpu"][key[0]][key[1]] for key in EVENTS})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--penumbra", required=True)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initrd", required=True)
    parser.add_argument("--instructions", default="500M")
    options = parser.parse_args()
    for path in (options.kernel, options.initrd):
        if not pathlib.Path(path).exists():
            print(f"skipped: there is no {path}")
            return SKIPPED
    # Without "quiet", the kernel's own times and addresses are compared, too.
    guest = emulators.Guest(options.kernel, options.initrd, "console=ttyS0 earlyprintk=ttyS0")
    (first_said, first), (second_said, second) = [run(options, guest, environment)
                                                  for environment in ENVIRONMENTS]
    print(json.dumps(first, indent=2))
    wrong = [f"{key}: {first[key]} and {second[key]}" for key in first if first[key] != second[key]]
    wrong += ["the consoles differ"] if first_said != second_said else []
    wrong += ["the guest printed nothing"] if not first_said else []
    for complaint in wrong:
        print(f"FAILED: {complaint}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
