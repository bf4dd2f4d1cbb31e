"""Do the genes of one sex tell of the donor that the sample sheet names?

Xist is made where an X chromosome is silenced, so in females; genes of the Y chromosome in males.
What a library shows is judged by what is seen: a Y gene in a library of a female donor is wrong
however few genes the file lists, while the absence of one says little.
"""

import anndata as ad
import numpy as np
import pandas as pd

SEX_GENES = {
    "mouse": {"female": ("Xist",), "male": ("Ddx3y", "Eif2s3y", "Kdm5d", "Uty")},
    "human": {
        "female": ("XIST",),
        "male": ("DDX3Y", "EIF1AY", "KDM5D", "RPS4Y1", "USP9Y", "UTY"),
    },
}
"""Genes outside the pseudoautosomal regions that most cells make (from memory)."""

MIN_COUNTS = 20
"""Counts of the genes of a sex below which nothing is said of it."""

MIN_RATE = 0.2
"""Counts per 10,000 of a library that a sex's genes must reach: a third of the lowest seen in
libraries of one sex (Y genes of Klein's marrow, 0.7; Xist of the Mouse Cell Atlas spleen, 2.2)."""

MIN_MINORITY = 0.05
"""Share of the sex genes' counts above which the rarer sex is in the library too."""


def count_sex_genes(counts: ad.AnnData, keep: np.ndarray, species: str) -> dict:
    """Add up the counts of sex genes in the kept cells of one library.

    Parameters
    ----------
    counts
        Barcodes x genes, raw counts.
    keep
        One bool a barcode.
    species
        ``mouse`` or ``human``.

    Returns
    -------
    dict
        ``female`` and ``male``: counts of the genes of that sex, None where the file lists none of
        them; ``total``: counts of all genes; ``observed``: ``female``, ``male``, ``mixed``, or
        empty where too little is seen; ``reason``: why nothing is observed.
    """
    total = float(counts.X[keep].sum())
    found: dict[str, float | None] = {}
    for sex, genes in SEX_GENES[species].items():
        listed = counts.var_names.isin(genes)
        found[sex] = float(counts.X[keep][:, listed].sum()) if listed.any() else None
    observed, reason = observed_sex(found["female"], found["male"], total)
    return {**found, "total": total, "observed": observed, "reason": reason}


def observed_sex(female: float | None, male: float | None, total: float) -> tuple[str, str]:
    """Say which sex the counts of the sex genes show.

    Parameters
    ----------
    female, male
        Counts of the genes of each sex; None where the file lists none.
    total
        Counts of all genes.

    Returns
    -------
    tuple of str
        ``female``, ``male``, ``mixed`` or ``""``, and the reason for the last.
    """
    if female is None and male is None:
        return "", "the file lists no sex gene"
    seen = {"female": female or 0.0, "male": male or 0.0}
    both = sum(seen.values())
    strong = {
        sex
        for sex, number in seen.items()
        if number >= MIN_COUNTS and number * 1e4 >= MIN_RATE * total
    }
    if not strong:
        return "", f"only {both:.0f} counts of sex genes"
    top = max(seen, key=seen.__getitem__)
    minority = both - seen[top]
    if minority >= MIN_COUNTS / 2 and minority / both >= MIN_MINORITY:
        return "mixed", ""
    return top, ""


def judge_sex(samples: pd.DataFrame) -> pd.DataFrame:
    """Compare what each library shows with the sample sheet and with the donor's other libraries.

    Parameters
    ----------
    samples
        Indexed by sample: ``sex`` (of the sheet: ``female``, ``male``, ``mixed`` or ``""``),
        ``donor``, ``observed`` and ``reason`` (:func:`count_sex_genes`).

    Returns
    -------
    pandas.DataFrame
        Indexed by sample: ``sex_status`` (``agrees``, ``contradicts``, ``mixed``, ``one_sex``,
        ``donor_disagrees``, ``not_stated`` or ``not_testable``), ``level`` (``pass``, ``warn``,
        ``fail``) and ``text`` (empty for ``pass``).
    """
    stated = samples.loc[samples["sex"] != ""].groupby("donor")["sex"].first()
    # what the sheet says of a donor holds for all of the donor's libraries
    own = samples["sex"].where(samples["sex"] != "", samples["donor"].map(stated.to_dict()))
    own = own.where(own.notna(), "")
    samples = samples.assign(sex=own)
    rows = {}
    for sample, row in samples.iterrows():
        rows[sample] = _against_sheet(row["sex"], row["observed"])
    table = pd.DataFrame(rows, index=["sex_status", "level", "text"]).T
    # a pool may show either sex
    alone = (table["sex_status"] != "contradicts") & (samples["sex"] != "mixed")
    for _, part in samples[alone & samples["observed"].isin(["female", "male"])].groupby("donor"):
        if part["observed"].nunique() < 2:
            continue
        for sample, row in part.iterrows():
            other = part.index[part["observed"] != row["observed"]][0]
            text = (
                f"genes of a {row['observed']} here and of a {samples.at[other, 'observed']} in "
                f"{other}, a library of the same donor"
            )
            table.loc[sample] = ["donor_disagrees", "fail", text]
    return table


def _against_sheet(stated: str, observed: str) -> tuple[str, str, str]:
    """Return status, level and text of one library."""
    if not observed:
        return "not_testable", "pass", ""
    if observed == "mixed" and stated != "mixed":
        text = "genes of both sexes: more than one donor, or RNA from another library"
        return "mixed", "warn", text
    if not stated:
        return "not_stated", "pass", ""
    if stated == observed:
        return "agrees", "pass", ""
    if stated == "mixed":
        return "one_sex", "warn", f"mixed by the sample sheet, but only genes of a {observed}"
    text = f"{stated} by the sample sheet, but genes of a {observed}: swapped or wrongly entered"
    return "contradicts", "fail", text
