"""Small R files, written byte by byte as R's `serialize` does, for the tests of the R readers."""

import gzip
import struct
from pathlib import Path

NIL = struct.pack(">i", 254)
IS_OBJECT, HAS_ATTRIBUTES, HAS_TAG = 1 << 8, 1 << 9, 1 << 10


def integers(values, **attributes):
    body = struct.pack(f">i{len(values)}i", len(values), *values)
    return _item(13, body, attributes)


def reals(values, **attributes):
    body = struct.pack(f">i{len(values)}d", len(values), *values)
    return _item(14, body, attributes)


def strings(values, **attributes):
    body = struct.pack(">i", len(values)) + b"".join(map(_characters, values))
    return _item(16, body, attributes)


def vector(items, **attributes):
    return _item(19, struct.pack(">i", len(items)) + b"".join(items), attributes)


def named(**items):
    return vector(list(items.values()), names=strings(list(items)))


def s4(kind, **slots):
    slots = {name.replace("__", "."): value for name, value in slots.items()}
    return _item(25, b"", {**slots, "class": strings([kind])})


def factor(codes, levels):
    return integers(codes, levels=strings(levels), **{"class": strings(["factor"])})


def data_frame(row_names, **columns):
    attributes = {
        "names": strings(list(columns)),
        "row.names": strings(row_names),
        "class": strings(["data.frame"]),
    }
    return vector(list(columns.values()), **attributes)


def matrix(rows, row_names, column_names):
    """Dense, as R stores it: column by column."""
    flat = [float(row[j]) for j in range(len(column_names)) for row in rows]
    return reals(
        flat,
        dim=integers([len(row_names), len(column_names)]),
        dimnames=vector([strings(row_names), strings(column_names)]),
    )


def dgc_matrix(rows, row_names, column_names):
    """Sparse, columns compressed."""
    i, x, p = [], [], [0]
    for j in range(len(rows[0])):
        kept = [(k, float(row[j])) for k, row in enumerate(rows) if row[j] != 0]
        i += [k for k, _ in kept]
        x += [value for _, value in kept]
        p.append(len(i))
    return s4(
        "dgCMatrix",
        i=integers(i),
        p=integers(p),
        Dim=integers([len(rows), len(rows[0])]),
        Dimnames=vector([strings(row_names), strings(column_names)]),
        x=reals(x),
        factors=vector([]),
    )


def seurat(counts, metadata, assay="Assay", slot="counts"):
    return s4(
        "Seurat",
        assays=named(RNA=s4(assay, **{slot: counts})),
        meta__data=metadata,
        active__assay=strings(["RNA"]),
    )


def expression_set(exprs, metadata):
    return s4(
        "ExpressionSet",
        assayData=named(exprs=exprs),
        phenoData=s4("AnnotatedDataFrame", data=metadata),
    )


def write_rds(path: Path, item: bytes) -> Path:
    path.write_bytes(gzip.compress(b"X\n" + _header() + item))
    return path


def write_rda(path: Path, **items: bytes) -> Path:
    path.write_bytes(gzip.compress(b"RDX2\nX\n" + _header() + _pairlist(items)))
    return path


def _header() -> bytes:
    return struct.pack(">iii", 2, 0x030600, 0x020300)


def _item(kind: int, body: bytes, attributes: dict[str, bytes]) -> bytes:
    flags = kind | (HAS_ATTRIBUTES if attributes else 0)
    flags |= IS_OBJECT if "class" in attributes else 0
    flags |= 1 << 16 if kind == 25 else 0
    return struct.pack(">i", flags) + body + (_pairlist(attributes) if attributes else b"")


def _pairlist(items: dict[str, bytes]) -> bytes:
    cell = struct.pack(">i", 2 | HAS_TAG)
    symbol = struct.pack(">i", 1)
    return b"".join(cell + symbol + _characters(n) + item for n, item in items.items()) + NIL


def _characters(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">ii", 0x00040009, len(data)) + data
