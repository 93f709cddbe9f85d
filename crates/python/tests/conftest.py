"""Bounds for every test: what hangs or grows ends by itself and takes what it started with it."""

import multiprocessing
import signal
import sys

import pytest

import minutebook

# What the tests and the programs that they start may address: enough for each, and far from what would have a machine swap.
MEMORY = 8 << 30

# A shell has what it runs in the background ignore Ctrl-C, and Python leaves it so, here and in the programs that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

if sys.platform == "linux":
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY or soft > MEMORY:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))


@pytest.fixture(autouse=True)
def nothing_is_left_running():
    """A test that fails in the middle of its processes ends them."""
    yield
    for process in multiprocessing.active_children():
        process.kill()
        process.join()


@pytest.fixture
def book(tmp_path):
    """An empty store."""
    with minutebook.create(tmp_path / "store", durability="buffered") as book:
        yield book
