"""Is RAPIDS cuML here, and a device for it? It is optional: ``docs/gpu.md`` says how to have it.

The Snakefile asks whether it is installed, so nothing heavy is imported here.
"""

import importlib
import importlib.util
import inspect
import logging
from collections.abc import Callable
from types import ModuleType

from emhniche.device_errors import DEVICE_ERROR, device_line
from emhniche.errors import InputError

SETTING = "config: cluster.layout_accelerator: cuda"

logger = logging.getLogger(__name__)


def require_cuml() -> None:
    """Refuse to begin where cuML is not installed; nothing is imported.

    Raises
    ------
    InputError
        When it is not there.
    """
    if importlib.util.find_spec("cuml") is None:
        raise InputError(
            f"{SETTING} needs RAPIDS cuML, which is not installed here; run in its image or conda "
            "environment (docs/gpu.md), or use cpu"
        )


def find_cuml() -> Callable:
    """Return cuML's layout of a graph, once a device is known to be there.

    Returns
    -------
    callable
        ``cuml.manifold.umap.simplicial_set_embedding``.

    Raises
    ------
    InputError
        When cuML is not installed, cannot be imported or is too old, or there is no device.
    """
    require_cuml()
    try:
        cupy = importlib.import_module("cupy")
        embed = importlib.import_module("cuml.manifold.umap").simplicial_set_embedding
    except Exception as error:
        broken = isinstance(error, ImportError | OSError) or DEVICE_ERROR.search(str(error))
        if not broken:
            raise
        raise InputError(
            f"{SETTING} needs RAPIDS cuML, which cannot be imported here ({device_line(error)}); "
            "mend it (docs/gpu.md), or use cpu"
        ) from error
    if "force_serial_epochs" not in inspect.signature(embed).parameters:
        version = importlib.import_module("cuml").__version__
        raise InputError(f"{SETTING} needs cuML 26.10 or newer, and {version} is here; update it")
    logger.info("cuML finds %s", _name_of_device(cupy))
    return embed


def _name_of_device(cupy: ModuleType) -> str:
    runtime = cupy.cuda.runtime
    try:
        there, why = runtime.getDeviceCount(), ""
    except RuntimeError as error:
        there, why = 0, f" ({device_line(error)})"
    if not there:
        raise InputError(f"{SETTING} is asked for and this machine shows no device{why}; use cpu")
    return runtime.getDeviceProperties(0)["name"].decode()
