import matplotlib.image
import numpy as np

from jaxent.measure import entangle, synthetic
from jaxent.report.plots import measurement


def test_every_figure_draws_what_it_is_given(tmp_path):
    labels = synthetic.design(sets=5)
    x = synthetic.activations(
        labels, 40, synthetic.Truth(0.3, 1.0), np.random.default_rng(0)
    )
    noise = (
        np.random.default_rng(1).normal(size=x.shape) * 1e-3
    )  # undefined everywhere: drawn as such
    layers = [
        {"layer": i, **m.to_json()}
        for i, m in enumerate(entangle.measure_layers(np.stack([noise, x]), labels))
    ]
    assert layers[0]["ei"] is None and layers[1]["cvo"] is not None
    for measured in layers:
        for draw in (measurement.damage, measurement.spectrum, measurement.estimates):
            draw(measured, tmp_path / draw.__name__)
    measurement.depth(layers, tmp_path / "depth")
    assert sorted(p.name for p in tmp_path.glob("*.png")) == [
        "damage.png",
        "depth.png",
        "estimates.png",
        "spectrum.png",
    ]
    for png in tmp_path.glob("*.png"):
        image = matplotlib.image.imread(png)
        assert (
            min(image.shape[:2]) > 200
            and len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 20
        )
        assert png.with_suffix(".svg").read_text().startswith("<?xml")
    assert not list(tmp_path.glob("*.partial*"))
