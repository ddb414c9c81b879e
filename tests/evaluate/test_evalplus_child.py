"""The patched evalplus of the process that scores."""

import subprocess
import sys
import time

import pytest
from evalplus import eval as checks

from jaxent.evaluate import _evalplus_child as child
from jaxent.evaluate import sandbox, scoring


def test_the_child_imports_no_jax():
    """Which would cost seconds, and threads and memory in every fork."""
    code = (
        "import sys; from jaxent.evaluate import _evalplus_child; "
        "sys.exit('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], env=sandbox.environment())
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("status", "details", "struck", "ended", "unrecorded", "outcome"),
    [
        (checks.PASS, [True], 0, 1, 0, "pass"),
        (checks.TIMEOUT, [], 0, 0, 0, "timeout"),
        (checks.TIMEOUT, [], 0, 1, 0, "died"),
        (checks.FAIL, [False], 1, 1, 0, "timeout"),
        (checks.FAIL, [True, False], 0, 1, 0, "wrong"),
        (checks.FAIL, [], 0, 1, 1, "wrong"),
        (checks.FAIL, [], 0, 1, 0, "error"),
    ],
)
def test_outcomes(monkeypatch, status, details, struck, ended, unrecorded, outcome):
    monkeypatch.setattr(child, "_notes", [struck, ended, unrecorded])
    assert child._outcome(status, details) == outcome
    assert outcome in scoring.OUTCOMES


def wait_for_limit():
    with child.time_limit(0.05):
        time.sleep(60)


def test_a_limit_that_strikes_is_noted(monkeypatch):
    monkeypatch.setattr(child, "_notes", [0, 0, 0])
    with child.time_limit(5):
        pass
    assert child._notes == [0, 0, 0]
    with pytest.raises(child.utils.TimeoutException):
        wait_for_limit()
    assert child._notes == [1, 0, 0]


def test_a_sandbox_that_fails_later_is_an_error(monkeypatch):
    """Rather than a failure of the sample."""

    def not_contained(*arguments, **named):
        child._notes[child._ENDED] = child._NOT_CONTAINED
        return checks.TIMEOUT, []

    monkeypatch.setattr(child, "_untrusted_check", not_contained)
    monkeypatch.setattr(child, "_settings", {"kind": "namespaces"})
    with pytest.raises(OSError, match="namespaces worked before and now do not"):
        child.untrusted_check()
