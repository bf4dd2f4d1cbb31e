"""How does a page get from its template to one self-contained file?

Templates are jinja2 with autoescape on: every name that comes from data is text, never markup. The
stylesheet and the scripts are written into the page, and the page's content security policy lets
exactly those scripts run (by their hash) and nothing be loaded, whatever a name may hold.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

import jinja2
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from emhniche.io import atomic_path, write_text
from emhniche.report import figures, words

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Picture:
    """A figure on a page.

    Attributes
    ----------
    name
        Of the figure: its id on the page and its file name when saved.
    content
        Inline SVG.
    caption
        What it shows, in words.
    tables
        Relative path of each table it was drawn from.
    drawn
        False when there was nothing to draw and `content` only says so.
    figure
        What `content` was made from.
    files
        Relative path of each file that the figure is saved in.
    """

    name: str
    content: Markup
    caption: str
    tables: Sequence[str] = ()
    drawn: bool = True
    figure: Figure | None = field(default=None, repr=False, compare=False)
    files: Sequence[str] = ()


def picture(
    name: str,
    figure: Figure | None,
    *,
    caption: str,
    tables: Sequence[str] = (),
    nothing: str = "There is nothing to draw.",
) -> Picture:
    """Make a figure ready for a page.

    Parameters
    ----------
    name
        Of the figure.
    figure
        The figure, or None when its tables hold nothing to draw.
    caption, tables
        As in :class:`Picture`.
    nothing
        What is said in place of a figure that is None.

    Returns
    -------
    Picture
    """
    drawn = figure is not None
    caption = caption if drawn else nothing
    figure = figure if drawn else figures.empty(nothing)
    svg = figures.to_svg(figure, name=name, description=caption)
    return Picture(name, Markup(svg), caption, tuple(tables), drawn, figure)


def save_picture(one: Picture, folder: Path, *, page: Path) -> Picture:
    """Write a figure as SVG and as PDF.

    Parameters
    ----------
    one
        The figure.
    folder
        Where ``<name>.svg`` and ``<name>.pdf`` go.
    page
        Folder of the page that links them.

    Returns
    -------
    Picture
        The figure, which now knows its files.
    """
    svg, pdf = folder / f"{one.name}.svg", folder / f"{one.name}.pdf"
    write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{one.content}\n', svg)
    with atomic_path(pdf) as temporary:
        temporary.write_bytes(figures.to_pdf(one.figure))
    return replace(one, files=tuple(str(file.relative_to(page)) for file in (svg, pdf)))


def render(template: str, *, scripts: Sequence[str], context: Mapping[str, object]) -> str:
    """Render a page.

    Parameters
    ----------
    template
        File name in ``templates/``.
    scripts
        Script files of ``templates/`` that the page runs.
    context
        What the template names.

    Returns
    -------
    str
        HTML that needs no other file.
    """
    sources = [(TEMPLATES / script).read_text(encoding="utf-8") for script in scripts]
    hashes = " ".join(f"'sha256-{_digest(source)}'" for source in sources) or "'none'"
    return (
        _environment()
        .get_template(template)
        .render(
            **context,
            stylesheet=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
            scripts=[Markup(source) for source in sources],
            policy=(
                f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
                "img-src data: blob:; base-uri 'none'; form-action 'none'"
            ),
        )
    )


def sample_link(sample: str, *, from_report: bool) -> str:
    """Return the relative link to a sample's page, from the report folder or from the run's."""
    return f"{'../' if from_report else ''}samples/{quote(str(sample), safe='')}/qc.html"


def breakable(text: object) -> Markup:
    """Write a name so that a narrow column may break it after an underscore or a slash."""
    return Markup(re.sub(r"(?<=\w)([_/])(?=\w)", r"\1<wbr>", str(escape(str(text)))))


def _digest(source: str) -> str:
    return base64.b64encode(hashlib.sha256(source.encode("utf-8")).digest()).decode("ascii")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        breakable=breakable,
        count=words.number,
        signed=words.signed,
        significant=words.significant,
        percent=words.percent,
        p_value=words.p_value,
        name=words.name,
        reason=words.reason,
        sentence=words.sentence,
        in_words=words.join,
        held=words.held,
    )
    environment.globals.update(
        status=words.status,
        statuses=words.STATUSES,
        judged=words.judged,
        verdicts=words.VERDICTS,
        missing=words.MISSING,
        is_missing=words.is_missing,
        plural=words.plural,
        sample_link=sample_link,
    )
    return environment
