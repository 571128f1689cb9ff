"""Plots of what was measured, as SVG files that differ only where the figures do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.memory import Found

mpl.rcParams.update(
    {"svg.hashsalt": "coveo", "svg.fonttype": "none", "axes.spines.top": False, "axes.spines.right": False}
)


def bars(path: Path, title: str, unit: str, figures: Mapping[str, float]) -> None:
    """Draw one bar for each name."""
    figure = Figure(figsize=(7, 0.5 * len(figures) + 1), layout="constrained")
    axes = figure.subplots()
    drawn = axes.barh(list(figures), list(figures.values()), color="#1f6f8b")
    axes.bar_label(drawn, [f" {value:,.0f}" for value in figures.values()])
    axes.invert_yaxis()
    axes.set(title=title, xlabel=unit, xlim=(0, max(figures.values()) * 1.2))
    _save(figure, path)


def scaling(path: Path, together: Mapping[int, float]) -> None:
    """Draw what several uploads send together, over their number."""
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(list(together), list(together.values()), marker="o", color="#1f6f8b")
    axes.set(xlabel="uploads at once", ylabel="documents/s together", ylim=(0, max(together.values()) * 1.1))
    axes.set_xticks(list(together))
    _save(figure, path)


def memory(path: Path, found: Sequence[Found]) -> None:
    """Draw the private memory of each work over the rows."""
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    for work in dict.fromkeys(one.work for one in found):
        line = [one for one in found if one.work == work and one.data in {"narrow", "hashes", "groups"}]
        axes.plot([one.rows / 1e6 for one in line], [one.private for one in line], marker="o", label=work)
    axes.axhline(150, color="grey", linestyle=":")
    axes.set(xlabel="million rows", ylabel="private MB over an idle worker", ylim=(0, None))
    axes.legend(frameon=False)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None})
