"""The arithmetic and the tables of the report: medians, ranges, ratios, geometric means.

Works on the content of results.json alone, so stored results can be reported again.
"""
import math
import statistics

TARGETS = {"integer": 2.5, "indirect": 3.5, "float": 10, "vector": 20, "string": 40, "memory": 4,
           "system": 3, "selfmod": 25, "boot": 1.5}
TARGET_OF_ALL = 4
SLOWER = 0.95  # a ratio below this, with the most favourable samples, is marked
ENGINES = ("native", "qemu", "penumbra")


def summary(values):
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def ratio(slow, fast):
    """How many times as fast as `slow` is `fast`: by the medians, and what the ranges allow."""
    return {"median": slow["median"] / fast["median"], "low": slow["low"] / fast["high"],
            "high": slow["high"] / fast["low"]}


def geometric_mean(values):
    return math.exp(statistics.fmean(math.log(value) for value in values)) if values else None


def row(results, program):
    """One program: a summary for each engine that has samples, and the ratios they allow."""
    name = program["name"]
    entry = {"name": name, "class": program["class"]}
    for engine in ENGINES:
        values = results["samples"].get(engine, {}).get(name)
        entry[engine] = summary(values) if values else None
    of_qemu = entry["qemu"] and entry["penumbra"] and ratio(entry["qemu"], entry["penumbra"])
    entry["of_qemu"] = of_qemu
    entry["of_native"] = (entry["native"] and entry["penumbra"]
                          and ratio(entry["native"], entry["penumbra"]))
    entry["slower"] = bool(of_qemu) and of_qemu["high"] < SLOWER
    return entry


def rows(results):
    return [row(results, program) for program in results["programs"]]


def means(entries):
    """{class: geometric mean of the ratios to QEMU, or None}, with "everything" at the end."""
    groups = {}
    for entry in entries:
        groups.setdefault(entry["class"], []).append(entry)
    found = {group: mean_of(members, "of_qemu") for group, members in groups.items()}
    return found | {"everything": mean_of(entries, "of_qemu")}


def mean_of(entries, what):
    return geometric_mean([entry[what]["median"] for entry in entries if entry[what]])


def target(group):
    return TARGETS.get(group, TARGET_OF_ALL)


def missing(results, engine, name):
    """What stands in the table where there is no time."""
    if name in results["failures"].get(engine, {}):
        return "failed"
    return "not offered" if name in results["unsupported"].get(engine, {}) else "-"


def number(value):
    """Three significant digits, as a factor."""
    if value is None:
        return "-"
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"


def program_cells(results, entry):
    """class, program, seconds by engine, ratio to QEMU, its range, ratio to native, mark."""
    times = [f"{entry[engine]['median']:.3f}" if entry[engine]
             else missing(results, engine, entry["name"]) for engine in ENGINES]
    of_qemu, of_native = entry["of_qemu"], entry["of_native"]
    spread = f"{number(of_qemu['low'])}-{number(of_qemu['high'])}" if of_qemu else "-"
    return [entry["class"], entry["name"], *times, number(of_qemu and of_qemu["median"]), spread,
            number(of_native and of_native["median"]), "slower" if entry["slower"] else ""]


PROGRAM_HEAD = ["class", "program", "native s", "QEMU s", "Penumbra s", "x QEMU", "range",
                "x native", ""]
MEAN_HEAD = ["class", "x QEMU", "target", ""]
WORDS = {"class", "program", ""}  # columns that hold no numbers


def mean_cells(group, mean):
    reached = "" if mean is None else "reached" if mean >= target(group) else "missed"
    return [group, number(mean), f"{target(group):g}", reached]


def tables(results):
    """((head, lines of cells), ...): the programs, then the classes."""
    entries = rows(results)
    return ((PROGRAM_HEAD, [program_cells(results, entry) for entry in entries]),
            (MEAN_HEAD, [mean_cells(*item) for item in means(entries).items()]))


def as_text(head, lines):
    """Aligned columns: words flush left, numbers flush right."""
    widths = [max(len(cells[i]) for cells in [head, *lines]) for i in range(len(head))]
    for cells in [head, *lines]:
        yield "  ".join(cell.ljust(width) if title in WORDS else cell.rjust(width)
                        for title, cell, width in zip(head, cells, widths)).rstrip()


def failures(results):
    return [f"{name} failed under {engine}: {problem}"
            for engine, problems in results["failures"].items()
            for name, problem in problems.items()]
