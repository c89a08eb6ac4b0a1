"""How to start a guest under Penumbra and under QEMU TCG, and how to read its serial console.

Shared by the boot tests and the benchmarks, so both emulators always get the same kernel,
initramfs, command line and memory.
"""
import dataclasses
import os
import select
import subprocess
import time

COMMAND_LINE = "console=ttyS0 quiet panic=-1"
MEMORY_MIB = 512


@dataclasses.dataclass(frozen=True)
class Guest:
    kernel: str
    initrd: str
    append: str = COMMAND_LINE
    memory: int = MEMORY_MIB


def penumbra(binary, guest, *options):
    return [binary, "run", "--no-reboot", "--kernel", guest.kernel, "--initrd", guest.initrd,
            "--append", guest.append, "--memory", f"{guest.memory}M", *options]


def qemu(guest):
    return ["qemu-system-x86_64", "-machine", "pc", "-accel", "tcg", "-cpu", "max",
            "-m", f"{guest.memory}M", "-nographic", "-nic", "none", "-no-reboot",
            "-kernel", guest.kernel, "-initrd", guest.initrd, "-append", guest.append]


class Console:
    """One run of an emulator: iterate over (seconds since the start, line), then ask status."""

    def __init__(self, command, timeout, errors=None):
        self.start = time.monotonic()
        self.deadline = self.start + timeout
        self.status = None
        self.timed_out = False
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                         stdout=subprocess.PIPE, stderr=errors)

    def __iter__(self):
        pending = b""
        try:
            while chunk := self._read():
                now = time.monotonic() - self.start
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    yield now, line.decode(errors="replace").strip("\r")
            if pending:
                yield time.monotonic() - self.start, pending.decode(errors="replace").strip("\r")
        finally:
            self._finish()
            self._process.stdout.close()

    def _read(self):
        """The next bytes of the console; empty at its end or when time is up."""
        output = self._process.stdout.fileno()
        left = self.deadline - time.monotonic()
        if left <= 0 or not select.select([output], [], [], left)[0]:
            self.timed_out = True
            return b""
        return os.read(output, 65536)

    def _finish(self):
        if not self.timed_out:
            try:
                self.status = self._process.wait(max(0.1, self.deadline - time.monotonic()))
                return
            except subprocess.TimeoutExpired:
                self.timed_out = True
        self._process.kill()
        self._process.wait()
