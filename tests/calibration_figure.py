"""Error rates and power of the tests of the niche stage, drawn from the table."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

INK, QUIET, CELLS = "#1B1F24", "#9AA3AB", "#D55E00"
MARKERS = {3: "o", 4: "s", 6: "D"}
COLOURS = {3: "#56B4E9", 4: "#0072B2", 6: "#332288"}
SOURCES = {"drawn": "real cells drawn again", "simulated": "simulated demo cohort"}


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw how often each test errs, beside tests over cells, and how often it finds a change.

    Parameters
    ----------
    table
        ``docs/niche_calibration.tsv``.
    path
        Where to write the picture (.png).
    """
    null, planted = table[table["fold"] == 0], table[table["fold"] > 0]
    labels = null[["reading", "contrast"]].drop_duplicates().apply(", ".join, axis=1).tolist()
    powers = planted[["reading", "contrast"]].drop_duplicates().to_numpy().tolist()
    n_rows = max(1, -(-len(powers) // 3))
    figure = Figure(figsize=(11, 1.6 + 0.3 * len(labels) + 2.1 * n_rows), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[1.2 + 0.3 * len(labels), 2.1 * n_rows])
    for axis, source in zip(above.subplots(1, 2, sharey=True), SOURCES, strict=True):
        _errors(axis, null[null["source"] == source], labels)
        axis.set_title(SOURCES[source], fontsize=10, loc="left", color=INK)
    handles, names = axis.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    above.legend(
        unique.values(),
        unique.keys(),
        loc="outside lower center",
        ncols=5,
        fontsize=8,
        frameon=False,
    )
    for place, (reading, contrast) in enumerate(powers):
        axis = below.add_subplot(n_rows, 3, place + 1)
        chosen = (planted["reading"] == reading) & (planted["contrast"] == contrast)
        _power(axis, planted[chosen], f"{reading}, {contrast}")
    figure.savefig(path, dpi=110)


def _errors(axis, rows: pd.DataFrame, labels: list[str]) -> None:
    """Draw shares of p < 0.05, one line a test and contrast."""
    axis.axvspan(0.03, 0.07, color="#E6F2EC", zorder=0)
    axis.axvline(0.05, color=QUIET, linewidth=0.8)
    for row in rows.itertuples():
        place = labels.index(f"{row.reading}, {row.contrast}") + (row.mice - 4) * 0.12
        spread = {"xerr": 1.96 * row.se, "color": COLOURS[row.mice], "fmt": MARKERS[row.mice]}
        axis.errorbar(row.below_05, place, markersize=4, label=f"{row.mice} mice an arm", **spread)
        if pd.notna(row.cells_below_05):
            axis.plot(
                row.cells_below_05,
                place,
                "x",
                color=CELLS,
                markersize=5,
                label="cells as witnesses",
            )
    axis.set_yticks(range(len(labels)), labels, fontsize=8)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.set_xscale("symlog", linthresh=0.1)
    axis.set_xlim(0, 1)
    ticks = (0, 0.03, 0.05, 0.07, 0.2, 0.5, 1)
    axis.set_xticks(ticks, [f"{100 * tick:g}" for tick in ticks], fontsize=8)
    axis.set_xlabel("p < 0.05 where nothing differs (% of tests)", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)


def _power(axis, rows: pd.DataFrame, title: str) -> None:
    """Draw the share of changes found over the size of the change."""
    for mice, part in rows.groupby("mice"):
        axis.errorbar(
            part["fold"],
            100 * part["below_05"],
            yerr=196 * part["se"],
            color=COLOURS[mice],
            marker=MARKERS[mice],
            markersize=4,
        )
    axis.set_title(title, fontsize=9, loc="left", color=INK)
    axis.set_ylim(0, 102)
    axis.set_xticks([0.5, 1, 2])
    axis.tick_params(labelsize=8)
    axis.set_xlabel("log2 fold change", fontsize=8)
    axis.set_ylabel("p < 0.05 (%)", fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
