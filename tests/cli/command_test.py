#!/usr/bin/env python3
"""The penumbra command from outside: bad input is refused in one line with status 2, small guests
end with the statuses that --help promises, and the terminal is always as it was.

Usage: command_test.py PENUMBRA [unittest options]
"""
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

PENUMBRA = os.path.abspath(sys.argv.pop(1))
TIMEOUT = 60


def elf(code, address=0x100000):
    """A 64-bit ELF kernel that is entered at its first byte, in long mode."""
    header = struct.pack("<4s5B7xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 0, 2, 62, 1, address,
                         64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 7, 0x1000, address, address, len(code),
                          len(code) + 0x1000, 0x1000)
    return (header + segment).ljust(0x1000, b"\0") + code


def out(port, value):
    """mov dx, port; mov al, value; out dx, al"""
    return b"\x66\xba" + struct.pack("<H", port) + b"\xb0" + bytes([value]) + b"\xee"


def out16(port, value):
    return (b"\x66\xba" + struct.pack("<H", port) + b"\x66\xb8" + struct.pack("<H", value)
            + b"\x66\xef")


def prints(text):
    return b"".join(out(0x3F8, byte) for byte in text)


POWER_OFF = out16(0x604, 5 << 10 | 1 << 13)
RESET = out(0xCF9, 0x02) + out(0xCF9, 0x06) + b"\xeb\xfe"
HALT = b"\xfa\xf4\xeb\xfd"
SPIN = b"\xeb\xfe"
# An IDT of limit 0, loaded from zeroed memory; then ud2.
TRIPLE_FAULT = b"\x0f\x01\x1c\x25" + struct.pack("<I", 0x100800) + b"\x0f\x0b"


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def counters_of(path):
    return json.loads(contents(path))


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name, content=None):
        path = os.path.join(self.folder.name, name)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)
        return path

    def start(self, *words, data=b""):
        return subprocess.run([PENUMBRA, *words], input=data, capture_output=True,
                              timeout=TIMEOUT, cwd=self.folder.name)

    def guest(self, code, *words, data=b""):
        kernel = self.path("guest", elf(code))
        return self.start("run", "--kernel", kernel, "--memory", "16M", *words, data=data)


class BadInput(Case):
    def refused(self, *words, about=""):
        result = self.start(*words)
        text = result.stderr.decode()
        self.assertEqual(result.returncode, 2, (words, text))
        self.assertEqual(text.count("\n"), 1, (words, text))
        self.assertTrue(text.startswith("penumbra: "), (words, text))
        self.assertTrue(text.endswith("\n"), (words, text))
        self.assertIn(about, text)
        self.assertEqual(result.stdout, b"")

    def test_commands_and_options(self):
        self.refused()
        self.refused("rum", about="did you mean run?")
        self.refused("run", "--kernle", "x", about="did you mean --kernel?")
        self.refused("run", about="--kernel")
        self.refused("run", "stray")
        self.refused("run", "--kernel")
        self.refused("run", "--kernel", "a", "--kernel", "b", about="twice")
        self.refused("run", "--no-reboot=yes", "--kernel", "x")
        self.refused("run", "-k", "x")
        self.refused("disasm")
        self.refused("disasm", "zz")
        self.refused("disasm", "--mode", "8", "90")
        self.refused("disasm", "--base", "xyz", "90")
        self.refused("disasm", ".", about="directory")
        self.refused("dump", "--what", "nothing", "90")
        self.refused("dump", "90" * 5000)
        self.refused("dump", "--what", "ir,", "90")
        self.refused("dump", "--base", "xyz", "90")

    def test_values(self):
        kernel = self.path("guest", elf(POWER_OFF))
        for words in (("--memory", "0"), ("--memory", "3X"), ("--memory", "1000000G"),
                      ("--memory", "-5M"), ("--memory", "3M"), ("--cpus", "2"), ("--cpus", "0"),
                      ("--cpus", "many"), ("--cpu", "no-such-model"), ("--cpu", "default,-nonsense"),
                      ("--engine", "jit"), ("--engine-seed", "x"),
                      ("--engine", "lockstep", "--clock", "host"),
                      ("--engine", "lockstep", "--trace", "exec:t"),
                      ("--engine", "lockstep", "--perf-map"), ("--gdb-jit=yes",),
                      ("--lockstep-share", "1/2"),
                      ("--engine", "lockstep", "--lockstep-share", "2/1"),
                      ("--engine", "lockstep", "--lockstep-share", "0/1"),
                      ("--engine", "lockstep", "--lockstep-share", "5M"),
                      ("--clock", "atomic"),
                      ("--clock", "host", "--deterministic"), ("--serial", "tcp:1"),
                      ("--serial", "file:"), ("--serial", "stdio", "--serial", "stdio"),
                      ("--serial", "none") + ("--serial", "none") * 4, ("--display", "gtk"),
                      ("--trace", "all"), ("--trace", "exec:"), ("--max-instructions", "lots"),
                      ("--save", "f"), ("--save-when", "instructions:5"), ("--exit-after-save",),
                      ("--save", "f", "--save-when", "never"),
                      ("--save", "f", "--save-when", "instructions:x"),
                      ("--save", "f", "--save-when", "serial:x", "--serial", "none")):
            with self.subTest(words=words):
                self.refused("run", "--kernel", kernel, *words)

    def test_kernel_files(self):
        good = elf(POWER_OFF)
        files = {"empty": b"", "text": b"hello, world\n", "zeros": bytes(100000),
                 "elf-header": good[:40], "elf-cut": good[:0x1004], "gzip": b"\x1f\x8b\x08" * 100,
                 "setup-only": bytes(0x1fe) + b"\x55\xaa\xeb\x66HdrS\x0f\x02"}
        for name, content in files.items():
            with self.subTest(name=name):
                self.refused("run", "--kernel", self.path(name, content), about=name)
        self.refused("run", "--kernel", self.path("absent"), about="No such file")
        self.refused("run", "--kernel", self.folder.name, about="directory")
        self.refused("run", "--kernel", "/dev/null", about="not a regular file")
        huge = self.path("huge", b"")
        os.truncate(huge, 1 << 40)
        self.refused("run", "--kernel", huge, about="too large")
        self.refused("run", "--kernel", self.path("good", good), "--initrd", huge)
        self.refused("run", "--kernel", self.path("good", good), "--initrd", self.path("absent"))
        if os.geteuid() != 0:
            secret = self.path("secret", good)
            os.chmod(secret, 0)
            self.refused("run", "--kernel", secret, about="Permission denied")

    def test_output_files(self):
        kernel = self.path("guest", elf(POWER_OFF))
        absent = self.path("absent/file")
        for words in (("--stats", absent), ("--trace", "exec:" + absent),
                      ("--serial", "file:" + absent), ("--debugcon", absent),
                      ("--stats", self.folder.name)):
            with self.subTest(words=words):
                self.refused("run", "--kernel", kernel, *words)

    def test_restore(self):
        self.refused("run", "--restore", self.path("absent"))
        self.refused("run", "--restore", self.path("text", b"hello"), about="not a snapshot")
        self.refused("run", "--restore", "x", "--kernel", "y")


class PerfMap(Case):
    def test_names_cover_the_generated_code(self):
        kernel = self.path("guest", elf(prints(b"text") + POWER_OFF))
        process = subprocess.Popen(
            [PENUMBRA, "run", "--kernel", kernel, "--memory", "16M", "--engine", "baseline",
             "--perf-map", "--gdb-jit"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.assertEqual(process.wait(TIMEOUT), 0)
        name = f"/tmp/perf-{process.pid}.map"
        self.addCleanup(os.unlink, name)
        blocks = [line.split(" ") for line in contents(name).decode().splitlines()]
        self.assertEqual(blocks[0][2], "guest_100000+64-kernel")
        self.assertEqual(len({name for _, _, name in blocks}), len(blocks))
        places = [(int(address, 16), int(size, 16)) for address, size, _ in blocks]
        for (address, size), (following, _) in zip(places, places[1:]):
            self.assertGreater(size, 0)
            self.assertEqual((address + size + 15) & ~15, following)


class Dump(Case):
    def dump(self, *words):
        result = self.start("dump", *words)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        return result.stdout.decode()

    def test_each_instruction_stands_above_what_is_made_of_it(self):
        text = self.dump("--what", "guest,ir,host", "--base", "401000", "48 01 d8 ff c9 c3")
        parts = ["000000401000  48 01 d8", "Add.64", "add r9, r14", "000000401003  ff c9", ".32",
                 "000000401005  c3", "JumpDynamic", "lookup", "leave_slice"]
        places = [text.find(part) for part in parts]
        self.assertNotIn(-1, places, text)
        self.assertEqual(places, sorted(places), text)

    def test_parts_are_shown_only_where_asked_for(self):
        code = "48 01 d8 c3"
        self.assertNotIn("r13", self.dump("--what", "guest,ir", code))
        self.assertNotIn("Add.64", self.dump("--what", "guest,host", code))
        self.assertNotIn("add rax, rbx", self.dump("--what", "ir,host", code))

    def test_host_code_has_names_in_place_of_addresses(self):
        words = ("--what", "host", "e8 00 00 00 00 48 03 03 0f a2 48 39 d8 0f 85 00 20 00 00 c3")
        text = self.dump(*words)
        self.assertEqual(text, self.dump(*words))
        for name in ("site(load, 5)", "exit(", "far(", "+ table]", "call slow", "jmp link"):
            self.assertIn(name, text)


class Help(Case):
    def test_help(self):
        for words in (("--help",), ("run", "--help"), ("disasm", "--help"), ("dump", "--help")):
            result = self.start(*words)
            self.assertEqual((result.returncode, result.stderr), (0, b""))
            self.assertTrue(result.stdout.startswith(b"usage: penumbra"))
            self.assertTrue(all(len(line) <= 100 for line in result.stdout.splitlines()))


class Guests(Case):
    def ends(self, status, code, *words, **more):
        result = self.guest(code, *words, **more)
        self.assertEqual(result.returncode, status, result.stderr)
        return result

    def test_statuses(self):
        for clock in ((), ("--deterministic",)):
            self.ends(0, POWER_OFF, *clock)
            self.ends(0, RESET, "--no-reboot", *clock)
            self.ends(85, out(0xF4, 42), "--debug-exit", *clock)
            self.ends(4, SPIN, "--max-instructions", "100000", *clock)
            self.assertIn(b"triple fault", self.ends(3, TRIPLE_FAULT, *clock).stderr)
            self.ends(3, TRIPLE_FAULT, "--no-reboot", *clock)
        self.ends(5, HALT, "--deterministic")
        self.ends(5, HALT)

    def test_reset_restarts_the_machine(self):
        # Counts resets in CMOS byte 50h, which survives them, and powers off at the third start.
        code = (out(0x70, 0x50) + b"\x66\xba\x71\x00\xec\xfe\xc0\xee\x3c\x03\x74"
                + bytes([len(prints(b"again\n") + RESET)]) + prints(b"again\n") + RESET + POWER_OFF)
        self.assertEqual(self.ends(0, code, "--deterministic").stdout, b"again\nagain\n")

    def test_without_debug_exit_the_port_is_empty(self):
        self.ends(0, out(0xF4, 42) + POWER_OFF)

    def test_serial_and_debug_console(self):
        code = (prints(b"one\n") + b"".join(out(0x2F8, c) for c in b"two\n")
                + b"".join(out(0xE9, c) for c in b"debug") + POWER_OFF)
        second, debug = self.path("second"), self.path("debug")
        result = self.ends(0, code, "--serial", "stdio", "--serial", "file:" + second,
                           "--debugcon", debug)
        self.assertEqual(result.stdout, b"one\n")
        self.assertEqual(contents(second), b"two\n")
        self.assertEqual(contents(debug), b"debug")
        self.assertEqual(self.ends(0, code, "--serial", "none").stdout, b"")

    # wait: in al, 3FDh; test al, 1; jz wait; in al, 3F8h; out 3F8h, al; cmp al, 'q'; jne wait
    ECHO = (b"\x66\xba\xfd\x03\xec\xa8\x01\x74\xf7\x66\xba\xf8\x03\xec\xee\x3c\x71\x75\xed"
            + POWER_OFF)

    def test_piped_input_reaches_the_guest_entirely(self):
        data = bytes(range(1, 0x71)) * 100 + b"q"
        self.assertEqual(self.ends(0, self.ECHO, data=data).stdout, data)

    def test_end_of_input_does_not_stop_the_guest(self):
        self.ends(4, self.ECHO, "--max-instructions", "2M")

    def test_closed_standard_descriptors(self):
        kernel = self.path("guest", elf(prints(b"x") + POWER_OFF))
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            with self.subTest(closed=closed):
                command = f'"{PENUMBRA}" run --kernel "{kernel}" --memory 16M {closed}'
                self.assertEqual(subprocess.run(["sh", "-c", command], stdout=subprocess.DEVNULL,
                                                timeout=TIMEOUT).returncode, 0)

    def test_stats(self):
        stats = self.path("stats.json")
        self.ends(0, prints(b"x") + POWER_OFF, "--deterministic", "--stats", stats)
        counters = counters_of(stats)
        self.assertEqual(counters["end"], "powered-off")
        self.assertEqual(counters["instructions"], 5)
        self.assertEqual(counters["clock"]["mode"], "deterministic")
        cpu = counters["cpu"]
        self.assertEqual(sum(cpu["instructions"].values()), 5)
        self.assertGreater(cpu["instructions"]["generated"], 0)
        self.assertGreater(cpu["translation"]["code_bytes"], 0)
        self.assertGreater(cpu["translation"]["nanoseconds"], 0)
        self.assertEqual(cpu["slow_paths"]["calls"], 2)

    def test_trace(self):
        trace = self.path("trace")
        self.ends(0, b"\x48\xc7\xc0\x2a\x00\x00\x00" + POWER_OFF, "--trace", "exec:" + trace)
        lines = contents(trace).decode().splitlines()
        self.assertEqual(len(lines), 4)
        self.assertIn("mov rax, 0x2a", lines[0])
        self.assertIn("rax=2a", lines[0])
        self.assertIn("dx=", lines[1].replace("rdx=", "dx="))
        self.assertIn("out", lines[3])

    def test_trace_has_one_line_for_a_repeated_instruction(self):
        # mov ecx, 50; mov edi, 300000h; rep stosb
        trace = self.path("trace")
        self.ends(0, b"\xb9\x32\x00\x00\x00\xbf\x00\x00\x30\x00\xf3\xaa" + POWER_OFF, "--trace",
                  "exec:" + trace)
        lines = contents(trace).decode().splitlines()
        self.assertEqual(len(lines), 6)
        self.assertIn("rep stosb", lines[2])
        self.assertIn("rcx=0 rdi=300032", lines[2])

    def test_deterministic_runs_are_equal(self):
        hashes = set()
        for _ in range(2):
            stats = self.path("stats.json")
            self.ends(4, SPIN, "--deterministic", "--max-instructions", "1M", "--stats", stats)
            hashes.add(counters_of(stats)["state_hash"])
        self.assertEqual(len(hashes), 1)

    def test_stats_as_a_table(self):
        table = self.ends(0, prints(b"x") + POWER_OFF, "--deterministic", "--stats", "-").stderr
        self.assertRegex(table, rb"(?m)^end +powered-off$")
        self.assertRegex(table, rb"(?m)^instructions +5$")
        self.assertRegex(table, rb"(?m)^  exits\n    budget +\d+\n    port +2$")

    def test_lockstep_ends_as_one_machine_would(self):
        for options in (("--engine", "lockstep"), ("--engine", "lockstep", "--engine-seed", "9"),
                        ("--engine", "lockstep", "--lockstep-share", "100/200")):
            self.ends(0, POWER_OFF, *options)
            self.ends(85, out(0xF4, 42), "--debug-exit", *options)
            self.ends(3, TRIPLE_FAULT, "--no-reboot", *options)
            self.ends(5, HALT, *options)
            result = self.ends(4, SPIN, "--max-instructions", "100000", *options)
            self.assertIn(b"lockstep: 0 million instructions", result.stderr)
            data = b"abc" * 40 + b"q"
            self.assertEqual(self.ends(0, self.ECHO, *options, data=data).stdout, data)

    def test_lockstep_gives_the_state_of_one_machine(self):
        hashes = set()
        for engine in ("interp", "lockstep"):
            stats = self.path("stats.json")
            self.ends(4, prints(b"x") + SPIN, "--deterministic", "--engine", engine,
                      "--max-instructions", "300000", "--stats", stats)
            hashes.add(counters_of(stats)["state_hash"])
        self.assertEqual(len(hashes), 1)

    def test_lockstep_can_be_stopped(self):
        kernel = self.path("guest", elf(prints(b"line\n") + SPIN))
        process = subprocess.Popen([PENUMBRA, "run", "--kernel", kernel, "--memory", "16M",
                                    "--engine", "lockstep"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.assertEqual(process.stdout.readline(), b"line\n")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(TIMEOUT), 128 + signal.SIGTERM)
        process.stdout.close()

    def test_closed_output_ends_the_run(self):
        kernel = self.path("guest", elf(prints(b"line\n") + b"\xe9" + struct.pack(
            "<i", -len(prints(b"line\n")) - 5)))
        process = subprocess.Popen([PENUMBRA, "run", "--kernel", kernel, "--memory", "16M"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"line\n")
        process.stdout.close()
        self.assertEqual(process.wait(TIMEOUT), 2)
        self.assertEqual(process.stderr.read().count(b"\n"), 1)
        process.stderr.close()

    def test_a_reader_that_stops_reading_does_not_hold_up_a_signal(self):
        kernel = self.path("guest", elf(prints(b"line\n") + b"\xe9" + struct.pack(
            "<i", -len(prints(b"line\n")) - 5)))
        process = subprocess.Popen([PENUMBRA, "run", "--kernel", kernel, "--memory", "16M"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(TIMEOUT), 128 + signal.SIGTERM)
        process.stdout.close()


class Snapshots(Case):
    # Prints a..z with a delay loop after each, then powers off.
    LETTERS = (b"\xb3\x61" + b"\x88\xd8\x66\xba\xf8\x03\xee\xb9\x00\x10\x00\x00\xff\xc9\x75\xfc"
               + b"\xfe\xc3\x80\xfb\x7b\x75\xe9" + POWER_OFF)
    ALL = bytes(range(0x61, 0x7b))

    def test_restore_goes_on_where_save_was(self):
        for clock in ((), ("--deterministic",)):
            snapshot = self.path("snap")
            saved = self.guest(self.LETTERS, *clock, "--save", snapshot, "--save-when",
                               "serial:klm", "--exit-after-save")
            self.assertEqual((saved.returncode, saved.stderr), (0, b""))
            self.assertEqual(saved.stdout, self.ALL[:13])
            restored = self.start("run", "--restore", snapshot)
            self.assertEqual((restored.returncode, restored.stderr), (0, b""))
            self.assertEqual(saved.stdout + restored.stdout, self.ALL)

    def test_restored_runs_are_equal_to_uninterrupted_ones(self):
        end = {}
        for at in (1, 7, 5000, 60001):
            snapshot, stats = self.path("snap"), self.path("stats")
            self.guest(self.LETTERS, "--deterministic", "--save", snapshot, "--save-when",
                       f"instructions:{at}", "--exit-after-save")
            self.start("run", "--restore", snapshot, "--stats", stats, "--max-instructions",
                       str(100000 - at))
            end[at] = counters_of(stats)
        stats = self.path("stats")
        self.guest(self.LETTERS, "--deterministic", "--stats", stats, "--max-instructions", "100k")
        whole = counters_of(stats)
        for at, counters in end.items():
            self.assertEqual(counters["total_instructions"], 100000, at)
            self.assertEqual(counters["state_hash"], whole["state_hash"], at)

    def test_saving_does_not_disturb_the_run(self):
        snapshot = self.path("snap")
        result = self.guest(self.LETTERS, "--save", snapshot, "--save-when", "instructions:9999")
        self.assertEqual((result.returncode, result.stdout), (0, self.ALL))
        self.assertTrue(os.path.getsize(snapshot) > 0)

    def test_saving_a_restored_machine_again_gives_the_same_file(self):
        first, second = self.path("first"), self.path("second")
        self.guest(self.LETTERS, "--deterministic", "--save", first, "--save-when",
                   "instructions:5000", "--exit-after-save")
        self.start("run", "--restore", first, "--save", second, "--save-when", "instructions:0",
                   "--exit-after-save")
        self.assertEqual(contents(first), contents(second))

    def test_a_restored_machine_can_be_reset(self):
        # Counts starts in CMOS byte 50h; waits for the snapshot, then resets until the third start.
        wait = b"\xb9\x00\x00\x10\x00\xff\xc9\x75\xfc"
        code = (out(0x70, 0x50) + b"\x66\xba\x71\x00\xec\xfe\xc0\xee\x3c\x03\x74"
                + bytes([len(prints(b"on\n") + wait + RESET)]) + prints(b"on\n") + wait + RESET
                + prints(b"off\n") + POWER_OFF)
        snapshot = self.path("snap")
        self.guest(code, "--deterministic", "--save", snapshot, "--save-when", "serial:on",
                   "--exit-after-save")
        restored = self.start("run", "--restore", snapshot)
        self.assertEqual((restored.returncode, restored.stdout), (0, b"\non\noff\n"))

    def test_other_machines_and_damage_are_refused(self):
        snapshot = self.path("snap")
        self.guest(self.LETTERS, "--save", snapshot, "--save-when", "instructions:5000",
                   "--exit-after-save")
        content = contents(snapshot)
        variants = [("--restore", snapshot, *words) for words in (
            ("--memory", "32M"), ("--cpu", "default,-sse2"), ("--deterministic",),
            ("--serial", "none"), ("--serial", "stdio", "--serial", "none", "--serial",
                                   "file:" + self.path("x")))]
        for at in (0, 9, 30, 60, len(content) // 2, len(content) - 1):
            damaged = bytearray(content)
            damaged[at] ^= 4
            variants.append(("--restore", self.path(f"damaged{at}", bytes(damaged))))
            variants.append(("--restore", self.path(f"cut{at}", content[:at])))
        for words in variants:
            with self.subTest(words=words):
                result = self.start("run", *words)
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertEqual(result.stderr.count(b"\n"), 1, result.stderr)

    def test_a_snapshot_that_cannot_be_written_is_an_error(self):
        result = self.guest(self.LETTERS, "--save", self.path("absent/snap"), "--save-when",
                            "instructions:100")
        self.assertEqual((result.returncode, result.stderr.count(b"\n")), (2, 1))


class Terminal(Case):
    """The same with a terminal: raw while the guest runs, restored however it ends."""

    def setUp(self):
        super().setUp()
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.process = None
        self.addCleanup(self.close)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def run_guest(self, code, *words):
        kernel = self.path("guest", elf(code))

        def lead_session():
            os.setsid()
            import fcntl
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [PENUMBRA, "run", "--kernel", kernel, "--memory", "16M", *words], stdin=self.slave,
            stdout=self.slave, stderr=self.slave, preexec_fn=lead_session)

    def expect(self, text):
        seen = b""
        deadline = time.monotonic() + TIMEOUT
        while text not in seen:
            left = deadline - time.monotonic()
            ready = select.select([self.master], [], [], max(0, left))[0]
            self.assertTrue(ready, f"waited for {text!r}, saw {seen!r}")
            seen += os.read(self.master, 4096)

    def ends(self, status):
        self.assertEqual(self.process.wait(TIMEOUT), status)
        self.assertEqual(termios.tcgetattr(self.slave), self.before)

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    ECHO = prints(b"ready\n") + Guests.ECHO

    def test_power_off_restores(self):
        self.run_guest(self.ECHO)
        self.expect(b"ready")
        self.assertTrue(self.is_raw())
        os.write(self.master, b"q")
        self.ends(0)

    def test_quit_key(self):
        self.run_guest(self.ECHO)
        self.expect(b"ready")
        os.write(self.master, b"\x01x")
        self.ends(0)

    def test_quit_key_while_idle(self):
        self.run_guest(prints(b"ready\n") + b"\xfb\xf4\xeb\xfd")
        self.expect(b"ready")
        time.sleep(0.2)
        os.write(self.master, b"\x01x")
        self.ends(0)

    def test_help_status_and_escaped_escape(self):
        self.run_guest(self.ECHO)
        self.expect(b"ready")
        os.write(self.master, b"\x01h")
        self.expect(b"Ctrl-A x")
        os.write(self.master, b"\x01c")
        self.expect(b"MIPS")
        os.write(self.master, b"\x01a\x03z")
        self.expect(b"\x01\x03z")
        os.write(self.master, b"q")
        self.ends(0)

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(signal=number):
                self.run_guest(self.ECHO)
                self.expect(b"ready")
                self.process.send_signal(number)
                self.ends(128 + number)

    def test_crashes(self):
        for number in (signal.SIGABRT, signal.SIGSEGV):
            with self.subTest(signal=number):
                self.run_guest(self.ECHO)
                self.expect(b"ready")
                self.process.send_signal(number)
                self.ends(-number)

    def test_triple_fault_restores(self):
        self.run_guest(TRIPLE_FAULT)
        self.ends(3)

    def test_stop_and_continue(self):
        self.run_guest(self.ECHO)
        self.expect(b"ready")
        self.process.send_signal(signal.SIGTSTP)
        os.waitpid(self.process.pid, os.WUNTRACED)
        self.assertEqual(termios.tcgetattr(self.slave), self.before)
        self.process.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + TIMEOUT
        while not self.is_raw() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.write(self.master, b"q")
        self.ends(0)

    def test_bad_input_leaves_the_terminal_alone(self):
        self.run_guest(POWER_OFF, "--cpus", "7")
        self.ends(2)


if __name__ == "__main__":
    unittest.main()
