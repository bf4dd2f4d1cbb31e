"""What does a page of the report say outside its tables, block by block, as a reader sees it?"""

import re
from dataclasses import dataclass
from functools import cache
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

BLOCKS = {"p", "li", "dd", "dt", "figcaption", "summary", "h1", "h2", "h3", "label", "footer"}
SILENT = {"script", "style", "svg", "table", "nav", "button", "select", "code", "head"}
"""Elements whose text is no sentence; tables are read by :mod:`traced_rows`."""

SILENT_CLASSES = {"tools", "mark", "references", "badge", "source"}
VOID = {"wbr", "br", "input", "img", "meta", "link", "hr", "col"}


@dataclass
class Block:
    """A paragraph, item or caption.

    ``section`` is the id of the last h2, ``about`` the id of the table that a caption, a summary or
    a search field belongs to; the mark of a status is no part of ``text``.
    """

    tag: str
    section: str
    text: str
    about: str = ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Block] = []
        self.open: list[Block] = []
        self.stack: list[tuple[str, bool]] = []
        self.section = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        if tag == "input" and self.open and own.get("data-filter"):
            self.open[-1].about = own["data-filter"]
        if tag == "table":
            for block in self.found:
                if block.tag == "summary" and not block.about:
                    block.about = own.get("id") or "none"
        if tag in VOID:
            return
        classes = set((own.get("class") or "").split())
        mark = tag == "a" and (own.get("href") or "").startswith("#ref-")
        silent = tag in SILENT or bool(classes & SILENT_CLASSES) or mark
        self.stack.append((tag, silent))
        if tag == "h2":
            self.section = own.get("id") or ""
        if tag in BLOCKS and not self._silent():
            about = (own.get("id") or "").removesuffix("-caption") if tag == "p" else ""
            self.open.append(Block(tag, self.section, "", about))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID or tag not in [one for one, _ in self.stack]:
            return
        silent = self._silent()
        while self.stack.pop()[0] != tag:
            pass
        if tag in BLOCKS and self.open and not silent and self.open[-1].tag == tag:
            block = self.open.pop()
            block.text = plain(block.text)
            self.found.append(block)

    def handle_data(self, data: str) -> None:
        if self.open and not self._silent():
            self.open[-1].text += data

    def _silent(self) -> bool:
        return any(silent for _, silent in self.stack)


def plain(text: str) -> str:
    """Write any white space, no-break spaces as well, as one space."""
    return re.sub(r"\s+", " ", text).strip()


def blocks(page: Path) -> list[Block]:
    """Return every block of text of a page, in its order; citation marks and links are left out."""
    reader = _Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    return [block for block in reader.found if block.text]


def table_rows(page: Path) -> dict[str, list[list[tuple[str, str]]]]:
    """Return every table of a page: id, or what it is labelled by -> rows of (heading, text).

    A heading that a table has twice gets a number the second time: ``Cells``, ``Cells (2)``. The
    heading of a column of numbers, which is aligned to the right, begins with ``#``.
    """
    return _tables(page, page.stat().st_mtime_ns)


@cache
def _tables(page: Path, _: int) -> dict[str, list[list[tuple[str, str]]]]:
    html = page.read_text(encoding="utf-8")
    found = {}
    for attributes, body in re.findall(r"<table([^>]*)>(.*?)</table>", html, flags=re.DOTALL):
        own = dict(re.findall(r'([a-z-]+)="([^"]*)"', attributes))
        name = own.get("id") or own.get("aria-labelledby") or own["aria-label"]
        lines = [
            re.findall(r"<t[hd]([^>]*)>(.*?)</t[hd]>", line, flags=re.DOTALL)
            for line in re.findall(r"<tr[^>]*>(.*?)</tr>", body, flags=re.DOTALL)
        ]
        headings: list[str] = []
        for attribute, cell in lines[0]:
            text = ("#" if 'class="n"' in attribute else "") + _cell_text(cell)
            again = sum(one.split(" (")[0] == text for one in headings)
            headings.append(f"{text} ({again + 1})" if again else text)
        found[name] = [
            [(heading, _cell_text(cell)) for heading, (_, cell) in zip(headings, line, strict=True)]
            for line in lines[1:]
        ]
    return found


def _cell_text(cell: str) -> str:
    return plain(unescape(re.sub(r"<[^>]+>", "", cell)))


def linked(page: Path, name: str) -> list[Path]:
    """Return the files of the run that the caption of a table links."""
    html = page.read_text(encoding="utf-8")
    caption = re.search(rf'id="{re.escape(name)}(?:-caption)?">(.*?)</p>', html, flags=re.DOTALL)
    links = re.findall(r'<a href="([^"]+)"', caption[1]) if caption else []
    return [(page.parent / link).resolve() for link in links]


def numbered(page: Path) -> list[Block]:
    """Return the blocks that hold a number."""
    return [block for block in blocks(page) if re.search(r"(?<!\w)\d", block.text)]
