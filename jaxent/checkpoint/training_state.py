"""Training state on disk: Orbax checkpoints of adapter, optimizer and step.

The base model is never written.
"""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from jaxent.arrays import lora
from jaxent.model import trained


def saved_steps(folder: pathlib.Path) -> set[int]:
    """The steps of a run's complete checkpoints.

    Args:
        folder: The run's folder of checkpoints.

    Returns:
        The steps; a half-written checkpoint has a temporary name and does not count.
    """
    return {int(file.name) for file in folder.glob("*") if file.name.isdigit()}


class Checkpoints:
    """The checkpoints of one run, of which the newest `keep` stay.

    Saves are asynchronous and atomic (a temporary name, then a rename).

    Example:
        >>> import tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> checkpoints = Checkpoints(folder)
        >>> checkpoints.save(3, {"step": jnp.array(3)})
        >>> checkpoints.close()
        >>> saved_steps(folder)
        {3}
    """

    def __init__(self, folder: pathlib.Path, keep: int = 2):
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, cleanup_tmp_directories=True
        )
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def latest(self) -> int | None:
        """The newest complete checkpoint's step."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any) -> None:
        """Starts saving a state, unless the step is saved already.

        Args:
            step: The optimizer step.
            state: A tree of arrays and adapters. It may be donated at once, because a
                copy is written.
        """
        if step not in self._manager.all_steps():
            copied = jax.tree.map(jnp.copy, _without_configs(state))
            self._manager.save(step, args=ocp.args.StandardSave(copied))

    def restore(self, step: int, like: Any) -> Any:
        """The state that was saved at a step.

        Args:
            step: The optimizer step.
            like: The state's tree of ShapeDtypeStructs, with the shardings wanted.

        Returns:
            The state.
        """
        target = ocp.args.StandardRestore(_without_configs(like))
        return _with_configs(like, self._manager.restore(step, args=target))

    def close(self) -> None:
        """Waits for the last save."""
        self._manager.wait_until_finished()
        self._manager.close()


def _is_trained(node) -> bool:
    return isinstance(node, lora.Adapter | trained.FullWeights)


def _without_configs(state):
    """The state with every tree of an adapter or of weights as bare parameters.

    This is the layout on disk: it does not depend on how an adapter is wrapped, and
    names no parameter that the adapter does not have.
    """

    def unwrap(node):
        if not _is_trained(node):
            return node
        if isinstance(node, trained.FullWeights):
            return node.params
        return {
            path: {"a": factors.a, "b": factors.b} | factors.vectors()
            for path, factors in node.params.items()
        }

    return jax.tree.map(unwrap, state, is_leaf=_is_trained)


def _with_configs(like, restored):
    """`_without_configs` undone: `restored` with the trees of `like`."""

    def wrap(node, value):
        if not _is_trained(node):
            return value
        if isinstance(node, trained.FullWeights):
            return dataclasses.replace(node, params=value)
        params = {path: lora.LoraParams(**named) for path, named in value.items()}
        return lora.Adapter(params, node.config)

    return jax.tree.map(wrap, like, restored, is_leaf=_is_trained)
