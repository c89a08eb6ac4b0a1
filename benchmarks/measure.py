"""Runs programs of the kit under the engines in turn and collects seconds and checksums.

Times are the host's: from the arrival of the mark before a program to that of the mark after it.
A session is one start of an engine (for the emulators, one boot) with the programs of one class.
What a program does wrong under one engine (crash, hang, another checksum) is noted with it; the
programs behind it are run in a new session.
"""
import subprocess
import sys

import emulators
from kit import BOOT

LIMIT = 240  # seconds without a new line, after which a session is given up


class Transcript:
    """What the console of one session said."""

    def __init__(self):
        self.boot = None
        self.seconds = {}
        self.checksums = {}
        self.failures = {}
        self.unsupported = set()
        self.running = None  # the program that has begun and not ended
        self.last_lines = []
        self._begun = None
        self._ended = None

    def feed(self, seconds, line):
        self.last_lines = (self.last_lines + [line])[-8:]
        mark = line.strip()
        if mark == "@+":
            self._begun = seconds
        elif mark == "@-":
            self._ended = seconds
        elif "bench: " in line:
            self._event(seconds, *line.split("bench: ", 1)[1].split())

    def settled(self):
        """The programs about which there is nothing more to learn."""
        return self.seconds.keys() | self.failures.keys() | self.unsupported

    def _event(self, seconds, event, name=None, value=None):
        if event == "init":
            self.boot = seconds
        elif event == "begin":
            self.running, self._begun, self._ended = name, None, None
        elif event == "end":
            self._end(name, value)
        elif event == "unsupported":
            self.unsupported.add(name)
        elif event == "failed":
            self.running = None
            self.failures[name] = f"wait status {value}"

    def _end(self, name, checksum):
        self.running = None
        self.checksums[name] = checksum
        if self._begun is None or self._ended is None:
            self.failures[name] = "a mark is missing"
        elif self._ended <= self._begun:
            self.failures[name] = "too short to be timed"
        else:
            self.seconds[name] = self._ended - self._begun


def listen(command, limit=LIMIT):
    """Runs one session to its end: the transcript, and how it ended if not well."""
    transcript = Transcript()
    console = emulators.Console(command, limit, subprocess.STDOUT)
    for seconds, line in console:
        transcript.feed(seconds, line)
        console.deadline = console.start + seconds + limit
    if console.timed_out:
        return transcript, f"silent for {limit} s"
    return transcript, f"exit status {console.status}" if console.status else None


def sessions(command_of, names):
    """Yields transcripts until each name is settled; `command_of(names)` starts a session.

    A session that ends early costs the program that was running, or, if none was, all the rest.
    """
    left = list(names)
    while True:
        transcript, problem = listen(command_of(left))
        lost = [name for name in left if name not in transcript.settled()]
        blamed = [transcript.running] if transcript.running in lost else lost
        for name in blamed:
            transcript.failures[name] = f"{problem or 'ended early'}: " + " / ".join(
                line for line in transcript.last_lines[-2:] if line)
        yield transcript
        left = [name for name in lost if name not in blamed]
        if not left:
            return


class Measurements:
    """Seconds, checksums and failures of all engines; `checksums` may come from earlier runs."""

    def __init__(self, checksums=None):
        self.samples = {}
        self.failures = {}
        self.unsupported = {}
        self.checksums = dict(checksums or {})

    def add(self, engine, transcript):
        for name, seconds in transcript.seconds.items():
            expected = self.checksums.setdefault(name, transcript.checksums[name])
            if transcript.checksums[name] == expected:
                self._sample(engine, name, seconds)
            else:
                self._fail(engine, name, f"checksum {transcript.checksums[name]}, not {expected}")
        for name, problem in transcript.failures.items():
            self._fail(engine, name, problem)
        for name in transcript.unsupported:
            self.unsupported.setdefault(engine, {})[name] = True
        if transcript.boot is not None:
            self._sample(engine, BOOT, transcript.boot)

    def is_worth_running(self, engine, name):
        return (name not in self.failures.get(engine, {})
                and name not in self.unsupported.get(engine, {}))

    def _sample(self, engine, name, seconds):
        self.samples.setdefault(engine, {}).setdefault(name, []).append(seconds)

    def _fail(self, engine, name, problem):
        print(f"bench: {name} failed under {engine}: {problem}", file=sys.stderr, flush=True)
        self.failures.setdefault(engine, {})[name] = problem
        self.samples.get(engine, {}).pop(name, None)


def by_group(programs):
    groups = {}
    for program in programs:
        groups.setdefault(program.group, []).append(program.name)
    return groups


def measure(engines, which, programs, runs, measurements):
    """The engines take turns, class by class and run by run, so that drift hits all alike."""
    groups = by_group(programs)
    if groups.keys() != {BOOT}:
        groups.pop(BOOT, None)  # every session boots
    for run in range(runs):
        for group, names in groups.items():
            for engine in which:
                wanted = [name for name in names
                          if name != BOOT and measurements.is_worth_running(engine, name)]
                if not wanted and (group != BOOT or engine == "native"):
                    continue
                print(f"run {run + 1} of {runs}: {group}, {engine}", file=sys.stderr, flush=True)
                for transcript in sessions(lambda left: engines.command(engine, left), wanted):
                    measurements.add(engine, transcript)
