"""Known answers that are read off the tables of a run, or off the gene tables themselves."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from emhniche.errors import InputError
from emhniche.known_answer_evidence import Cannot, Check, Evidence
from emhniche.resources import load_signatures

ALPHA = 0.05


def too_few_counts(check: Check, evidence: Evidence) -> tuple[bool, str]:
    """Ask whether every row of each gene is not testable, and none has a number."""
    genes = check.many("genes")
    table = evidence.tables["production"]
    table = table[table["gene"].isin(genes)]
    if "tissue" in check.settings:
        table = table[table["tissue"].isin(check.many("tissue"))]
    absent = sorted(set(genes) - set(table["gene"]))
    if absent or table.empty:
        raise Cannot(f"production.tsv has no row of {', '.join(absent or genes)}")
    silent = (table["status"] == "not_testable") & table["logcpm"].isna()
    spoken = sorted(set(table.loc[~silent, "gene"]))
    seen = f"; {', '.join(spoken)} has a number" if spoken else ""
    rows = f"{int(silent.sum())} of {len(table)} rows of {', '.join(genes)} are not testable"
    return not spoken, f"{rows}, none of them zero{seen}"


def excess(check: Check, evidence: Evidence) -> tuple[bool, str]:
    """Ask whether case donors hold more cells above the reference range, at like maturation."""
    gates = _gates(evidence, check.many("signatures"))
    tested = gates[gates["p"].notna()]
    if tested.empty:
        raise Cannot(f"no gate is tested: {gates['reason'].iloc[0]}")
    best = tested.loc[tested["p"].idxmin()]
    seen = (
        f"{best['signature']} in {best['tissue']}: excess {best['excess']:.3f}, p {best['p']:.2g}"
    )
    return bool(best["excess"] > 0 and best["p"] <= ALPHA), f"{seen} (lowest p of {len(tested)})"


def restricted(check: Check, evidence: Evidence) -> tuple[bool, str]:
    """Ask whether a state is found in one tissue of case donors and not in another."""
    gates = _gates(evidence, [check.one("signature")])
    gates = gates[gates["lineage"] == check.one("lineage")]
    found = {}
    for side in ("present", "absent"):
        tested = gates[(gates["tissue"] == check.one(side)) & gates["p"].notna()]
        if tested.empty:
            raise Cannot(f"no gate of {check.one('signature')} is tested in {check.one(side)}")
        found[side] = bool((tested["p"] <= ALPHA).any())
    words = {True: "found", False: "not found"}
    seen = " and ".join(f"{words[found[side]]} in {check.one(side)}" for side in found)
    return found["present"] and not found["absent"], f"{check.one('signature')} {seen}"


def tested_up(check: Check, evidence: Evidence) -> tuple[bool, str]:
    """Ask whether a gene is called up between donors, in a tested contrast."""
    table = evidence.tables["contrasts"]
    rows = table[
        table["gene"].isin(check.many("genes"))
        & (table["cell_type"] == check.one("cell_type"))
        & (table["level"] == check.one("level"))
    ]
    tested = rows[rows["status"] == "tested"]
    if tested.empty:
        reasons = rows["reason"].dropna()
        raise Cannot(f"no contrast tests it{': ' + reasons.iloc[0] if len(reasons) else ''}")
    row = tested.loc[tested["p"].idxmin()]
    seen = f"{row['contrast']}: log2 fold change {row['effect']:.2f}, p {row['p']:.2g}"
    return bool(row["effect"] > 0 and row["p"] <= ALPHA), seen


def raw_rise(check: Check, evidence: Evidence) -> tuple[bool, str]:
    """Ask whether infection raises the raw score, and say what it does to the residual.

    The raw score is expected to rise. Where the residual rises too, it marks an emergency and not
    a tumour.
    """
    calls = evidence.tables["calls"]
    chosen = (calls["signature"] == check.one("signature")) & (
        calls["lineage"] == check.one("lineage")
    )
    calls = calls[chosen].set_index("cell_id")[["score", "residual"]]
    table = evidence.obs.join(calls, how="inner").dropna(subset=["score", "residual"])
    arms = table.groupby(table["arm"].astype(str))
    donors = table.groupby([table["arm"].astype(str), table["donor"].astype(str)])
    means = donors[["score", "residual"]].mean().groupby(level=0).mean()
    if not {"inflammation_control", "reference"} <= set(arms.groups):
        raise Cannot("it needs libraries of arm inflammation_control and of arm reference")
    change = means.loc["inflammation_control"] - means.loc["reference"]
    seen = f"raw score {change['score']:+.3f}, residual {change['residual']:+.3f}"
    return bool(change["score"] > 0), f"{seen} against reference donors"


def refused(check: Check, evidence: Evidence) -> tuple[bool, str]:
    """Ask whether the gene tables refuse genes that a species lacks, or does not use so."""
    wrong = []
    for species, key in (("mouse", "human_only"), ("human", "mouse_only")):
        for gene in check.many(key):
            spelled = gene.capitalize() if species == "mouse" else gene.upper()
            if _accepts(evidence.path, species, spelled):
                wrong.append(f"{spelled} in {species}")
    names = check.many("human_only") + check.many("mouse_only")
    seen = f"accepted: {', '.join(wrong)}" if wrong else f"all {len(names)} refused"
    return not wrong, f"{', '.join(names)} in the other species' sets: {seen}"


def _accepts(path: str, species: str, gene: str) -> bool:
    """Tell whether the reader takes the shipped signatures with a gene added to pathological ones.

    The file itself is left alone.
    """
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    marked = (table["species"] == species) & (table["polarity"] == "positive")
    marked &= table["class"].str.startswith("pathological")
    if not marked.any():
        raise Cannot(f"{Path(path).name} has no pathological {species} set")
    table.loc[table.index[marked][:1], "genes"] += f";{gene}"
    with TemporaryDirectory() as folder:
        changed = Path(folder) / "signatures.tsv"
        table.to_csv(changed, sep="\t", index=False)
        try:
            load_signatures(changed, species)
        except InputError:
            return False
    return True


def _gates(evidence: Evidence, signatures: list[str]) -> pd.DataFrame:
    """Return the gates of some signatures."""
    gates = evidence.tables["gates"]
    found = gates[gates["signature"].isin(signatures)]
    if found.empty:
        raise Cannot(f"the run has no gate of {', '.join(signatures)}")
    return found


TABLE_KINDS = {
    "too_few_counts": too_few_counts,
    "excess": excess,
    "restricted": restricted,
    "tested_up": tested_up,
    "raw_rise": raw_rise,
    "refused": refused,
}
