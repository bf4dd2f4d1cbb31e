"""Does a url carry a password or a token?

Sample sheet and registry are copied into the results (``inputs/``, ``provenance.json``) and their
urls are written to logs, so that others can repeat a run. What opens a door must not be in them.
"""

import re
from urllib.parse import parse_qsl, urlsplit

from emhniche.errors import InputError

NAMES = re.compile(
    r"(^|[-_.])(access|api)?[-_]?(token|secret|signature|sig|password|passwd|pwd|credentials?|key"
    r"|auth|private_link|rlkey)$",
    re.IGNORECASE,
)
"""Names of parameters of a url whose value is a secret: of S3, Google, Azure, Zenodo,
figshare, Dropbox."""


def refuse_secret(url: str, where: str) -> None:
    """Raise when a url names a user with a password, or has a parameter that is a secret.

    Parameters
    ----------
    url
        The url, or a path.
    where
        File and row, for the message, which does not repeat the secret.

    Raises
    ------
    InputError
        When there is one.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InputError(f"{where}: a url whose host cannot be read; mend it") from None
    given = [name for name, _ in parse_qsl(parts.query) if NAMES.search(name)]
    if parts.scheme and "@" in parts.netloc:
        given.append("user:password@")
    if given:
        raise InputError(
            f"{where}: the url of {parts.hostname} carries a secret ({given[0]}), which would be "
            "copied into logs and results; fetch the file yourself and name its path"
        )
