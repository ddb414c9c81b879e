"""One thread of BLAS: on small matrices, two wait for each other longer than one works.

The more so on a busy machine.
"""

import pytest
import threadpoolctl


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    with threadpoolctl.threadpool_limits(1):
        yield
