"""Bounds for every test: what hangs or grows ends by itself and takes what it started with it; and none leaves itself out where it need not."""

import multiprocessing
import os
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


# Everything that tests can use is installed: what is left out for want of something is a failure then.
HAVE_ALL = bool(os.environ.get("MINUTEBOOK_TESTS_HAVE_ALL"))


def must_run(report):
    """Makes a failure of a test, or a file of tests, that left itself out."""
    if HAVE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"{why}: nothing may be missing here"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return must_run((yield))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    # A mark says of which platforms and interpreters a test is none.
    marked = call.when == "setup" and any(item.iter_markers(name="skipif"))
    return report if marked else must_run(report)


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
