"""Reading what an index states, and the files of its run, for the tests that compare the two."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path

import pandas as pd

from emhniche.report import words
from emhniche.report.tables import RunTables, contrast_titles

N = r"[−-]?[\d,]+(?:\.\d+)?"
SIZE = rf"(?:({N})-fold (higher|lower)|the same)"


def sentences(page: Path) -> list[str]:
    """Return the sentences of an index that state what was found, as a reader sees them."""
    html = re.sub(r"\s+", " ", page.read_text(encoding="utf-8"))
    told = re.findall(r'<p class="standfirst">(.*?)</p>', html)
    told += re.findall(r'<li><span>.*?</span><span>(.*?)<a class="source"', html)
    told += re.findall(r'<p> ?<span class="badge[^>]*>[^<]*</span>(.*?)</p>', html)
    return [unescape(re.sub(r"<[^>]+>", "", one)).strip() for one in told]


def glance(page: Path) -> list[str]:
    """Return the numbers at the head of an index, each with what it counts."""
    html = re.sub(r"\s+", " ", page.read_text(encoding="utf-8"))
    listed = re.search(r'<ul class="glance".*?</ul>', html)[0]
    return [re.sub(r"<[^>]+>", "", one).strip() for one in re.findall(r"<li>(.*?)</li>", listed)]


def close(text: str, value: float) -> bool:
    """Tell whether a number in a text is `value`, to the digits that it shows."""
    plain = text.replace(",", "").replace("−", "-").lstrip("+")
    digits = len(plain.partition(".")[2])
    return abs(float(plain) - float(value)) <= 0.5 * 10**-digits * (1 + 1e-6)


def percent(text: str, share: float) -> bool:
    """Tell whether ``12 %``, ``<1 %`` or ``>99 %`` is a share of 0 to 1."""
    if text.startswith("<"):
        return text == "<1 %" and 0 < 100 * share < 1
    if text.startswith(">"):
        return text == ">99 %" and 99 < 100 * share < 100
    return close(text.removesuffix(" %"), 100 * share)


def p_value(text: str, value: float) -> bool:
    """Tell whether a p-value is written to two digits, or as below a ten-thousandth."""
    return (
        value < float(text[1:]) == 1e-4
        if text.startswith("<")
        else float(f"{value:.1e}") == float(text)
    )


def items(text: str) -> list[str]:
    """Split a list in words."""
    return [one for one in re.split(r", (?=\S)| and ", text) if one]


def names(values: pd.Series) -> pd.Series:
    """Write names as sentences do."""
    return values.map(words.name)


def fold(text: str, effect: float) -> bool:
    """Tell whether ``2.8-fold higher`` is a log2 fold change."""
    found = re.fullmatch(SIZE, text)
    if not found or found[1] is None:
        return bool(found) and 2 ** abs(effect) < 1.05
    return close(found[1], 2 ** abs(effect)) and (found[2] == "higher") == (effect > 0)


@dataclass
class Tables:
    """The files of a run, the titles of its contrasts, its cells and its sheet and settings."""

    root: Path
    titles: dict[str, str]
    cells: pd.DataFrame
    samples: pd.DataFrame
    registry: pd.DataFrame
    config: Mapping
    provenance: Mapping = field(init=False)
    held: dict[str, pd.DataFrame] = field(init=False, default_factory=dict)

    @classmethod
    def of_run(cls, run: RunTables) -> "Tables":
        """Take of a run what is no table of its own."""
        own = {"samples": run.samples, "registry": run.registry, "config": run.config}
        return cls(run.root, contrast_titles(run), run.cells, **own)

    def __post_init__(self) -> None:
        paths = sorted(self.root.glob("samples/*/qc.json"))
        own = {one["sample"]: one for one in map(json.loads, (p.read_text() for p in paths))}
        judged = self.read("samples.tsv").set_index("sample")[["verdict", "verdict_reason", "kept"]]
        self.qc = {sample: one | judged.loc[sample].to_dict() for sample, one in own.items()}
        self.used = {sample: one for sample, one in self.qc.items() if one["kept"]}
        self.provenance = json.loads((self.root / "provenance.json").read_text("utf-8"))
        self.contrast = {title: name for name, title in self.titles.items()}

    def read(self, path: str) -> pd.DataFrame:
        """Return one table of the run, read once."""
        if path not in self.held:
            file, kind = self.root / path, Path(path).suffix
            table = pd.read_parquet(file) if kind == ".parquet" else pd.read_csv(file, sep="\t")
            self.held[path] = table
        return self.held[path].copy()

    def of(self, path: str, title: str) -> pd.DataFrame:
        """Return the rows of a table about the contrast with this title."""
        table = self.read(path)
        return table[table["contrast"] == self.contrast[title]]
