import jax
import numpy as np
import pytest
from train import test_step

from jaxent.checkpoint import hf
from jaxent.data import examples
from jaxent.distributed import axes
from jaxent.model import transformer
from jaxent.train import held_out


def example(seed, length, first):
    """Tokens of which those from `first` on count."""
    ids = np.random.default_rng(seed).integers(3, 90, length).astype(np.int32)
    return examples.Example(ids, np.arange(length) >= first)


APART = {
    "law": [example(n, 5 + 3 * n, n) for n in range(7)],
    "code": [example(10, 30, 0), example(11, 4, 3)],
}


def test_the_loss_is_torchs_over_all_counted_tokens(qwen):
    """A mean of means over batches or examples would be another number."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    reference = transformers.AutoModelForCausalLM.from_pretrained(
        qwen, dtype=torch.float32
    )
    sums, numbers = {}, {}
    for domain, found in APART.items():
        sums[domain] = numbers[domain] = 0
        for one in found:
            ids = torch.tensor(one.ids[None].astype(np.int64))
            labels = torch.where(torch.tensor(one.counted[None]), ids, -100)
            number = int((labels[:, 1:] != -100).sum())
            with torch.no_grad():
                mean = reference(ids, labels=labels).loss.item()
            sums[domain] += mean * number
            numbers[domain] += number
    model = hf.load(qwen, quantize=False)
    for rows in (1, 4):
        scored = held_out.make_batches(APART, 32, rows)
        record = held_out.score(model, scored, None, test_step.COMPUTE)
        assert record["tokens"] == sum(numbers.values())
        expected = sum(sums.values()) / sum(numbers.values())
        assert record["loss"] == pytest.approx(expected, rel=1e-5)
        for domain, loss in record["domains"].items():
            assert loss == pytest.approx(sums[domain] / numbers[domain], rel=1e-5)


def test_every_example_is_in_one_row_and_rows_are_whole():
    for rows in (1, 2, 3):
        scored = held_out.make_batches(APART, 32, rows)
        for domain, found in APART.items():
            assert {b.tokens.shape for b in scored[domain]} == {(rows, 32)}
            tokens = sum(int((b.segments > 0).sum()) for b in scored[domain])
            assert tokens == sum(len(one.ids) for one in found)
            weights = sum(b.weights.sum() for b in scored[domain])
            assert weights == sum(one.counted[1:].sum() for one in found)


def test_a_mesh_gives_the_loss_of_one_device(qwen):
    scored = held_out.make_batches(APART, 32, 2)
    alone = held_out.score(hf.load(qwen), scored, None, test_step.COMPUTE)
    mesh = axes.create_mesh(axes.parse_axis_sizes("data:2"), jax.devices()[:2])
    compute = transformer.ComputeConfig(mesh=mesh)
    split = held_out.score(hf.load(qwen, mesh=mesh), scored, None, compute)
    assert split["domains"] == pytest.approx(alone["domains"], rel=1e-5)
    assert split["tokens"] == alone["tokens"]
