"""A test that leaves itself out is a failure where everything is installed."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

TESTS = {
    "test_file.py": "import pytest; pytest.importorskip('no_such_package')",
    "test_inside.py": "import pytest\ndef test_inside():\n    pytest.importorskip('no_such_package')",
    "test_asked.py": "import pytest\ndef test_asked():\n    pytest.skip('no data')",
    "test_marked.py": "import pytest\n@pytest.mark.skipif(True, reason='of others')\ndef test_marked(): pass",
    "test_expected.py": "import pytest\n@pytest.mark.xfail\ndef test_expected(): assert False",
}


def test_what_is_left_out_fails_where_all_is_installed(tmp_path):
    shutil.copy(pathlib.Path(__file__).with_name("conftest.py"), tmp_path)
    for name, text in TESTS.items():
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors", f"--rootdir={tmp_path}", str(tmp_path)]
    environment = {key: value for key, value in os.environ.items() if key != "MINUTEBOOK_TESTS_HAVE_ALL"}
    ends = []
    for more in ({}, {"MINUTEBOOK_TESTS_HAVE_ALL": "1"}):
        ran = subprocess.run(command, env=environment | more, cwd=tmp_path, capture_output=True, text=True)
        failed = re.findall(r"^(?:FAILED|ERROR) (?:\S*/)?(test_\w+)\.py", ran.stdout, re.MULTILINE)
        ends.append((ran.returncode, sorted(failed), ran.stdout.splitlines()[-1].split(" in ")[0]))
    assert ends == [
        (0, [], "4 skipped, 1 xfailed"),
        (1, ["test_asked", "test_file", "test_inside"], "2 failed, 1 skipped, 1 xfailed, 1 error"),
    ]
