#!/usr/bin/env python3
"""Runs every program of the benchmark kit briefly in a guest: its checksum must be the native one.

The programs cover what the self-test does not: self-modifying code, aliased pages, string
instructions, signals, vectors. Exit status 77 if the guest was not built.
"""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks"))
import kit  # noqa: E402
import measure  # noqa: E402

SKIPPED = 77
SCALE = 0.002


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("penumbra", "kernel", "initrd", "kit"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--emulator", choices=("penumbra", "qemu"), default="penumbra")
    return parser.parse_args()


def differences(native, guest, names):
    """What went wrong, a line a program; what the guest's CPU does not offer is no fault."""
    for name in names:
        expected = native.checksums.get(name)
        found = guest.checksums.get(name, guest.failures.get(name, "no end"))
        if found != expected and name not in guest.unsupported | native.unsupported:
            yield f"{name}: {found}, natively {expected}"


def main():
    options = parse_arguments()
    for needed in (options.kernel, options.initrd, options.kit):
        if not pathlib.Path(needed).exists():
            print(f"{needed} was not made; ./dev test does")
            return SKIPPED
    engines = kit.Engines(options.kit, options.penumbra, options.kernel, options.initrd, SCALE)
    names = [program.name for program in kit.programs(options.kit) if program.name != kit.BOOT]
    native, _ = measure.listen(engines.command("native", names))
    guest, problem = measure.listen(engines.command(options.emulator, names))
    wrong = list(differences(native, guest, names))
    if problem:
        wrong.append(f"{problem}; the last lines were {guest.last_lines}")
    print("\n".join(wrong) or f"{len(guest.checksums)} checksums are the native ones")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
