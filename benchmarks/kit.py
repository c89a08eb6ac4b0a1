"""The benchmark kit as the host sees it: which programs there are, and how each engine runs them.

The kit's binary is the only list of programs. Boot is measured with every session of an emulator,
so it is a program of its own class that no session has to be told about.
"""
import dataclasses
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "guest"))
import emulators  # noqa: E402

BOOT = "boot"
MEMORY_MIB = 1024  # the programs of the class "memory" touch up to 512 MiB


@dataclasses.dataclass(frozen=True)
class Program:
    name: str
    group: str


def programs(binary):
    """All programs, in the order of their classes; boot is the last."""
    listed = subprocess.run([binary, "list"], check=True, capture_output=True, text=True).stdout
    found = [Program(name, group) for group, name in (line.split() for line in listed.splitlines())]
    return found + [Program(BOOT, BOOT)]


def select(available, groups, names):
    """Those of the given classes or names; all, if neither is given. Raises KeyError."""
    unknown = (set(groups) - {program.group for program in available}
               | set(names) - {program.name for program in available})
    if unknown:
        raise KeyError(", ".join(sorted(unknown)))
    if not groups and not names:
        return available
    return [program for program in available if program.group in groups or program.name in names]


class Engines:
    """Makes the command that runs some programs natively or boots a guest that does."""

    def __init__(self, binary, penumbra, kernel, initrd, scale, penumbra_options=()):
        self._binary = binary
        self._penumbra = penumbra
        self._kernel = kernel
        self._initrd = initrd
        self._scale = scale
        self._penumbra_options = penumbra_options

    def command(self, engine, names):
        return {"native": self._native, "qemu": self._qemu,
                "penumbra": self._run_penumbra}[engine](names)

    def _guest(self, names):
        append = (f"{emulators.COMMAND_LINE} bench_scale={self._scale:g} "
                  f"bench_programs={','.join(names)}")
        return emulators.Guest(self._kernel, self._initrd, append, MEMORY_MIB)

    def _native(self, names):
        return [self._binary, "run", f"{self._scale:g}", *names]

    def _qemu(self, names):
        return emulators.qemu(self._guest(names))

    def _run_penumbra(self, names):
        return emulators.penumbra(self._penumbra, self._guest(names), "--clock", "host",
                                  *self._penumbra_options)
