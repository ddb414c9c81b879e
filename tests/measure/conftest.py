"""Small matrices: two threads of BLAS wait for each other far longer than one works, the more so on a busy machine."""

import pytest
import threadpoolctl


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    with threadpoolctl.threadpool_limits(1):
        yield
