"""How does every picture of the report look, and how does it get on a page?

The one plotting module: style, palettes and output. :mod:`.sample_figures` and :mod:`.run_figures`
draw with it. Figures are explicit :class:`matplotlib.figure.Figure` objects (no pyplot state) and
become SVG whose text stays text, so that a page can be searched and printed sharply, and PDF with
embedded fonts for papers.
"""

import functools
import io
import re
from collections.abc import Callable, Sequence
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter

from emhniche.report import words

LINEAGE_COLOURS = {
    "B": "#0072B2",
    "plasma": "#56B4E9",
    "T": "#009E73",
    "NK": "#BBCC33",
    "DC": "#CC79A7",
    "monocyte_macrophage": "#E69F00",
    "neutrophil": "#D55E00",
    "mast_basophil": "#999933",
    "eosinophil": "#CC6677",
    "erythroid": "#882255",
    "megakaryocyte": "#AA4499",
    "HSPC": "#332288",
    "stroma": "#117733",
    "endothelium": "#44AA99",
    "glia": "#DDCC77",
    "mesothelium": "#661100",
    "unresolved": "#BBBBBB",
}
"""One colour a lineage, everywhere (Okabe-Ito, filled up from Paul Tol's muted and light sets)."""

REASON_COLOURS = {
    "kept": "#CBD5DF",
    "low_counts": "#0072B2",
    "low_genes": "#56B4E9",
    "high_mito": "#D55E00",
    "doublet": "#882255",
    "no_cell": "#E69F00",
}
"""One colour a fate of a barcode; further reasons take the next free colour."""

STATUS_COLOURS = {
    "tested": "#0B6B50",
    "effect_only": "#8A5A00",
    "not_identifiable": "#6A4C93",
    "not_testable": "#5C6670",
}

CYCLE = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#332288", "#999933",
    "#882255", "#44AA99", "#117733", "#AA4499", "#DDCC77", "#661100", "#BBCC33", "#CC6677",
)  # fmt: skip
"""Colours of categories without one of their own."""

FONTS = ("Helvetica Neue", "Helvetica", "Arial", "Liberation Sans", "DejaVu Sans")
"""Wanted first to last; text is measured with the first that this machine has."""

GREY = "#BBBBBB"
INK = "#1B1F24"
QUIET = "#5C6670"
RULE = "#D8DEE4"

STYLE = {
    "font.family": [font for font in FONTS if font in get_font_names()],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "hatch.linewidth": 0.5,
    "figure.dpi": 144,
    "savefig.dpi": 144,
    "svg.fonttype": "none",
    # TrueType outlines: text that journals and drawing programs can edit
    "pdf.fonttype": 42,
    # names come from data: a '$' in one must not start a formula
    "text.parse_math": False,
}

PDF_DPI = 300
"""Dots per inch of what is a picture within a PDF (thousands of cells); all else is vectors."""

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"


def styled(draw: Callable) -> Callable:
    """Let a drawing function draw in the report's style."""

    @functools.wraps(draw)
    def wrapper(*args: object, **settings: object) -> object:
        with mpl.rc_context(STYLE):
            return draw(*args, **settings)

    return wrapper


@styled
def new_figure(width: float, height: float, *, rows: int = 1, columns: int = 1, **grid: object):
    """Make a figure in the report's style.

    Parameters
    ----------
    width, height
        Inches.
    rows, columns
        Of axes.
    **grid
        Passed to :meth:`matplotlib.figure.Figure.subplots`.

    Returns
    -------
    tuple of matplotlib.figure.Figure and numpy.ndarray
        The figure and its axes (rows x columns).
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **grid)


def to_svg(figure: Figure, *, name: str, description: str) -> str:
    """Turn a figure into SVG for inlining in a page.

    Parameters
    ----------
    figure
        What to draw.
    name
        Of the figure on its page; prefixes the ids so that two figures cannot clash.
    description
        What a reader who cannot see it is told.

    Returns
    -------
    str
        An ``<svg>`` element with no metadata, no fixed size and no foreign reference.
    """
    buffer = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(buffer.getvalue())
    for child in [child for child in root if child.tag == f"{{{SVG}}}metadata"]:
        root.remove(child)
    _prefix_ids(root, re.sub(r"[^a-z0-9]+", "-", name.lower()))
    _name_fonts(root)
    for key in ("width", "height"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", description)
    width = figure.get_figwidth()
    # on a narrow screen a figure scrolls rather than shrinks beyond reading
    root.set("style", f"max-width: {width:g}in; min-width: {0.7 * width:g}in")
    return ElementTree.tostring(root, encoding="unicode")


def to_pdf(figure: Figure) -> bytes:
    """Turn a figure into a PDF page of its own size: vectors, with its fonts embedded.

    Parameters
    ----------
    figure
        What to draw.

    Returns
    -------
    bytes
        A PDF without a date, so that equal figures give equal bytes.
    """
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(
            buffer, format="pdf", dpi=PDF_DPI, metadata={"CreationDate": None, "Creator": None}
        )
    return buffer.getvalue()


@styled
def empty(text: str) -> Figure:
    """Make a figure that says why there is nothing to draw."""
    figure, axes = new_figure(6.0, 1.2)
    axes[0, 0].axis("off")
    axes[0, 0].text(0, 0.5, text, va="center", style="italic", color=QUIET)
    return figure


def colours(names: Sequence[str], fixed: dict[str, str] | None = None) -> dict[str, str]:
    """Give each category a colour: its own when it has one, else the next free of the cycle.

    Where the cycle has too few, it begins again in paler and then in darker shades.
    """
    fixed = {**LINEAGE_COLOURS, **(fixed or {})}
    free = [colour for colour in CYCLE if colour not in {fixed[n] for n in names if n in fixed}]
    free = free or list(CYCLE)
    chosen: dict[str, str] = {}
    for name in names:
        if name in fixed:
            chosen[name] = fixed[name]
        elif words.is_missing(name) or str(name).startswith("unknown"):
            chosen[name] = GREY
        else:
            taken = sum(other not in fixed for other in chosen)
            chosen[name] = _shade(free[taken % len(free)], taken // len(free))
    return chosen


def _shade(colour: str, turn: int) -> str:
    """Return a colour as it is in the first turn of the cycle, then paler, then darker."""
    towards, share = ((0, 0), (1, 0.45), (0, 0.4))[turn % 3]
    return to_hex([(1 - share) * part + share * towards for part in to_rgb(colour)]).upper()


def reason_colours(reasons: Sequence[str]) -> dict[str, str]:
    """Give each reason of removal a colour."""
    return colours(reasons, REASON_COLOURS)


def label_point(axes: Axes, x: float, y: float, text: str, **style: object) -> None:
    """Write `text` at a point with a white rim, so that it reads on coloured dots."""
    axes.text(
        x,
        y,
        text,
        ha="center",
        va="center",
        path_effects=[withStroke(linewidth=2.2, foreground="white")],
        **{"fontsize": 8.5, "color": INK, **style},
    )


def thousands(axis: Axis) -> None:
    """Write an axis' numbers as 1,000 rather than 10^3; within two decades 2 and 5 as well."""

    def plain(value: float, _: int = 0) -> str:
        return f"{value:,.0f}" if value >= 1 else f"{value:g}"

    axis.axes.autoscale_view()
    low, high = axis.get_view_interval()
    between = "25" if low > 0 and high / low < 100 else ""
    axis.set_major_formatter(FuncFormatter(plain))
    axis.set_minor_formatter(
        FuncFormatter(lambda value, _: plain(value) if f"{value:e}"[0] in between else "")
    )


def shuffled(size: int, seed: int = 0) -> np.ndarray:
    """Return a fixed random drawing order, so that no category always lies on top."""
    return np.random.default_rng(seed).permutation(size)


def _prefix_ids(root: ElementTree.Element, prefix: str) -> None:
    """Prefix every id below `root`, and whatever points to one."""
    used = set()
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if key == f"{{{XLINK}}}href" and value.startswith("#"):
                used.add(value[1:])
                element.set(key, f"#{prefix}-{value[1:]}")
            elif "url(#" in value:
                used.update(re.findall(r"url\(#([^)]*)\)", value))
                element.set(key, value.replace("url(#", f"url(#{prefix}-"))
    for element in root.iter():
        key = element.attrib.pop("id", None)
        if key in used:
            element.set("id", f"{prefix}-{key}")


def _name_fonts(root: ElementTree.Element) -> None:
    """Name every wanted font, not only those of the machine that drew the figure."""
    family = ", ".join(f"'{font}'" for font in FONTS) + ", sans-serif"
    for element in root.iter(f"{{{SVG}}}text"):
        style = element.get("style", "")
        element.set("style", re.sub(r"(font: [^;]*?px) [^;]+", rf"\1 {family}", style))
