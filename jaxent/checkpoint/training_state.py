"""Training state on disk: Orbax checkpoints of adapter, optimizer and step, never of the base."""

import pathlib

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp


def saved_steps(folder: pathlib.Path) -> set[int]:
    """The steps of a run's complete checkpoints: a half-written one has a temporary name."""
    return {int(f.name) for f in folder.glob("*") if f.name.isdigit()}


class Checkpoints:
    """The checkpoints of one run, newest `keep` kept. Saves are asynchronous and atomic (temporary name, rename)."""

    def __init__(self, folder: pathlib.Path, keep: int = 2):
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, cleanup_tmp_directories=True
        )
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def latest(self) -> int | None:
        """The newest complete checkpoint's step."""
        return self._manager.latest_step()

    def save(self, step: int, state) -> None:
        """Starts saving; the state may be donated at once, for a copy is written."""
        if step not in self._manager.all_steps():
            self._manager.save(
                step, args=ocp.args.StandardSave(jax.tree.map(jnp.copy, state))
            )

    def restore(self, step: int, like):
        """The state saved at step, with the shapes, dtypes and shardings of `like` (ShapeDtypeStructs)."""
        return self._manager.restore(step, args=ocp.args.StandardRestore(like))

    def close(self) -> None:
        """Waits for the last save."""
        self._manager.wait_until_finished()
        self._manager.close()
