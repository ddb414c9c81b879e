"""Training state comes back bit for bit, adapters without their settings on disk."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxent.arrays import lora
from jaxent.checkpoint import training_state

CONFIG = lora.LoraConfig(2, 4.0, 0.0, ("q_proj",))


def state(value):
    factors = lora.LoraParams(jnp.full((3, 2, 5), value), jnp.full((3, 2, 4), -value))
    adapter = lora.Adapter({"self_attn.q_proj": factors}, CONFIG)
    return {"adapter": adapter, "moments": (adapter, adapter), "step": jnp.array(7)}


def as_shapes(tree):
    def to_shape(x):
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)

    return jax.tree.map(to_shape, tree)


def test_what_is_saved_comes_back(tmp_path):
    saved = state(0.3)
    checkpoints = training_state.Checkpoints(tmp_path / "run")
    assert checkpoints.latest() is None
    checkpoints.save(5, saved)
    checkpoints.save(5, state(0.9))  # the step is saved already
    checkpoints.close()
    again = training_state.Checkpoints(tmp_path / "run")
    assert again.latest() == 5
    restored = again.restore(5, as_shapes(saved))
    again.close()
    assert restored["adapter"].config == CONFIG
    assert jax.tree.structure(restored) == jax.tree.structure(saved)
    jax.tree.map(np.testing.assert_array_equal, restored, saved)


def test_the_newest_are_kept_and_unfinished_ones_do_not_count(tmp_path):
    checkpoints = training_state.Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 3):
        checkpoints.save(step, {"x": jnp.ones(2)})
    checkpoints.close()
    (tmp_path / "4.orbax-checkpoint-tmp-0").mkdir()
    assert training_state.saved_steps(tmp_path) == {2, 3}
    assert training_state.saved_steps(tmp_path / "nowhere") == set()
