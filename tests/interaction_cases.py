"""Designs of interactions (does a tumour change spleen more than marrow), each with its verdict."""

from design_cases import MORE, both, control, marrow, treated

INTERACTIONS = [
    # name, libraries, contrast, verdict, design formula, part of the reason
    (
        "interaction, donors have both tissues",
        both("abc", "tumour") + both("def", "control"),
        MORE,
        "tested",
        "~ donor + niche + condition:niche",
        "paired donors: 3 in tumour in extramedullary, 3 in control in extramedullary",
    ),
    (
        "interaction, donors get the treatment in one tissue of two",
        treated("abcd")
        + control("abcd")
        + marrow("efgh", condition="tumour")
        + marrow("efgh", condition="control"),
        MORE,
        "tested",
        "~ donor + condition + condition:niche",
        "paired donors",
    ),
    (
        "interaction, donors have all four",
        both("abc", "tumour") + both("abc", "control"),
        MORE,
        "tested",
        "~ donor + condition + niche + condition:niche",
        "paired donors",
    ),
    (
        "interaction, four groups of different donors",
        treated("abc")
        + control("def")
        + marrow("ghi", condition="tumour")
        + marrow("jkl", condition="control"),
        MORE,
        "tested",
        "~ condition + niche + condition:niche",
        "known donors: 3 in tumour in extramedullary",
    ),
    (
        "interaction, too few paired, enough apart",
        both("a", "tumour")
        + treated("bc")
        + marrow("de", condition="tumour")
        + control("fgh")
        + marrow("ijk", condition="control"),
        MORE,
        "tested",
        "~ condition + niche + condition:niche",
        "known donors",
    ),
    (
        "interaction, one group of two donors",
        both("ab", "tumour") + both("def", "control"),
        MORE,
        "effect_only",
        "~ condition + niche + condition:niche",
        "2 in tumour in extramedullary, 3 in control in extramedullary",
    ),
    (
        "interaction, one group missing",
        both("abc", "tumour") + control("def"),
        MORE,
        "not_testable",
        "",
        "no library kept has condition control in marrow",
    ),
    (
        "interaction, unknown donors",
        both("???", "tumour") + both("???", "control"),
        MORE,
        "effect_only",
        "~ condition + niche + condition:niche",
        "3 in each are needed",
    ),
    (
        "interaction, a study a tissue",
        [{**row, "study": row["niche"]} for row in both("abc", "tumour") + both("def", "control")],
        MORE,
        "not_identifiable",
        "",
        "condition:niche cannot be told from study: no study has tumour and control in both",
    ),
    (
        "interaction, sex goes with the treatment",
        both("abc", "tumour", sex="male") + both("def", "control", sex="female"),
        MORE,
        "not_identifiable",
        "",
        "condition:niche cannot be told from sex",
    ),
    (
        "interaction, one group by another gate",
        treated("abc", enrichment="CD45-")
        + control("def")
        + marrow("abc", condition="tumour")
        + marrow("def", condition="control"),
        MORE,
        "not_identifiable",
        "",
        "condition:niche cannot be told from enrichment",
    ),
    (
        "interaction, a batch a donor",
        [{**row, "batch": row["donor"]} for row in both("abc", "tumour") + both("def", "control")],
        MORE,
        "tested",
        "~ donor + niche + condition:niche",
        "paired donors",
    ),
    (
        "interaction, sexes in all groups",
        both("ab", "tumour", sex="male")
        + both("cd", "tumour", sex="female")
        + both("ef", "control", sex="male")
        + both("gh", "control", sex="female"),
        MORE,
        "tested",
        "~ donor + niche + sex:niche + condition:niche",
        "paired donors: 4 in",
    ),
    (
        "interaction, a chemistry that one group lacks is left out",
        both("abc", "tumour", chemistry="v3")
        + both("def", "control", chemistry="v3")
        + control("gh", chemistry="v2"),
        MORE,
        "tested",
        "~ donor + niche + condition:niche",
        "left out, because not every group has their like: s12 and s13",
    ),
    (
        "interaction, sex and chemistry together",
        both("abc", "tumour", sex="male", chemistry="v2")
        + both("def", "tumour", sex="female", chemistry="v3")
        + both("ghi", "control", sex="male", chemistry="v3")
        + both("jkl", "control", sex="female", chemistry="v2"),
        MORE,
        "tested",
        "~ donor + niche + chemistry:niche + sex:niche + condition:niche",
        "paired donors: 6 in",
    ),
]
