"""The results as a page of tables, and time against accuracy as a figure."""

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.setting import Result, Results


def write_benchmarks(path: Path, about: dict[str, Any], results: Results, command: str, date: str) -> None:
    """Write the page, and where time to quality was measured the figure beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = path.with_suffix(".svg")
    quality = results.get("time_to_quality")
    if quality:
        draw_quality(figure, quality)
    lines = list(_head(about, command, date))
    lines += _floors(results, judged=about["size"] == "full")
    if quality:
        lines += [f"![Time against accuracy]({figure.name})", ""]
    for result in results.values():
        lines += [f"## {result.title}", "", f"{result.explanation} Commit {result.commit}.", ""]
        lines += [*table_lines(result.columns, result.rows), ""]
    path.write_text("\n".join(lines).rstrip() + "\n")


def _head(about: dict[str, Any], command: str, date: str) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    yield from ("# Benchmarks", "", f"Written by `{command}` on {date}; do not edit.", "")
    yield from (
        f"- machine: {about['machine']}",
        f"- versions: {versions}",
        "",
    )
    if about["size"] == "quick":
        yield from ("**A quick check on the bundled digits: floors do not apply to these figures.**", "")


def _floors(results: Results, *, judged: bool) -> list[str]:
    rows = [
        [
            floor.name,
            f"{floor.measured:.4g}" if floor.limit > 1.2 else f"{floor.measured:.5f}",
            f"{'at least' if floor.at_least else 'at most'} {floor.limit:g}",
            ("met" if floor.met else "**missed**") if judged else "not judged",
        ]
        for result in results.values()
        for floor in result.floors
    ]
    return ["## Floors", "", *table_lines(["what", "measured", "floor", ""], rows), ""] if rows else []


def table_lines(columns: list[str], rows: list[list[str]]) -> list[str]:
    body = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(row) + " |" for row in body]


def draw_quality(path: Path, quality: Result) -> None:
    """Draw each trained model as seconds of its process against test accuracy."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "benchmarks"}):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        for (recipe, figures), marker in zip(quality.figures.items(), "so^", strict=True):
            mean = statistics.mean(figures["accuracies"])
            label = f"{recipe}: {statistics.mean(figures['seconds']):.0f} s, {mean:.4f}"
            axes.plot(figures["seconds"], figures["accuracies"], marker, label=label, alpha=0.7)
        axes.set(xscale="log", xlabel="seconds of the whole process", ylabel="test accuracy")
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
        figure.savefig(path, format="svg", metadata={"Date": None})
