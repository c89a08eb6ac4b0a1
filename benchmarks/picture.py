"""Draws the report as an SVG: Penumbra's speed with QEMU TCG as 1, on a logarithmic axis.

First a bar for each class (the geometric mean, with a tick at its target), then one for each
program, with a whisker over what the ranges of the samples allow.
"""
import html
import math

import report

WIDTH, LEFT, RIGHT, TOP, LINE = 900, 190, 60, 64, 17
CLASS_COLOR, FASTER_COLOR, SLOWER_COLOR = "#2f5d9b", "#7ba6d6", "#e08a3c"
STYLE = "font-family='sans-serif' font-size='12' fill='#222'"


class Axis:
    """Ratios to places from left to right; covers 1 and all that is drawn."""

    def __init__(self, ratios):
        self.low = 2.0 ** math.floor(math.log2(min([*ratios, 1.0])))
        self.high = 2.0 ** math.ceil(math.log2(max([*ratios, 2.0])))

    def x(self, value):
        part = math.log(value / self.low) / math.log(self.high / self.low)
        return LEFT + (WIDTH - LEFT - RIGHT) * part

    def ticks(self):
        tick = self.low
        while tick <= self.high:
            yield tick
            tick *= 2


def text(x, y, content, anchor="start"):
    return (f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' {STYLE}>"
            f"{html.escape(content)}</text>")


def line(x1, y1, x2, y2, color="#222", width=1):
    return (f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{color}' "
            f"stroke-width='{width}'/>")


def bar(axis, y, label, value, color):
    """From 1 to the value, with its name on the left and its number on the right."""
    left, right = sorted((axis.x(1), axis.x(value)))
    return [text(LEFT - 8, y + 11, label, "end"),
            f"<rect x='{left:.1f}' y='{y + 2:.1f}' width='{right - left:.1f}' "
            f"height='{LINE - 5}' fill='{color}'/>",
            text(WIDTH - RIGHT + 8, y + 11, report.number(value))]


def class_bars(axis, y, group, mean):
    place = axis.x(report.target(group))
    return bar(axis, y, group, mean, CLASS_COLOR) + [line(place, y, place, y + LINE - 1, "#c00", 2)]


def program_bars(axis, y, entry):
    ratio = entry["of_qemu"]
    color = FASTER_COLOR if ratio["median"] >= 1 else SLOWER_COLOR
    middle = y + LINE / 2
    return bar(axis, y, f"{entry['class']} / {entry['name']}", ratio["median"], color) + [
        line(axis.x(ratio["low"]), middle, axis.x(ratio["high"]), middle)]


def draw(results):
    entries = [entry for entry in report.rows(results) if entry["of_qemu"]]
    means = {group: mean for group, mean in report.means(entries).items() if mean}
    axis = Axis([entry["of_qemu"][key] for entry in entries for key in ("low", "high")]
                + [report.target(group) for group in means])
    drawings = [class_bars(axis, TOP + i * LINE, *item) for i, item in enumerate(means.items())]
    top = TOP + (len(means) + 1) * LINE
    drawings += [program_bars(axis, top + i * LINE, entry) for i, entry in enumerate(entries)]
    bottom = top + len(entries) * LINE
    return "\n".join([
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{bottom + 16}'>",
        "<rect width='100%' height='100%' fill='white'/>", *heading(results),
        *grid(axis, bottom), *(part for parts in drawings for part in parts), "</svg>"]) + "\n"


def heading(results):
    host = results["host"]
    return [text(12, 18, "Speed of Penumbra, QEMU TCG = 1 (logarithmic). Red: target of a class; "
                         f"whiskers: range of {results['runs']} runs."),
            text(12, 36, f"{host['cpu']}; {host['qemu'] or 'no QEMU'}")]


def tick_text(tick):
    return f"{tick:g}" if tick >= 1 else f"1/{1 / tick:g}"


def grid(axis, bottom):
    parts = []
    for tick in axis.ticks():
        color = "#666" if tick == 1 else "#ddd"
        parts.append(line(axis.x(tick), TOP - 4, axis.x(tick), bottom, color))
        parts.append(text(axis.x(tick), TOP - 8, tick_text(tick), "middle"))
    return parts
