"""Names of the made-up run; hostile on purpose: markup, quotes, unicode, paths, great length."""

SCRIPT = "<script>alert(window.ran = 'x')</script>"
LONG = "very_long_type_" + "x" * 300
EVIL_SAMPLE = "s2\"'&<b>é"
SAMPLES = ["s1", EVIL_SAMPLE, "s3", "s4"]
CELL_TYPES = {
    "LepR_CAR_MSC": "stroma",
    SCRIPT: "neutrophil",
    "B": "B",
    "../../β<img src=x onerror=alert(window.ran=1)>": "erythroid",
    LONG: "HSPC",
}
GENES = ["Kitl", "Cxcl12", "Csf3", "Lif", "Tnf", "</script><b>G", "Gène$x$"]
CELLS_PER_SAMPLE = 75
CONTRAST = "extramedullary_vs_marrow"
