"""The programs that a plan is made of."""

import dataclasses

import planned

from jaxent.capacity import compiler, programs


def test_programs_take_the_shapes_of_the_job():
    one = planned.job(planned.SEVEN, "v5e:1x1", layers=2, rows=4.84)
    site = compiler.job_site(one, False)
    train, measure, decode = site.train(), site.measure(), site.decode()
    names = [train.name, measure.name, decode.name]
    assert names == [programs.TRAINING, programs.MEASURING, programs.DECODING]
    assert train.parts["batch"].tokens.shape == (16, 1, 2048)
    assert train.loops == 5  # 4.84 rows, one at a time
    assert measure.parts["batch"][0].shape[1] == programs.PROBE_TOKENS
    assert decode.per == decode.loops == programs.CHUNK
    assert decode.rows == one.problems


def test_several_seeds_share_the_base():
    one = planned.job(planned.SEVEN, "v5e:1x1", layers=2)
    two = dataclasses.replace(one, seeds=2)
    of_one = compiler.job_site(one, False).train().parts
    of_two = compiler.job_site(two, False).train().parts
    held = programs.held_bytes
    assert held(of_two["weights"]) == held(of_one["weights"])
    assert held(of_two["adapter"]) == 2 * held(of_one["adapter"])
