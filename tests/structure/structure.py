#!/usr/bin/env python3
"""Checks the rules of docs/design.md, section 1, and of the house style that a machine can check.

Usage: structure.py ROOT CHECK. The arrows between folders are read from the design itself and
must also be those of CMakeLists.txt. Prints one line for each violation.
"""
import pathlib
import re
import sys

# What the design says in words: "debug sees common and frontend", "timing sees frontend and the
# IR", every module's state goes through common's Archive, "cli may use any library".
ARROWS_IN_WORDS = {"debug": {"common", "frontend"}, "timing": {"frontend", "translator"},
                   "snapshot": {"common"},
                   "cli": {"common", "frontend", "cpu", "translator", "jit", "mmu", "devices",
                           "machine", "timing", "debug", "snapshot"}}
KNOWS_NO_DEVICE = ("common", "frontend", "cpu", "translator", "jit", "mmu", "timing", "debug")
ENGINE_FOLDERS = ("jit",)
CLASS_DEFINITION = re.compile(
    r"^(?:class|struct) (?:alignas\(\w+\) )?(\w+)(?: final)?(?: :[^;{]*)? ?\{", re.MULTILINE)
BUILT = re.compile(r"build.*|\.git|\.cache|__pycache__")


class Tree:
    """The project's files, without what was built from them."""

    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self.files = sorted(str(path.relative_to(self.root)) for path in self._walk(self.root))

    def _walk(self, folder):
        for path in folder.iterdir():
            if path.is_file() and not path.is_symlink():
                yield path
            elif path.is_dir() and not BUILT.fullmatch(path.name):
                yield from self._walk(path)

    def text(self, name):
        return (self.root / name).read_text(errors="replace")

    def sources(self, *folders):
        return [name for name in self.files if name.endswith((".h", ".cpp", ".def"))
                and (not folders or name.split("/")[0] in folders)]

    def code(self, name):
        """The text without comments; strings stay."""
        return re.sub(r"//[^\n]*|/\*.*?\*/", "", self.text(name), flags=re.DOTALL)

    def includes(self, name):
        return re.findall(r'^\s*#\s*include\s+"([^"]+)"', self.text(name), re.MULTILINE)


def closure(arrows):
    """folder -> everything it may see, itself included."""
    seen = {}

    def visit(folder):
        if folder not in seen:
            seen[folder] = {folder}
            for below in arrows.get(folder, ()):
                seen[folder] |= visit(below)
        return seen[folder]

    for folder in list(arrows):
        visit(folder)
    return seen


def arrows_of_design(tree):
    arrows = {folder: set(below) for folder, below in ARROWS_IN_WORDS.items()}
    layout = tree.text("docs/design.md").split("\n## 2.")[0]
    for chain in re.findall(r"`([a-z, ]+(?:<- [a-z, ]+)+)`", layout):
        steps = [re.findall(r"[a-z]+", step) for step in chain.split("<-")]
        for below, above in zip(steps, steps[1:]):
            for folder in above:
                arrows.setdefault(folder, set()).update(below)
    return arrows


def arrows_of_cmake(tree):
    text = tree.text("CMakeLists.txt")
    return {folder: set(re.findall(r"(?<!\S)(?:penumbra::)?([a-z]+)(?!\S)", links))
            for folder, links in re.findall(r"^penumbra_library\((\w+) ([^)]*)\)", text, re.M)}


def check_arrows(tree):
    """No #include that the arrows do not allow; CMake and the design agree."""
    allowed = closure(arrows_of_design(tree))
    found = []
    for folder, visible in closure(arrows_of_cmake(tree)).items():
        if folder in allowed and visible != allowed[folder]:
            found.append(f"CMakeLists.txt: {folder} sees {sorted(visible)}, "
                         f"the design says {sorted(allowed[folder])}")
    for name in tree.sources(*allowed):
        folder = name.split("/")[0]
        for included in tree.includes(name):
            target = included.split("/")[0]
            if "/" not in included or target not in allowed:
                found.append(f'{name}: "{included}" does not start with a folder of the design')
            elif target not in allowed[folder]:
                found.append(f"{name}: {folder} may not include {included}")
    return found


def check_cycles(tree):
    """No file includes itself through others."""
    found = []
    state = {}

    def visit(name, path):
        state[name] = "open"
        for included in sorted(set(tree.includes(name))):
            if included in path:
                found.append(" -> ".join(path[path.index(included):] + [included]))
            elif included in known and included not in state:
                visit(included, path + [included])
        state[name] = "done"

    known = set(tree.sources())
    for name in sorted(known):
        if name not in state:
            visit(name, [name])
    return found


def check_devices(tree):
    """What runs the CPU names no device; a device names no CPU."""
    chips = {pathlib.Path(name).stem.replace("_", "") for name in tree.files
             if re.fullmatch(r"devices/(\w+/)*\w+\.h", name)} - {"interfaces"}
    found = []
    for name in tree.sources(*KNOWS_NO_DEVICE):
        code = tree.code(name)
        named = {word for word in re.findall(r"\b[A-Za-z]\w*", code)
                 if word[0].isupper() and word.lower() in chips}
        found += [f"{name}: names the device {word}" for word in sorted(named)]
        found += [f"{name}: names {what}" for what in re.findall(r"\bdevices::\w+", code)]
    for name in tree.sources("devices"):
        found += [f"{name}: names {what}"
                  for what in re.findall(r"\b(?:cpu::\w+|CpuState|Vcpu)\b", tree.code(name))]
    return found


def check_engines(tree):
    """An engine knows micro-ops and named operations, never a guest mnemonic."""
    return [f"{name}: names {what}" for name in tree.sources(*ENGINE_FOLDERS)
            for what in re.findall(r"\bMnemonic::\w+|\bZYDIS_MNEMONIC_\w+|[.>]mnemonic\b",
                                   tree.code(name))]


def check_headers(tree):
    """Every header opens with a comment and has #pragma once."""
    found = []
    for name in tree.sources():
        if name.endswith(".h"):
            text = tree.text(name)
            if not text.startswith("//"):
                found.append(f"{name}: does not open with a comment")
            if "\n#pragma once\n" not in text:
                found.append(f"{name}: no #pragma once")
    return found


def check_one_definition(tree):
    """No two headers define a class of one name in one namespace."""
    found, seen = [], {}
    for name in tree.sources():
        code = tree.code(name) if name.endswith(".h") else ""
        namespace = re.search(r"^namespace ([\w:]+) \{", code, re.MULTILINE)
        for kind in CLASS_DEFINITION.findall(code):
            full_name = f"{namespace[1] if namespace else ''}::{kind}"
            if full_name in seen:
                found.append(f"{name}: {full_name} is also defined in {seen[full_name]}")
            seen[full_name] = name
    return found


def check_places(tree):
    """No file names a place of one machine, no script an address of the network."""
    found = []
    here = re.compile(rf"{re.escape(str(tree.root))}\b|(?<![\w.])/(?:home|work|root|Users)/\w")
    address = re.compile(r"https?://(?!www\.w3\.org/2000/svg)")
    for name in tree.files:
        if name in ("LICENSE", "tests/structure/structure_test.py"):
            continue
        text = tree.text(name)
        found += [f"{name}: names {match.group()}" for match in here.finditer(text)]
        if is_script(name):
            found += [f"{name}: names {match.group()}" for match in address.finditer(text)]
    return found


def is_script(name):
    return name in ("dev", ".ci/run") or name.endswith((".sh", ".py", ".cmake", "CMakeLists.txt"))


def check_test_names(tree):
    """A ';' splits a CTest entry in two that pass without running anything."""
    return [f"{name}: test name with ';': {title}" for name in tree.sources("tests")
            for title in re.findall(r'TEST_CASE\w*\(\s*(?:\w+\s*,\s*)?"([^"]*;[^"]*)"',
                                    tree.text(name))]


CHECKS = {name.removeprefix("check_"): function for name, function in list(globals().items())
          if name.startswith("check_")}


def main(root, check):
    violations = CHECKS[check](Tree(root))
    for violation in violations:
        print(violation)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
