"""Draw what the hardware model said of held-out designs against their reports, as one SVG of four panels.

    python benchmarks/predictor/parity.py CALIBRATION_DIR [docs/img/parity.svg]

Every mark is a design whose family (for the single-layer sweeps: whose shape) the fit had not seen, with
all that is known of its weights. Marks that fall on one spot are drawn once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from fit import ROOT, _best, cross_validate
from numpy.typing import NDArray
from rows import data_folder, read_rows

OUTPUT = ROOT / "docs" / "img" / "parity.svg"
PANELS = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "latency_cycles": "Latency, cycles"}
#: Groups from back to front -> (colour, what they are).
GROUPS = {
    "resource-one": ("#9aa5b1", "Resource, one layer"),
    "latency-shared": ("#2a7fb8", "Latency, reuse factor above 1"),
    "latency-rf1": ("#1b7a3d", "Latency, reuse factor 1"),
    "resource-several": ("#7b3fa0", "Resource, several layers"),
    "implemented": ("#d1495b", "after logic synthesis or routing"),
    "outside": ("#e08a1e", "outside the domain"),
}
SIDE, LEFT, TOP, GAP = 330, 64, 34, 74

Points = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


def main() -> None:
    rows = read_rows(data_folder())
    data = _best(rows)
    (held,) = cross_validate([data], data, lambda text: print(text, file=sys.stderr))
    names = np.array(
        [
            "outside" if band == "outside" else band if query.stage == "csynth" else "implemented"
            for band, query in zip(data.bands, data.queries, strict=True)
        ]
    )
    panels: dict[str, Points] = {}
    for metric in PANELS:
        both = np.isfinite(data.truth[metric]) & np.isfinite(held[metric])
        panels[metric] = {
            name: (data.truth[metric][both & (names == name)], held[metric][both & (names == name)])
            for name in GROUPS
        }
    path = Path(sys.argv[2]) if len(sys.argv) > 2 else OUTPUT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(drawing(panels), encoding="utf-8")
    for metric, points in panels.items():
        print(f"{PANELS[metric]}: {sum(len(truth) for truth, _ in points.values())} designs")
    print(f"wrote {path}: {path.stat().st_size / 1000:.0f} kB")


def drawing(panels: dict[str, Points]) -> str:
    """The whole picture: two by two panels and a legend."""
    width = LEFT + 2 * SIDE + GAP + 16
    height = TOP + 2 * SIDE + GAP + 108
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="12" role="img">',
        "<title>Predicted against reported numbers of held-out designs</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for number, (metric, points) in enumerate(panels.items()):
        x, y = LEFT + number % 2 * (SIDE + GAP), TOP + number // 2 * (SIDE + GAP)
        out += _panel(x, y, PANELS[metric], points)
    y = TOP + 2 * SIDE + GAP + 60
    for number, (name, (colour, text)) in enumerate(GROUPS.items()):
        x, row = LEFT + number % 3 * 240, y + number // 3 * 22
        out.append(_marks(name, colour, [(x, row - 4)]))
        out.append(f'<text x="{x + 10}" y="{row}">{escape(text)}</text>')
    return "\n".join([*out, "</svg>\n"])


def _panel(left: int, top: int, title: str, points: Points) -> list[str]:
    """Log-log axes with room for zero at the low end, the diagonal and a band of a factor of 1.5."""
    largest = max((float(max(t.max(), p.max())) for t, p in points.values() if len(t)), default=10.0)
    smallest = min(
        (float(v[v > 0].min()) for pair in points.values() for v in pair if (v > 0).any()), default=1.0
    )
    low, high = np.floor(np.log10(smallest)), np.log10(largest) + 0.08
    zero = low - 0.35  # where zeros are drawn, which a logarithm has no place for
    start = zero - 0.12

    def place(values: NDArray[np.float64]) -> NDArray[np.float64]:
        logs = np.where(values > 0, np.log10(np.maximum(values, 10.0**low)), zero)
        return (logs - start) / (high - start) * SIDE

    def at(log: float) -> float:
        return (log - start) / (high - start) * SIDE

    bottom = top + SIDE
    shift = np.log10(1.5) / (high - start) * SIDE
    corner = at(low)
    out = [
        f'<text x="{left}" y="{top - 10}" font-size="14" font-weight="bold">{escape(title)}</text>',
        f'<path d="M{left + corner:.1f} {bottom - corner - shift:.1f}L{left + SIDE - shift:.1f} {top}'
        f"L{left + SIDE} {top}L{left + SIDE} {top + shift:.1f}L{left + corner + shift:.1f} "
        f'{bottom - corner:.1f}L{left + corner:.1f} {bottom - corner:.1f}Z" fill="#eef3f7"/>',
    ]
    ticks = [(zero, "0"), *((power, _power(int(power))) for power in np.arange(low, np.ceil(high)))]
    for log, text in ticks:
        x, y = left + at(float(log)), bottom - at(float(log))
        out.append(
            f'<path d="M{x:.1f} {top}V{bottom}M{left} {y:.1f}H{left + SIDE}" stroke="#dde3e8" fill="none"/>'
            f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{text}</text>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
        )
    out.append(f'<path d="M{left} {bottom}L{left + SIDE} {top}" stroke="#56616b" fill="none"/>')
    for name, (truth, predicted) in points.items():
        spots = sorted(
            {
                (round(left + x, 1), round(bottom - y, 1))
                for x, y in zip(place(truth).tolist(), place(predicted).tolist(), strict=True)
            }
        )
        if spots:
            out.append(_marks(name, GROUPS[name][0], spots))
    middle = left + SIDE / 2
    out.append(f'<rect x="{left}" y="{top}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#56616b"/>')
    out.append(f'<text x="{middle}" y="{bottom + 34}" text-anchor="middle">reported</text>')
    out.append(
        f'<text transform="translate({left - 46} {top + SIDE / 2}) rotate(-90)" '
        'text-anchor="middle">predicted, held out</text>'
    )
    return out


def _power(power: int) -> str:
    return (
        f"{10**power:,}" if power < 4 else f"{10 ** (power - 3):,}k" if power < 6 else f"{10 ** (power - 6)}M"
    )


def _marks(name: str, colour: str, spots: list[tuple[float, float]]) -> str:
    """Round dots as strokes of no length: one path a group keeps the file small."""
    text = "".join(f"M{x:g} {y:g}h0" for x, y in spots)
    size, opacity = (5, 0.55) if name == "resource-one" else (7, 0.8)
    return (
        f'<path d="{text}" stroke="{colour}" stroke-width="{size}" stroke-linecap="round" '
        f'stroke-opacity="{opacity}" fill="none"/>'
    )


if __name__ == "__main__":
    main()
