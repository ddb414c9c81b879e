"""Single tensors of a checkpoint, read in this package's layout."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxent.arrays import nf4
from jaxent.checkpoint import (
    bitsandbytes_nf4,
    finite,
    safetensors_folder,
    sharded_reads,
)
from jaxent.distributed import axes

Logical = tuple[str | None, ...]
STORED_DTYPE = jnp.bfloat16
"""What NF4 of bitsandbytes is decoded to where no dtype is asked for."""


@dataclasses.dataclass(frozen=True)
class TensorReader:
    """How the tensors of one checkpoint are read.

    Attributes:
        folder: The checkpoint.
        quantize: Whether linear weights become NF4.
        double: Whether the scales of NF4 are quantised too.
        dtype: Of what is not quantised; None: the checkpoint's.
    """

    folder: safetensors_folder.Folder
    quantize: bool
    double: bool
    dtype: Any

    def read(self, name: str, shape: tuple[int, ...], linear: bool) -> Any:
        """One tensor on the host.

        Args:
            name: Its name.
            shape: Its shape in the checkpoint.
            linear: Whether it is a linear weight, [out, in] in the checkpoint.

        Returns:
            A numpy array or an NF4 of numpy arrays; a linear weight is [in, out].

        Raises:
            ValueError: It holds NaN or infinity, or bitsandbytes encoded it in another
                way.
        """
        if bitsandbytes_nf4.is_stored(self.folder, name):
            n, k = shape
            packed = bitsandbytes_nf4.read_packed(self.folder, name, (n, k))
            weight = nf4.repack(packed)
            if self.quantize:
                return weight
            decoded = nf4.decode(weight, self.dtype or STORED_DTYPE)
            return np.asarray(decoded)
        value = self.folder.read(name)
        if linear and self.quantize:
            try:
                return nf4.repack(nf4.encode(value, double=self.double))
            except ValueError as error:
                raise ValueError(f"{self._where(name)}: {error}") from error
        value = self._cast(name, value)
        return value.T if linear else value

    def read_onto(
        self,
        name: str,
        shape: tuple[int, ...],
        linear: bool,
        mesh: Mesh,
        logical: Logical,
    ) -> Any:
        """One tensor on a mesh; each process reads the parts of its devices.

        Args:
            name: Its name.
            shape: Its shape in the checkpoint.
            linear: Whether it is a linear weight, [out, in] in the checkpoint.
            mesh: The mesh.
            logical: The logical axes of the result.

        Returns:
            An array or an NF4; a linear weight is [in, out].

        Raises:
            ValueError: It holds NaN or infinity, or bitsandbytes encoded it in another
                way.
        """
        if not linear:
            return self._read_dense(name, shape, linear, mesh, logical)
        n, k = shape
        stored = bitsandbytes_nf4.is_stored(self.folder, name)
        whole = self.quantize and nf4.blocks_straddle(k)
        if whole or (stored and not self.quantize):
            value = self.read(name, shape, linear)
            shardings = axes.param_shardings(value, mesh, logical)
            return jax.tree.map(axes.device_put_global, value, shardings)
        if not self.quantize:
            return self._read_dense(name, shape, linear, mesh, logical)
        shardings = axes.param_shardings(nf4.abstract((k, n)), mesh, logical)
        if stored:
            scales = bitsandbytes_nf4.read_scales(self.folder, name, (n, k))
            return sharded_reads.read_stored(
                lambda span: bitsandbytes_nf4.read_codes(
                    self.folder, name, (n, k), span
                ),
                bitsandbytes_nf4.decode_scales(scales),
                (k, n),
                shardings,
            )
        try:
            return sharded_reads.read_encoded(
                lambda *spans: self.folder.read(name, _slices(spans)),
                (k, n),
                self.double,
                shardings,
            )
        except ValueError as error:
            raise ValueError(f"{self._where(name)}: {error}") from error

    def _read_dense(
        self,
        name: str,
        shape: tuple[int, ...],
        linear: bool,
        mesh: Mesh,
        logical: Logical,
    ) -> jax.Array:
        def part(spans: tuple[sharded_reads.Span, ...]) -> np.ndarray:
            stored = spans[::-1] if linear else spans
            value = self._cast(name, self.folder.read(name, _slices(stored)))
            return value.T if linear else value

        own_shape = shape[::-1] if linear else shape
        sharding = axes.named_sharding(mesh, *logical)
        return sharded_reads.read_dense(part, own_shape, sharding)

    def _cast(self, name: str, value: np.ndarray) -> np.ndarray:
        """The value in the reader's dtype, all of it finite."""
        if self.dtype is not None:
            with np.errstate(over="ignore"):  # infinity is found below
                value = value.astype(self.dtype)
        bad = finite.first_not_finite(value)
        if bad is not None:
            raise ValueError(
                f"{self._where(name)}: NaN or infinity in element {bad} of shape"
                f" {value.shape} as {value.dtype}"
            )
        return value

    def _where(self, name: str) -> str:
        return f"{self.folder.entries[name].file}: tensor {name!r}"


def _slices(spans: tuple[sharded_reads.Span, ...]) -> tuple[slice, ...]:
    return tuple(slice(*span) for span in spans)
