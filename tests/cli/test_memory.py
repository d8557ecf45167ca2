"""Memory that runs out is a plain error, in whichever words a library says so."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import torch

from marey.cli.memory import ran_out


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        pa.ArrowMemoryError("malloc of size 131072 failed"),
        RuntimeError("[enforce] . DefaultCPUAllocator: can't allocate memory: you tried 8 bytes."),
        RuntimeError("could not create a primitive"),
        RuntimeError("can't start new thread"),
        RuntimeError("Caught MemoryError in DataLoader worker process 0.\nOriginal Traceback ..."),
        RuntimeError("std::bad_alloc"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        SystemError("error return without exception set"),
    ],
)
def test_memory_that_ran_out_is_known(error: BaseException) -> None:
    said = ran_out(error)
    assert said
    assert "\n" not in said


def test_what_numpy_and_torch_say_today_is_known() -> None:
    with pytest.raises(MemoryError) as of_numpy:
        np.empty(1 << 60, np.uint8)
    with pytest.raises(RuntimeError) as of_torch:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert ran_out(of_numpy.value)
    assert ran_out(of_torch.value)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        OSError(errno.ENOSPC, "No space left on device"),
        ImportError("No module named 'ray'"),
        ValueError("out of memory"),
        SystemError("something else"),
    ],
)
def test_other_errors_are_no_matter_of_memory(error: BaseException) -> None:
    assert ran_out(error) == ""


@pytest.mark.parametrize("megabytes", [400, 1060])
def test_a_limit_that_is_too_low_to_start_is_an_error_without_a_traceback(megabytes: int) -> None:
    size = megabytes << 20

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (size, size))

    done = subprocess.run(
        [sys.executable, "-m", "marey", "eval", "nowhere"],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "error: " in done.stderr
