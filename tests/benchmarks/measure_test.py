#!/usr/bin/env python3
"""How measurements are taken from consoles; what an engine says is written down, with its times."""
import contextlib
import io
import pathlib
import sys
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks"))
import kit  # noqa: E402
import measure  # noqa: E402


def transcript(*lines):
    """The lines arrive a second apart."""
    heard = measure.Transcript()
    for seconds, line in enumerate(lines):
        heard.feed(seconds, line)
    return heard


def program(name, checksum="1"):
    return [f"bench: begin {name}", "@+", "@-", f"bench: end {name} {checksum}"]


def listen_to_script(command):
    """In place of measure.listen: a command is what a session says, and how it ends."""
    lines, problem = command
    return transcript(*lines), problem


scripted = unittest.mock.patch.object(measure, "listen", listen_to_script)


class Transcripts(unittest.TestCase):
    def test_a_program_lasts_from_mark_to_mark(self):
        heard = transcript("noise", "bench: begin sum", "noise", "@+", "noise", "@-", "noise",
                           "bench: end sum 1f")
        self.assertEqual(heard.seconds, {"sum": 2})
        self.assertEqual(heard.checksums, {"sum": "1f"})
        self.assertIsNone(heard.running)

    def test_the_first_line_of_init_ends_the_boot(self):
        self.assertEqual(transcript("BIOS", "\x1b[2Jbench: init").boot, 1)

    def test_marks_of_another_program_do_not_count(self):
        heard = transcript(*program("sum"), "bench: begin sort", "bench: end sort 1")
        self.assertEqual(heard.failures, {"sort": "a mark is missing"})

    def test_marks_that_arrive_at_once_give_no_time(self):
        heard = measure.Transcript()
        for line in program("sum"):
            heard.feed(5.0, line)
        self.assertEqual(heard.failures, {"sum": "too short to be timed"})

    def test_what_is_unsupported_or_failed_is_settled(self):
        heard = transcript("bench: unsupported dot", "bench: begin sum", "bench: failed sum b")
        self.assertEqual(heard.settled(), {"dot", "sum"})
        self.assertEqual(heard.failures, {"sum": "wait status b"})


class Sessions(unittest.TestCase):
    @scripted
    def collect(self, script_of, names):
        """The transcripts of all sessions, and the names that each was to run."""
        asked = []

        def command_of(left):
            asked.append(list(left))
            return script_of(left)

        return list(measure.sessions(command_of, names)), asked

    def test_one_session_if_all_goes_well(self):
        heard, asked = self.collect(
            lambda left: ([line for name in left for line in program(name)], None), ["a", "b"])
        self.assertEqual(asked, [["a", "b"]])
        self.assertEqual(heard[0].checksums, {"a": "1", "b": "1"})

    def test_a_session_that_ends_early_costs_the_program_that_was_running(self):
        def script(left):
            if "b" not in left:
                return program("c"), None
            return program("a") + ["bench: begin b", "@+"], "exit status 3"

        heard, asked = self.collect(script, ["a", "b", "c"])
        self.assertEqual(asked, [["a", "b", "c"], ["c"]])
        self.assertEqual(heard[0].failures, {"b": "exit status 3: bench: begin b / @+"})
        self.assertEqual(heard[1].checksums, {"c": "1"})

    def test_a_session_that_never_begins_costs_all(self):
        heard, asked = self.collect(lambda left: ([], "exit status 2"), ["a", "b"])
        self.assertEqual(asked, [["a", "b"]])
        self.assertEqual(heard[0].failures, {"a": "exit status 2: ", "b": "exit status 2: "})

    def test_a_session_that_says_too_little_costs_what_it_left_out(self):
        heard, _ = self.collect(lambda left: (program("a"), None), ["a", "b"])
        self.assertEqual(list(heard[0].failures), ["b"])


class Processes(unittest.TestCase):
    def test_lines_and_exit_status_are_those_of_the_process(self):
        heard, problem = measure.listen(["sh", "-c", "echo bench: unsupported dot; exit 3"])
        self.assertEqual((heard.unsupported, problem), ({"dot"}, "exit status 3"))

    def test_silence_ends_a_session(self):
        command = ["sh", "-c", "echo bench: unsupported dot; exec sleep 600"]
        heard, problem = measure.listen(command, limit=1)
        self.assertEqual((heard.unsupported, problem), ({"dot"}, "silent for 1 s"))


class Collected(unittest.TestCase):
    def add(self, measurements, engine, heard):
        with contextlib.redirect_stderr(io.StringIO()):
            measurements.add(engine, heard)

    def test_another_checksum_than_the_first_fails_the_program(self):
        found = measure.Measurements()
        self.add(found, "native", transcript(*program("sum", "1")))
        self.add(found, "qemu", transcript(*program("sum", "2")))
        self.assertEqual(found.samples["native"], {"sum": [1]})
        self.assertEqual(found.failures, {"qemu": {"sum": "checksum 2, not 1"}})
        self.assertFalse(found.is_worth_running("qemu", "sum"))
        self.assertTrue(found.is_worth_running("native", "sum"))

    def test_a_failure_in_a_later_run_takes_the_samples_away(self):
        found = measure.Measurements()
        self.add(found, "qemu", transcript(*program("sum")))
        self.add(found, "qemu", transcript("bench: begin sum", "bench: failed sum b"))
        self.assertEqual(found.samples["qemu"], {})

    def test_every_session_is_a_sample_of_boot(self):
        found = measure.Measurements()
        for _ in range(2):
            self.add(found, "qemu", transcript("bench: init"))
        self.assertEqual(found.samples["qemu"], {"boot": [0, 0]})


class Engines:
    """Runs any program by saying its marks; keeps what it was asked for."""

    def __init__(self):
        self.asked = []

    def command(self, engine, names):
        self.asked.append((engine, tuple(names)))
        init = [] if engine == "native" else ["bench: init"]
        return init + [line for name in names for line in program(name)], None


class Plan(unittest.TestCase):
    @scripted
    def measured(self, programs, runs):
        engines, found = Engines(), measure.Measurements()
        with contextlib.redirect_stderr(io.StringIO()):
            measure.measure(engines, ["native", "qemu"], programs, runs, found)
        return engines.asked, found

    def test_engines_take_turns_class_by_class(self):
        programs = [kit.Program("sum", "integer"), kit.Program("scas", "string"),
                    kit.Program("boot", "boot")]
        asked, found = self.measured(programs, 2)
        once = [("native", ("sum",)), ("qemu", ("sum",)), ("native", ("scas",)),
                ("qemu", ("scas",))]
        self.assertEqual(asked, once * 2)
        self.assertEqual(len(found.samples["qemu"]["boot"]), 4)

    def test_boot_alone_boots_without_programs(self):
        asked, found = self.measured([kit.Program("boot", "boot")], 1)
        self.assertEqual(asked, [("qemu", ())])
        self.assertEqual(len(found.samples["qemu"]["boot"]), 1)


class Selection(unittest.TestCase):
    ALL = [kit.Program("sum", "integer"), kit.Program("scas", "string"),
           kit.Program("boot", "boot")]

    def test_by_class_and_by_name(self):
        self.assertEqual(kit.select(self.ALL, [], []), self.ALL)
        self.assertEqual(kit.select(self.ALL, ["string"], ["boot"]), self.ALL[1:])

    def test_unknown_names_are_told(self):
        with self.assertRaisesRegex(KeyError, "sun"):
            kit.select(self.ALL, [], ["sun"])


if __name__ == "__main__":
    unittest.main()
