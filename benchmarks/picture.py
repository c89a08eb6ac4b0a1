"""Draws the benchmark's report as an SVG: speed against QEMU TCG (1.0), one group a measurement.

Bars are ratios of medians; whiskers span the slowest to the fastest run of that engine.
"""
import math

WIDTH, LEFT, TOP, PLOT_HEIGHT = 900, 60, 60, 300
COLORS = {"native": "#b8b8b8", "qemu": "#e08a3c", "penumbra": "#3c78c8"}
STYLE = "font-family='sans-serif' font-size='13' fill='#222'"


class Scale:
    """Speeds to heights, logarithmic, since native and emulated differ by an order."""

    def __init__(self, speeds):
        self.low = 2.0 ** math.floor(math.log2(min(speeds) * 0.99))
        self.high = 2.0 ** math.ceil(math.log2(max(speeds) * 1.01))

    def y(self, speed):
        part = math.log(speed / self.low) / math.log(self.high / self.low)
        return TOP + PLOT_HEIGHT * (1 - part)

    def ticks(self):
        tick = self.low
        while tick <= self.high:
            yield tick
            tick *= 2


def text(x, y, content, anchor="middle"):
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' {STYLE}>{content}</text>"


def line(x1, y1, x2, y2, color="#222"):
    return f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{color}'/>"


def bar(x, width, entry, base, scale, color):
    """One engine's bar with its whisker and figure."""
    speed, slow, fast = (base / entry[key] for key in ("median", "high", "low"))
    top, bottom, middle = scale.y(speed), scale.y(scale.low), x + width / 2
    return [f"<rect x='{x:.1f}' y='{top:.1f}' width='{width:.1f}' height='{bottom - top:.1f}' "
            f"fill='{color}'/>", line(middle, scale.y(slow), middle, scale.y(fast)),
            text(middle, scale.y(fast) - 5, f"{speed:.2f}")]


def draw(report):
    seconds = report["seconds"]
    measurements = list(seconds["qemu"])
    speeds = [seconds["qemu"][what]["median"] / entries[what][key]
              for entries in seconds.values() for what in entries for key in ("low", "high")]
    scale = Scale(speeds)
    parts = [f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='440'>",
             "<rect width='100%' height='100%' fill='white'/>",
             text(LEFT, 24, f"Speed, QEMU TCG = 1 (log scale; median of {report['runs']} runs, "
                            "whiskers: slowest to fastest)", "start"),
             text(LEFT, 430, f"{report['host']['cpu']}; {report['host']['qemu']}", "start")]
    for tick in scale.ticks():
        parts.append(line(LEFT, scale.y(tick), WIDTH - 20, scale.y(tick), "#ddd"))
        parts.append(text(LEFT - 8, scale.y(tick) + 4, f"{tick:g}", "end"))
    group = (WIDTH - 20 - LEFT) / len(measurements)
    width = group * 0.8 / len(seconds)
    for index, what in enumerate(measurements):
        x = LEFT + index * group + group * 0.1
        parts.append(text(x + group * 0.4, TOP + PLOT_HEIGHT + 20, what))
        for place, (engine, entries) in enumerate(seconds.items()):
            if what in entries:
                parts += bar(x + place * width, width, entries[what],
                             seconds["qemu"][what]["median"], scale, COLORS[engine])
    for place, engine in enumerate(seconds):
        x = LEFT + place * 130
        parts.append(f"<rect x='{x}' y='395' width='12' height='12' fill='{COLORS[engine]}'/>")
        parts.append(text(x + 18, 406, engine, "start"))
    return "\n".join(parts + ["</svg>"]) + "\n"
