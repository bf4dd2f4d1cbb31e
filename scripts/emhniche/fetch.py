"""Is the file here, whole, and the one that the registry means?

A file is taken from a mirror folder where there is one that holds it, else from its url. It appears
under its name only when its size and sha256 are right. ``pooch`` and the like start a broken
download anew; sequencing files are large, so a download goes on here where it broke off.
"""

import errno
import hashlib
import http.client
import logging
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from emhniche.errors import InputError

logger = logging.getLogger(__name__)

MIRROR_VARIABLE = "EMH_MIRROR"
CHUNK = 2**20
WORTH_A_RETRY = {408, 425, 429, 500, 502, 503, 504}
"""HTTP statuses that may pass: time-outs, too many requests, a server in trouble."""


class _Broken(Exception):
    """A download that ended early and may go on."""


def fetch_file(
    target: str | Path,
    *,
    url: str,
    size: int | None,
    sha256: str | None,
    mirrors: Sequence[str | Path],
    retries: int,
    backoff_s: float,
    timeout_s: float,
) -> str:
    """Bring a file to `target`, whole and checked.

    Parameters
    ----------
    target
        Where the file goes. Its name is the one looked for in the mirrors.
    url
        Where it is downloaded from when no mirror holds it.
    size, sha256
        What the registry says of it: bytes, and 64 hexadecimal digits; None when not known.
    mirrors
        Folders, searched in order.
    retries
        How often a failed download is taken up again.
    backoff_s
        Seconds before the first retry; doubled before each further one.
    timeout_s
        Seconds without an answer after which a download counts as failed.

    Returns
    -------
    str
        The sha256 of the file.

    Raises
    ------
    InputError
        When the sum is another, naming both and leaving nothing behind; when the url does not
        exist; when all retries are used up, keeping what has come so that the next call goes on.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    for folder in mirrors:
        copy = Path(folder) / target.name
        if copy.is_file():
            return _from_mirror(copy, target, size, sha256)
    part = _part(target)
    while True:
        begun = part.exists()
        _download(url, part, size, retries=retries, backoff_s=backoff_s, timeout_s=timeout_s)
        try:
            digest = _check(part, url, size, sha256)
            break
        except InputError:
            part.unlink()
            if not begun:
                raise
            logger.warning("%s: what an earlier run left does not fit; from the start", url)
    part.replace(target)
    logger.info("%s: %d bytes from %s, sha256 %s", target, target.stat().st_size, url, digest)
    return digest


def mirror_folders(
    configured: Sequence[str], environment: Mapping[str, str] = os.environ
) -> list[Path]:
    """Return the mirror folders: those of ``EMH_MIRROR`` first, then the configured ones.

    Parameters
    ----------
    configured
        Folders of the setting ``fetch.mirrors``.
    environment
        Environment variables; ``EMH_MIRROR`` may hold several folders separated as in ``PATH``.

    Returns
    -------
    list of pathlib.Path
        Folders in the order they are searched. One that does not exist is logged and left out.
    """
    named = [*environment.get(MIRROR_VARIABLE, "").split(os.pathsep), *configured]
    folders = [Path(name).expanduser() for name in named if name]
    for folder in folders:
        if not folder.is_dir():
            logger.warning("%s: no such mirror folder; it is passed over", folder)
    return [folder for folder in folders if folder.is_dir()]


def _from_mirror(copy: Path, target: Path, size: int | None, sha256: str | None) -> str:
    digest = _check(copy, copy, size, sha256)
    shutil.copyfile(copy, _part(target))
    _part(target).replace(target)
    logger.info("%s: from the mirror %s, sha256 %s", target, copy.parent, digest)
    return digest


def _part(target: Path) -> Path:
    """Return where a file grows until it is whole."""
    return target.with_name(f".{target.name}.part")


def _check(path: Path, origin: str | Path, size: int | None, sha256: str | None) -> str:
    """Return the sha256 of a file; raise when it is not the one that was meant."""
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    found = path.stat().st_size
    if sha256 not in (None, digest) or size not in (None, found):
        raise InputError(
            f"{origin}: {found} bytes with sha256 {digest}; the registry says {size} bytes with "
            f"sha256 {sha256}; it is another file, or the registry is to be corrected"
        )
    return digest


def _download(
    url: str, part: Path, size: int | None, *, retries: int, backoff_s: float, timeout_s: float
) -> None:
    """Download to `part`, going on where a broken attempt, of this call or another, ended."""
    for attempt in range(retries + 1):
        try:
            _append(url, part, size, timeout_s)
            return
        except urllib.error.HTTPError as error:
            if error.code not in WORTH_A_RETRY:
                raise InputError(
                    f"{url}: the server says {error.code} {error.reason}; correct the url, or put "
                    f"the file in a mirror folder ({MIRROR_VARIABLE})"
                ) from None
            reason = f"{error.code} {error.reason}"
        except (_Broken, OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and _is_local(error):
                raise
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        have = part.stat().st_size if part.exists() else 0
        logger.warning("%s: attempt %d: %s; %d bytes have come", url, attempt + 1, reason, have)
        if attempt < retries:
            time.sleep(backoff_s * 2**attempt)
    kept = f"; {have} bytes are kept and the next run goes on from there" if have else ""
    raise InputError(
        f"{url}: not downloaded in {retries + 1} attempts ({reason}){kept}; run again, or put the "
        f"file in a mirror folder ({MIRROR_VARIABLE})"
    )


def _append(url: str, part: Path, size: int | None, timeout_s: float) -> None:
    """Ask for the bytes that `part` lacks and append them."""
    start = part.stat().st_size if part.exists() else 0
    if size is not None and start >= size:
        return
    request = urllib.request.Request(url, headers={"User-Agent": "emh-niche"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not start:
            raise
        part.unlink()
        raise _Broken(f"the server has no bytes from {start} on; from the start") from error
    with response:
        resumed = _resumes_at(response, start)
        total = _announced(response, start if resumed else 0)
        with part.open("ab" if resumed else "wb") as handle:
            shutil.copyfileobj(response, handle, CHUNK)
    if total is not None and part.stat().st_size < total:
        raise _Broken(f"the connection ended at {part.stat().st_size} of {total} bytes")


def _resumes_at(response: BinaryIO, start: int) -> bool:
    """Tell whether the server sends the bytes from `start` on rather than the whole file."""
    return (
        start > 0
        and getattr(response, "status", None) == HTTPStatus.PARTIAL_CONTENT
        and (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-")
    )


def _announced(response: BinaryIO, start: int) -> int | None:
    length = response.headers.get("Content-Length")
    return None if length is None else start + int(length)


def _is_local(error: OSError) -> bool:
    """Tell trouble with the disk, which no retry mends, from trouble with the connection."""
    return error.filename is not None or error.errno in (errno.ENOSPC, errno.EDQUOT)
