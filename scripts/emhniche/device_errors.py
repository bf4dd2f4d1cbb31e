"""Did a device, its driver or its libraries raise an error, and what does it say in one line?"""

import re

DEVICE_ERROR = re.compile(
    r"CUDA|cudaError|cuDNN|CUBLAS|cublas|NCCL|NVML|HIP error|MPS|Metal|no kernel image", re.ASCII
)
"""What is in the text of an error that the device, its driver or its libraries raised."""


def device_line(error: BaseException) -> str:
    """Return the line of an error's text in which the device speaks, 200 letters of it at most.

    Parameters
    ----------
    error
        What was raised.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # a device's own process hands on its traceback, and what is said there ends in hints
    of_device = [line.strip() for line in lines if DEVICE_ERROR.search(line)] or lines[:1]
    raised = [line for line in of_device if re.match(r"[\w.]*Error: ", line)]
    return (raised or of_device)[0][:200]
