#!/usr/bin/env python3
"""The report's arithmetic on samples whose ratios are known by hand."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks"))
import picture  # noqa: E402
import readme  # noqa: E402
import report  # noqa: E402


def results(samples, **changes):
    """Stored results of two programs of one class and one of another."""
    stored = {"date": "2000-01-01", "runs": 3, "scale": 1.0, "checksums": {},
              "host": {"cpu": "C<P>U", "cpus": 2, "load": 0.1, "kernel": "6",
                       "qemu": "Q", "penumbra": "p"},
              "programs": [{"name": "sum", "class": "integer"},
                           {"name": "sort", "class": "integer"},
                           {"name": "scas", "class": "string"}],
              "commands": {"penumbra": ["/some/folder/penumbra", "run"]},
              "samples": samples, "failures": {}, "unsupported": {}}
    return stored | changes


SAMPLES = {"native": {"sum": [1.0, 1.1, 0.9], "sort": [2.0], "scas": [1.0]},
           "qemu": {"sum": [8.0, 9.0, 7.0], "sort": [4.0], "scas": [40.0]},
           "penumbra": {"sum": [2.0, 2.5, 1.75], "sort": [8.0], "scas": [1.0]}}


class Arithmetic(unittest.TestCase):
    def test_summary_is_median_and_range(self):
        self.assertEqual(report.summary([5, 1, 2]), {"median": 2, "low": 1, "high": 5})

    def test_ratio_is_of_medians_and_its_range_of_the_extremes(self):
        slow = {"median": 8.0, "low": 6.0, "high": 10.0}
        fast = {"median": 2.0, "low": 1.0, "high": 3.0}
        self.assertEqual(report.ratio(slow, fast), {"median": 4.0, "low": 2.0, "high": 10.0})

    def test_geometric_mean(self):
        self.assertAlmostEqual(report.geometric_mean([2.0, 8.0]), 4.0)
        self.assertIsNone(report.geometric_mean([]))

    def test_means_are_by_class_and_over_all_programs(self):
        means = report.means(report.rows(results(SAMPLES)))
        self.assertAlmostEqual(means["integer"], (4 * 0.5) ** 0.5)
        self.assertAlmostEqual(means["string"], 40)
        self.assertAlmostEqual(means["everything"], (4 * 0.5 * 40) ** (1 / 3))

    def test_ratios_of_a_program(self):
        row = report.rows(results(SAMPLES))[0]
        self.assertEqual(row["of_qemu"], {"median": 4.0, "low": 7 / 2.5, "high": 9 / 1.75})
        self.assertEqual(row["of_native"]["median"], 0.5)

    def test_only_what_is_slower_beyond_the_spread_is_marked(self):
        def slower(qemu, penumbra):
            samples = {"qemu": {"sum": qemu}, "penumbra": {"sum": penumbra}}
            return report.rows(results(samples))[0]["slower"]

        self.assertTrue(slower([0.9, 0.9], [1.0, 1.0]))
        self.assertFalse(slower([0.9, 1.1], [1.0, 1.2]))
        self.assertFalse(slower([0.96], [1.0]))


class Shown(unittest.TestCase):
    def test_numbers_have_three_digits(self):
        shown = [report.number(value) for value in (0.0123, 0.5, 1.234, 45.67, 345.6, None)]
        self.assertEqual(shown, ["0.0123", "0.500", "1.23", "45.7", "346", "-"])

    def test_what_has_no_time_says_why_and_is_not_counted(self):
        samples = {"qemu": {"sum": [4.0], "scas": [4.0]}, "penumbra": {"sum": [1.0]}}
        stored = results(samples, failures={"qemu": {"sort": "crash"}},
                         unsupported={"penumbra": {"scas": True}})
        (_, programs), (_, classes) = report.tables(stored)
        self.assertEqual(programs[1][2:6], ["-", "failed", "-", "-"])
        self.assertEqual(programs[2][4:6], ["not offered", "-"])
        self.assertEqual(classes, [["integer", "4.00", "2.5", "reached"],
                                   ["string", "-", "40", ""],
                                   ["everything", "4.00", "4", "reached"]])
        self.assertEqual(report.failures(stored), ["sort failed under qemu: crash"])

    def test_without_qemu_there_are_times_but_no_ratios(self):
        (_, programs), (_, classes) = report.tables(results({"native": SAMPLES["native"]}))
        self.assertEqual(programs[0], ["integer", "sum", "1.000", "-", "-", "-", "-", "-", ""])
        self.assertEqual(classes[-1][1], "-")

    def test_text_aligns_numbers_to_the_right(self):
        lines = list(report.as_text(["class", "x QEMU"], [["integer", "2"], ["fp", "10.5"]]))
        self.assertEqual(lines, ["class    x QEMU", "integer       2", "fp         10.5"])

    def test_the_readme_holds_the_tables_and_no_folders(self):
        text = readme.write(results(SAMPLES))
        self.assertIn("| sum | 1.000 | 8.000 | 2.000 | 4.00 | 2.80-5.14 | 0.500 |  |", text)
        self.assertIn("| string | 40.0 | 40 | reached |", text)
        self.assertIn("`penumbra run`", text)
        self.assertNotIn("/some/folder", text)

    def test_the_picture_has_a_bar_for_each_class_and_program(self):
        drawn = picture.draw(results(SAMPLES))
        self.assertEqual(drawn.count("<rect"), 1 + 3 + 3)  # background, means, programs
        self.assertIn("C&lt;P&gt;U", drawn)
        self.assertIn("string / scas", drawn)

    def test_the_picture_of_nothing_is_a_picture(self):
        self.assertTrue(picture.draw(results({})).endswith("</svg>\n"))


class LogarithmicAxis(unittest.TestCase):
    def test_equal_factors_are_equal_distances(self):
        axis = picture.Axis([0.5, 8.0])
        self.assertAlmostEqual(axis.x(2) - axis.x(1), axis.x(8) - axis.x(4))
        self.assertEqual([axis.low, axis.high], [0.5, 8.0])


if __name__ == "__main__":
    unittest.main()
