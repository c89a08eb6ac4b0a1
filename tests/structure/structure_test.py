#!/usr/bin/env python3
"""Each structure check must find the fault it is for: small trees with one violation each."""
import pathlib
import tempfile
import unittest

import structure

DESIGN = ("## 1. Layout\n`common <- cpu <- machine <- cli`, `common <- devices <- machine`\n"
          "## 2. Rest\n")
CMAKE = ("penumbra_library(common fmt::fmt)\npenumbra_library(cpu common)\n"
         "penumbra_library(devices common)\npenumbra_library(machine cpu devices)\n")
HEADER = "// A header.\n#pragma once\n"
SOUND = {"docs/design.md": DESIGN, "CMakeLists.txt": CMAKE, "common/types.h": HEADER,
         "cpu/state.h": HEADER + '#include "common/types.h"\n',
         "devices/pit8254.h": HEADER + "class Pit8254;\n",
         "machine/board.cpp": '#include "cpu/state.h"\n#include "devices/pit8254.h"\n'}

FAULTS = {
    "arrows": {"devices/uart.cpp": '#include "cpu/state.h"\n'},
    "cycles": {"cpu/a.h": HEADER + '#include "cpu/b.h"\n',
               "cpu/b.h": HEADER + '#include "cpu/a.h"\n'},
    "devices": {"cpu/timer.cpp": "Pit8254* pit;\n"},
    "engines": {"jit/run.cpp": "case Mnemonic::Add: break;\n"},
    "one_definition": {"cpu/a.h": HEADER + "namespace penumbra {\nclass Twice final : public X {\n",
                       "cpu/b.h": HEADER + "namespace penumbra {\nstruct Twice {\n"},
    "headers": {"cpu/bare.h": "\n#pragma once\n"},
    "places": {"dev": "curl https:" + "//example.org\n"},
    "test_names": {"tests/cpu/a.cpp": 'TEST_CASE("one; two") {}\n'},
}
MORE_FAULTS = {
    "arrows": {"CMakeLists.txt": CMAKE.replace("cpu common", "cpu common devices")},
    "devices": {"devices/uart.cpp": "void f(cpu::CpuState&);\n"},
    "headers": {"cpu/bare.h": "// A header.\nint x;\n"},
    "engines": {"jit/run.cpp": "if (i.mnemonic == x) return;\n"},
    "places": {"cpu/path.cpp": 'open("/' + 'home/someone/file");\n'},
}


def violations(check, changes):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**SOUND, **changes}.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return structure.CHECKS[check](structure.Tree(folder))


class StructureTest(unittest.TestCase):
    def test_a_sound_tree_passes(self):
        for check in structure.CHECKS:
            with self.subTest(check):
                self.assertEqual(violations(check, {}), [])

    def test_every_check_finds_its_fault(self):
        self.assertEqual(set(FAULTS), set(structure.CHECKS))
        for faults in (FAULTS, MORE_FAULTS):
            for check, changes in faults.items():
                with self.subTest(check):
                    self.assertEqual(len(violations(check, changes)), 1)


if __name__ == "__main__":
    unittest.main()
