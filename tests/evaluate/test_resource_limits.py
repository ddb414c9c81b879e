"""Limits of a process, set in one of its own."""

import json
import subprocess
import sys

from jaxent.evaluate import sandbox

CODE = """
import json, resource
from jaxent.evaluate import resource_limits

resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
limits = resource_limits.Limits(memory=1 << 30, processes=5, file=4096, cpu=60)
resource_limits.set_limits(limits)
names = ("AS", "DATA", "STACK", "NPROC", "FSIZE", "CPU", "NOFILE", "CORE")
print(json.dumps({n: resource.getrlimit(getattr(resource, "RLIMIT_" + n))
                  for n in names}))
"""


def test_limits_are_hard_and_a_lower_one_stays():
    done = subprocess.run(
        [sys.executable, "-P", "-c", CODE],
        env=sandbox.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {
        "AS": [1 << 30] * 2,
        "DATA": [1 << 30] * 2,
        "STACK": [1 << 30] * 2,
        "NPROC": [5, 5],
        "FSIZE": [4096, 4096],
        "CPU": [30, 30],
        "NOFILE": [256, 256],
        "CORE": [0, 0],
    }
