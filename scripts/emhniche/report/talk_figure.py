"""Who makes a signal, who can hear it, and where does that differ?

One map a niche, and one a contrast, with the same rows (a pair and its sender) and columns
(receivers). Where no donor holds enough of both sides a map is hatched, never white: that is not
known to be nothing.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from emhniche.axes import Q_LEVEL, differs
from emhniche.report import figures, words
from emhniche.report.figures import INK, LINEAGE_COLOURS, QUIET, styled
from emhniche.report.niche_figures import NOT_TESTABLE, RAMP
from emhniche.report.signals_figures import DIVERGING

PAIR = ["axis", "ligand", "receptor"]
ROW = [*PAIR, "sender"]

SIDE = 0.19
"""Inches of a field of the map."""

MAX_WIDTH = 10.0
"""Inches of maps in a row; more maps go below."""

MOST = 0.5
"""Share of the donors of a niche that must have a score for a field to be drawn full."""


@styled
def talk(pairs: pd.DataFrame, core: pd.DataFrame) -> Figure | None:
    """Draw senders and receivers of the core axes, one map a niche.

    Parameters
    ----------
    pairs
        ``niche/ligand_receptor.tsv``.
    core
        ``axis`` and ``gene`` of the panel's core tier.

    Returns
    -------
    matplotlib.figure.Figure or None
        None when no pair of a core axis has a score.
    """
    pairs = _of_core(pairs, core)
    levels = by_niche(pairs)
    if levels.empty:
        return None
    niches = words.order(pairs["niche"], ["marrow", "extramedullary"])
    norm = Normalize(np.floor(levels["score"].min()) - 1, np.ceil(levels["score"].max()))
    grid = _Grid(_rows(levels, pairs), _receivers(levels), len(niches), silent="none scored")
    for axis, niche in zip(grid.maps, niches, strict=True):
        part = levels[levels["niche"] == niche]
        axis.set_title(words.capital(words.name(niche)), fontsize=8.5)
        grid.fields(axis, part, part["score"], full=part["share"] >= MOST, cmap=RAMP, norm=norm)
    scale = grid.scale(ScalarMappable(norm, RAMP))
    scale.set_label("mean score of the donors", fontsize=8)
    grid.legend("score in half of the donors or more", "in fewer donors")
    return grid.figure


@styled
def changes(
    contrasts: pd.DataFrame, core: pd.DataFrame, titles: Mapping[str, str]
) -> Figure | None:
    """Draw how the scores of the core axes differ, one map a contrast.

    Parameters
    ----------
    contrasts
        ``niche/ligand_receptor_contrasts.tsv``.
    core
        ``axis`` and ``gene`` of the panel's core tier.
    titles
        Name of each contrast -> its title.

    Returns
    -------
    matplotlib.figure.Figure or None
        Triangles mark what differs (:func:`emhniche.axes.differs`). None when no score of a core
        axis could be compared.
    """
    contrasts = _of_core(contrasts, core)
    sized = contrasts[contrasts["effect"].notna()]
    if sized.empty:
        return None
    shown = [name for name in titles if name in set(contrasts["contrast"])]
    reach = max(1.0, float(sized["effect"].abs().quantile(0.98)))
    norm = Normalize(-reach, reach)
    grid = _Grid(_rows(sized, contrasts), _receivers(sized), len(shown), silent="none compared")
    for axis, name in zip(grid.maps, shown, strict=True):
        part = sized[sized["contrast"] == name]
        axis.set_title(_wrapped(titles[name]), fontsize=8.5)
        full = part["status"] == "tested"
        grid.fields(axis, part, part["effect"], full=full, cmap=DIVERGING, norm=norm)
        grid.marks(axis, part[differs(part)])
    scale = grid.scale(ScalarMappable(norm, DIVERGING), extend="both")
    scale.set_label("log2 change of the score", fontsize=8)
    mark = {"linestyle": "", "color": INK, "markersize": 5.5}
    grid.legend(
        "tested",
        "a size without a p-value",
        Line2D([], [], marker="^", **mark, label=f"higher in the test arm, q ≤ {Q_LEVEL:g}"),
        Line2D([], [], marker="v", **mark, label=f"lower, q ≤ {Q_LEVEL:g}"),
    )
    return grid.figure


def by_niche(pairs: pd.DataFrame) -> pd.DataFrame:
    """Average the scores of each sender and receiver over the donors of a niche.

    Parameters
    ----------
    pairs
        Rows of ``niche/ligand_receptor.tsv``.

    Returns
    -------
    pandas.DataFrame
        ``niche``, ``axis``, ``ligand``, ``receptor``, ``sender``, ``receiver``, ``score`` (mean of
        the donors, or libraries of unknown donors, that have one), ``units`` (how many have),
        ``share`` (of the niche's) and ``ambient`` (in at least half of them the soup explains the
        counts of a side).
    """
    units = pairs.drop_duplicates(["niche", "dataset", "condition", "unit"]).groupby("niche").size()
    scored = pairs[pairs["score"].notna() & (pairs["status"] != "not_testable")]
    table = scored.groupby(["niche", *ROW, "receiver"], as_index=False).agg(
        score=("score", "mean"), units=("score", "size"), ambient=("ambient", "mean")
    )
    table["share"] = table["units"] / table["niche"].map(units).astype(float)
    return table.assign(ambient=table["ambient"] >= 0.5)


def _of_core(table: pd.DataFrame, core: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose ligand is one of a core axis; an antagonist is no signal."""
    genes = pd.MultiIndex.from_frame(core[["axis", "gene"]])
    ligands = pd.MultiIndex.from_frame(table[["axis", "ligand"]])
    return table[ligands.isin(genes) & (table["sign"] == "agonist").to_numpy()]


def _rows(known: pd.DataFrame, every: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a map: pairs by sender; an axis without any has one row, no sender."""
    rows = known[ROW].drop_duplicates()
    silent = sorted(set(every["axis"]) - set(rows["axis"]))
    rows = pd.concat([rows, pd.DataFrame({"axis": silent})]).fillna("")
    lineages = words.order(rows["sender"], list(LINEAGE_COLOURS))
    rows["place"] = rows["sender"].map({name: place for place, name in enumerate(lineages)})
    return rows.sort_values([*PAIR, "place"], ignore_index=True)


def _receivers(known: pd.DataFrame) -> list[str]:
    return words.order(known["receiver"], list(LINEAGE_COLOURS))


class _Grid:
    """Maps side by side with the same rows and columns.

    Attributes
    ----------
    figure, maps
        The figure and one :class:`matplotlib.axes.Axes` a map.
    silent
        What stands in the row of an axis of which there is nothing.
    """

    def __init__(
        self, rows: pd.DataFrame, receivers: list[str], n_maps: int, *, silent: str
    ) -> None:
        self.rows, self.receivers, self.silent = rows, receivers, silent
        wide = min(n_maps, max(2, int(MAX_WIDTH / (SIDE * len(receivers) + 0.3))))
        deep = -(-n_maps // wide)
        width = max(4.1 + wide * (SIDE * len(receivers) + 0.25), 7.6)
        height = 0.9 + deep * (1.55 + 0.165 * len(rows))
        self.figure, self.axes = figures.new_figure(
            width, height, rows=deep, columns=wide, sharey=True
        )
        self.maps = list(self.axes.ravel())[:n_maps]
        for axis in self.axes.ravel()[n_maps:]:
            axis.set_visible(False)
        for axis in self.maps:
            self._frame(axis)
        for axis in self.axes[:, 0]:
            self._names(axis)

    def _frame(self, axis: Axes) -> None:
        """Hatch the ground, part axes and pairs, and name the receivers."""
        n_rows, n_columns = len(self.rows), len(self.receivers)
        ground = Rectangle((-0.5, -0.5), n_columns, n_rows, linewidth=0, zorder=0, **NOT_TESTABLE)
        axis.add_patch(ground)
        names = [words.short(words.name(one), 22) for one in self.receivers]
        axis.set_xticks(
            range(n_columns), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=7.5
        )
        axis.set_xlim(-0.5, n_columns - 0.5)
        axis.set_ylim(n_rows - 0.5, -0.5)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        for place in range(1, n_rows):
            now, before = self.rows.loc[place, PAIR], self.rows.loc[place - 1, PAIR]
            if now["axis"] != before["axis"]:
                axis.axhline(place - 0.5, color=INK, linewidth=0.8)
            elif not now.equals(before):
                axis.axhline(place - 0.5, color=QUIET, linewidth=0.3)

    def _names(self, axis: Axes) -> None:
        """Name the senders, and the pair and the axis at the first of them."""
        senders = [words.short(words.name(one), 20) for one in self.rows["sender"]]
        axis.set_yticks(range(len(senders)), senders, fontsize=7.5)
        style = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        style |= {"ha": "right", "va": "center", "fontsize": 7.5}
        for place, row in self.rows[~self.rows.duplicated(PAIR)].iterrows():
            text = f"{words.short(row['ligand'], 10)} → {words.short(row['receptor'], 10)}"
            text = text if row["ligand"] else self.silent
            axis.annotate(text, (0, place), (-98, 0), style="italic", **style)
        for place, row in self.rows[~self.rows.duplicated("axis")].iterrows():
            text = words.short(row["axis"], 12)
            axis.annotate(text, (0, place), (-182, 0), weight="bold", **style)

    def _places(self, part: pd.DataFrame) -> list[tuple[int, int]]:
        """Return column and row of each field."""
        row = {tuple(key): place for place, key in enumerate(self.rows[ROW].to_numpy())}
        return [
            (self.receivers.index(receiver), row[tuple(key)])
            for receiver, key in zip(part["receiver"], part[ROW].to_numpy(), strict=True)
        ]

    def fields(
        self,
        axis: Axes,
        part: pd.DataFrame,
        values: pd.Series,
        *,
        full: pd.Series,
        **colours: object,
    ) -> None:
        """Draw fields on a white ground, small where not `full`, crossed where ambient."""
        places = self._places(part)
        white = [Rectangle((x - 0.5, y - 0.5), 1, 1) for x, y in places]
        axis.add_collection(PatchCollection(white, facecolor="white", linewidth=0, zorder=1))
        drawn = [
            Rectangle((x - half, y - half), 2 * half, 2 * half)
            for (x, y), half in zip(places, np.where(full, 0.46, 0.26), strict=True)
        ]
        fields = PatchCollection(drawn, zorder=2, edgecolor=QUIET, linewidth=0.3, **colours)
        fields.set_array(values.to_numpy(dtype=float))
        axis.add_collection(fields)
        flagged = part["ambient"].fillna(False).astype(bool)
        self._points(axis, part[flagged], marker="x", markersize=5, markeredgewidth=0.8)

    def marks(self, axis: Axes, part: pd.DataFrame) -> None:
        """Mark the fields that differ, by their direction."""
        rim = {"markersize": 5.5, "markeredgecolor": "white", "markeredgewidth": 0.5}
        self._points(axis, part[part["effect"] > 0], marker="^", **rim)
        self._points(axis, part[part["effect"] < 0], marker="v", **rim)

    def _points(self, axis: Axes, part: pd.DataFrame, **style: object) -> None:
        places = np.array(self._places(part)).reshape(-1, 2)
        axis.plot(places[:, 0], places[:, 1], color=INK, linestyle="", zorder=3, **style)

    def scale(self, mappable: ScalarMappable, **style: object) -> Colorbar:
        """Draw the scale of the colours."""
        shrink = 0.4 / len(self.axes)
        return self.figure.colorbar(
            mappable, ax=self.axes, shrink=shrink, aspect=14, pad=0.01, anchor=(0, 1), **style
        )

    def legend(self, full: str, small: str, *more: Line2D) -> None:
        """Say what sizes, marks and the hatching mean."""
        square = {"marker": "s", "linestyle": "", "color": "#8FA1B3", "markeredgecolor": QUIET}
        cross = {"marker": "x", "linestyle": "", "color": INK, "markersize": 5.5}
        handles = [
            Line2D([], [], **square, markersize=9, label=full),
            Line2D([], [], **square, markersize=5, label=small),
            *more,
            Line2D([], [], **cross, label="may be ambient"),
            Patch(**NOT_TESTABLE, label="too few cells or counts on a side, or not measured"),
        ]
        self.figure.legend(handles=handles, loc="outside lower left", ncols=2)


def _wrapped(title: str) -> str:
    """Break a title before its second arm, and of an interaction before each of its places."""
    text = words.short(title, 70)
    for word in (" against ", " change in ", " against change in "):
        text = text.replace(word, f"\n{word.lstrip()}", 1)
    return text
