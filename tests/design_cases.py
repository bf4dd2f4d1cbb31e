"""Sample sheets of common designs, good and bad, with the verdict each should get."""

import pandas as pd

NICHE = {"name": "n", "factor": "niche", "test": "extramedullary", "reference": "marrow"}
TUMOUR = {"name": "t", "factor": "condition", "test": "tumour", "reference": "control"}
MORE = {
    **TUMOUR,
    "interaction": {"factor": "niche", "test": "extramedullary", "reference": "marrow"},
}
TISSUE = {"extramedullary": "spleen", "marrow": "bone marrow"}


def sheet(*libraries: dict[str, str]) -> pd.DataFrame:
    """Return a sample sheet as ``read_samples`` would, one row a library."""
    rows = []
    for number, library in enumerate(libraries):
        name = f"s{number}"
        niche = library.get("niche", "extramedullary")
        row = {
            **{"dataset": library.get("study", "A"), "study": "A", "chemistry": "10x v3"},
            **{"batch": name, "enrichment": "none", "sex": "", "condition": "", "niche": niche},
            **{"donor": "", "tissue": TISSUE[niche], **library},
        }
        row["donor_known"] = row["donor"] != ""
        row["donor"] = row["donor"] or f"unknown:{name}"
        rows.append(pd.Series(row, name=name))
    return pd.DataFrame(rows)


def arm(niche: str, donors: str, **columns: str) -> list[dict[str, str]]:
    """Return one library for each letter of `donors`; ``?`` is an unknown donor."""
    return [{"niche": niche, "donor": donor.replace("?", ""), **columns} for donor in donors]


def spleen(donors: str, **columns: str) -> list[dict[str, str]]:
    return arm("extramedullary", donors, **columns)


def marrow(donors: str, **columns: str) -> list[dict[str, str]]:
    return arm("marrow", donors, **columns)


def treated(donors: str, **columns: str) -> list[dict[str, str]]:
    return arm("extramedullary", donors, condition="tumour", **columns)


def control(donors: str, **columns: str) -> list[dict[str, str]]:
    return arm("extramedullary", donors, condition="control", **columns)


def both(donors: str, condition: str, **columns: str) -> list[dict[str, str]]:
    """Return a spleen and a marrow library for each donor."""
    return spleen(donors, condition=condition, **columns) + marrow(
        donors, condition=condition, **columns
    )


DESIGNS = [
    # name, libraries, contrast, verdict, design formula, part of the reason
    (
        "different donors",
        spleen("abc") + marrow("def"),
        NICHE,
        "tested",
        "~ niche",
        "3 against 3 known donors",
    ),
    (
        "unequal arms",
        spleen("abcdef") + marrow("ghi"),
        NICHE,
        "tested",
        "~ niche",
        "6 against 3",
    ),
    (
        "paired donors",
        spleen("abc") + marrow("abc"),
        NICHE,
        "tested",
        "~ donor + niche",
        "3 paired known donors",
    ),
    (
        "some paired, enough",
        spleen("abcd") + marrow("abce"),
        NICHE,
        "tested",
        "~ donor + niche",
        "3 paired",
    ),
    (
        "some paired, too few of them",
        spleen("abcde") + marrow("aghij"),
        NICHE,
        "tested",
        "~ niche",
        "5 against 5",
    ),
    (
        "two libraries a donor are one unit",
        spleen("aabbcc") + marrow("ddeeff"),
        NICHE,
        "tested",
        "~ niche",
        "3 against 3",
    ),
    (
        "two libraries of one donor",
        spleen("aaa") + marrow("bbb"),
        NICHE,
        "effect_only",
        "~ niche",
        "every extramedullary library is of a",
    ),
    (
        "one donor an arm",
        treated("a", batch="1") + control("b", batch="1"),
        TUMOUR,
        "effect_only",
        "~ condition",
        "condition cannot be told from donor",
    ),
    (
        "two donors an arm",
        spleen("ab") + marrow("cd"),
        NICHE,
        "effect_only",
        "~ niche",
        "2 with extramedullary, 2 with marrow; 3 in each",
    ),
    (
        "one arm short",
        spleen("abcdef") + marrow("gh"),
        NICHE,
        "effect_only",
        "~ niche",
        "6 with extramedullary, 2 with marrow",
    ),
    (
        "unknown donors",
        spleen("????") + marrow("????"),
        NICHE,
        "effect_only",
        "~ niche",
        "libraries of an unknown donor: 8",
    ),
    (
        "unknown donors do not fill an arm",
        spleen("abc") + marrow("de??"),
        NICHE,
        "effect_only",
        "~ niche",
        "3 with extramedullary, 2 with marrow",
    ),
    (
        "unknown donors beside enough known",
        spleen("abc?") + marrow("def?"),
        NICHE,
        "tested",
        "~ niche",
        "3 against 3",
    ),
    (
        "no reference arm",
        spleen("abc"),
        NICHE,
        "not_testable",
        "",
        "no library kept has niche marrow",
    ),
    (
        "no arm at all",
        control("abc"),
        {**TUMOUR, "reference": "naive"},
        "not_testable",
        "",
        "tumour or naive",
    ),
    (
        "study aliased",
        spleen("abc", study="A") + marrow("def", study="B"),
        NICHE,
        "not_identifiable",
        "",
        "niche cannot be told from study",
    ),
    (
        "studies nested in tissue",
        spleen("abc", study="A") + spleen("def", study="B") + marrow("ghi", study="C"),
        NICHE,
        "not_identifiable",
        "",
        "library is A or B, every marrow library C",
    ),
    (
        "one study a donor, nested",
        [{**row, "study": row["donor"]} for row in spleen("abc") + marrow("def")],
        NICHE,
        "not_identifiable",
        "",
        "niche cannot be told from study",
    ),
    (
        "studies span both niches",
        spleen("abc", study="A")
        + marrow("def", study="A")
        + spleen("ghi", study="B")
        + marrow("jkl", study="B"),
        NICHE,
        "tested",
        "~ study + niche",
        "6 against 6",
    ),
    (
        "one study spans, the other is left out",
        spleen("abc", study="A") + marrow("def", study="A") + spleen("ghi", study="B"),
        NICHE,
        "tested",
        "~ niche",
        "left out, because only one arm has their like: s6, s7",
    ),
    (
        "the study that spans has too few donors",
        spleen("a", study="A")
        + marrow("b", study="A")
        + spleen("cde", study="B")
        + marrow("fgh", study="C"),
        NICHE,
        "effect_only",
        "~ niche",
        "every extramedullary library is of a",
    ),
    (
        "chemistry aliased",
        spleen("abc", chemistry="10x v2") + marrow("abc", chemistry="10x v3"),
        NICHE,
        "not_identifiable",
        "",
        "niche cannot be told from chemistry",
    ),
    (
        "chemistry crossed within pairs",
        spleen("abc", chemistry="v2")
        + spleen("de", chemistry="v3")
        + marrow("abc", chemistry="v3")
        + marrow("de", chemistry="v2"),
        NICHE,
        "tested",
        "~ donor + chemistry + niche",
        "5 paired",
    ),
    (
        "sex aliased",
        treated("abc", sex="female") + control("def", sex="male"),
        TUMOUR,
        "not_identifiable",
        "",
        "condition cannot be told from sex",
    ),
    (
        "sex balanced",
        treated("abc", sex="female")
        + treated("def", sex="male")
        + control("ghi", sex="female")
        + control("jkl", sex="male"),
        TUMOUR,
        "tested",
        "~ sex + condition",
        "6 against 6",
    ),
    (
        "sex of some not recorded",
        treated("a", sex="female") + treated("bc") + control("def", sex="female"),
        TUMOUR,
        "tested",
        "~ condition",
        "sex not recorded for 2 of 6",
    ),
    (
        "condition aliased with niche",
        spleen("abc", condition="tumour") + marrow("def", condition="control"),
        NICHE,
        "not_identifiable",
        "",
        "niche cannot be told from condition",
    ),
    (
        "tissue aliased with condition",
        spleen("abc", condition="tumour") + marrow("def", condition="control"),
        TUMOUR,
        "not_identifiable",
        "",
        "condition cannot be told from tissue",
    ),
    (
        "condition crossed with niche",
        spleen("abc", condition="tumour")
        + marrow("def", condition="tumour")
        + spleen("ghi", condition="control")
        + marrow("jkl", condition="control"),
        NICHE,
        "tested",
        "~ condition + niche",
        "6 against 6",
    ),
    (
        "a subset takes the confounder away",
        spleen("abc", condition="tumour")
        + spleen("ghi", condition="control")
        + marrow("jkl", condition="control"),
        {**NICHE, "subset": {"condition": "control"}},
        "tested",
        "~ niche",
        "3 against 3",
    ),
    (
        "gate aliased",
        spleen("abc", enrichment="CD45-") + marrow("def", enrichment="Lin-"),
        NICHE,
        "not_identifiable",
        "",
        "niche cannot be told from enrichment",
    ),
    (
        "gates of one donor, one shared",
        treated("abc", enrichment="CD11c+")
        + control("def", enrichment="CD11c+")
        + control("def", enrichment="B220+"),
        TUMOUR,
        "tested",
        "~ condition",
        "left out, because only one arm has their like",
    ),
    (
        "one batch an arm",
        treated("abc", batch="1") + control("def", batch="2"),
        TUMOUR,
        "not_identifiable",
        "",
        "condition cannot be told from batch",
    ),
    (
        "batches nested, several donors each",
        treated("ab", batch="1")
        + treated("cd", batch="2")
        + control("ef", batch="3")
        + control("gh", batch="4"),
        TUMOUR,
        "not_identifiable",
        "",
        "1 or 2, every control library 3 or 4",
    ),
    (
        "batches hold both arms",
        treated("abc", batch="1")
        + control("def", batch="1")
        + treated("ghi", batch="2")
        + control("jkl", batch="2"),
        TUMOUR,
        "tested",
        "~ batch + condition",
        "6 against 6",
    ),
    (
        "a batch a pair of donors",
        [{**row, "batch": row["donor"].lower()} for row in treated("abcd") + control("ABCD")],
        TUMOUR,
        "tested",
        "~ batch + condition",
        "4 against 4",
    ),
    (
        "study and chemistry together",
        spleen("abc", study="A", chemistry="v2")
        + marrow("def", study="A", chemistry="v3")
        + marrow("ghi", study="B", chemistry="v2"),
        NICHE,
        "not_identifiable",
        "",
        "study and chemistry taken together",
    ),
    (
        "several things are adjusted for",
        treated("ab", study="1", sex="male")
        + treated("cd", study="2", sex="female")
        + control("ef", study="1", sex="male")
        + control("gh", study="2", sex="female")
        + treated("i", study="1", sex="female")
        + control("j", study="1", sex="female"),
        TUMOUR,
        "tested",
        "~ study + sex + condition",
        "5 against 5",
    ),
    (
        "adjusting uses the donors up",
        treated("a", study="1", sex="male")
        + control("d", study="1", sex="male")
        + treated("b", study="2", sex="male")
        + control("e", study="2", sex="female")
        + treated("c", study="3", sex="female")
        + control("f", study="3", sex="female"),
        TUMOUR,
        "effect_only",
        "~ study + sex + condition",
        "leaves too few donors to judge noise",
    ),
]
