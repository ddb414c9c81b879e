import jax
import numpy as np
import pytest

from jaxent.distributed import axes
from jaxent.model import attention


def naive(q, k, v, segments, window):
    """Softmax attention one query at a time, float64."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    out, group = np.zeros_like(q), q.shape[2] // k.shape[2]
    for b, t, n in np.ndindex(*q.shape[:3]):
        seen = [
            s
            for s in range(t + 1)
            if segments[b, s] == segments[b, t] and (window is None or t - s < window)
        ]
        score = k[b, seen, n // group] @ q[b, t, n] / np.sqrt(q.shape[-1])
        weight = np.exp(score - score.max())
        out[b, t, n] = weight @ v[b, seen, n // group] / weight.sum()
    return out


@pytest.fixture(scope="module")
def arrays():
    keys = jax.random.split(jax.random.key(0), 3)
    q = jax.random.normal(keys[0], (2, 75, 4, 16))
    k, v = (jax.random.normal(key, (2, 75, 2, 16)) for key in keys[1:])
    segments = np.ones((2, 75), np.int32)
    segments[0, 30:], segments[0, 60:], segments[1, 70:] = 2, 3, 0
    return q, k, v, segments


@pytest.mark.parametrize("window", [None, 9])
def test_xla_equals_the_definition(arrays, window):
    ours = attention.attend(*arrays, window, "xla")
    np.testing.assert_allclose(ours, naive(*arrays, window), atol=2e-6)


@pytest.mark.parametrize("window", [None, 9])
def test_tpu_kernel_equals_the_definition_in_interpret_mode(arrays, window):
    ours = attention.interpreted_splash(*arrays, window)
    np.testing.assert_allclose(ours, naive(*arrays, window), atol=5e-6)


def test_tpu_kernel_runs_on_each_device_s_rows_and_heads(arrays):
    mesh = axes.parse_mesh("data:2,tensor:2,seed:2")
    ours = attention.interpreted_splash(*arrays, None, mesh)
    assert ours.sharding.spec == axes.partition_spec("batch", None, "heads", None)
    np.testing.assert_allclose(ours, naive(*arrays, None), atol=5e-6)
