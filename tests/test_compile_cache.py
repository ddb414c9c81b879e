import os
import subprocess
import sys

from jaxent import compile_cache

PROGRAM = """
from jaxent import compile_cache
compile_cache.keep_programs()
import jax, jax.numpy as jnp
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
print(float(jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((8, 8))).sum()))
"""


def run(home, **environment):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"HOME": str(home), "JAX_PLATFORMS": "cpu"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )


def files(home):
    return {
        path: path.stat().st_mtime_ns
        for path in home.rglob("*-cache")
        if path.is_file()
    }


def test_programs_are_kept_and_found_again(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    first = run(tmp_path)
    kept = files(tmp_path)
    assert kept and all("compiled" in path.parts for path in kept)
    second = run(tmp_path)
    assert files(tmp_path) == kept and second.stdout == first.stdout
    assert "cache" not in second.stderr


def test_a_damaged_entry_costs_a_compilation_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    first = run(tmp_path)
    for path in files(tmp_path):
        path.write_bytes(path.read_bytes()[:20])
    assert run(tmp_path).stdout == first.stdout


def test_the_users_own_settings_stay(tmp_path):
    run(tmp_path, JAX_COMPILATION_CACHE_DIR="")
    assert not files(tmp_path)


def test_processors_have_folders_of_their_own(monkeypatch):
    environment = {}
    compile_cache.keep_programs(environment)
    monkeypatch.setattr(compile_cache, "_processor", lambda: "other")
    other = {}
    compile_cache.keep_programs(other)
    folders = [e["JAX_COMPILATION_CACHE_DIR"] for e in (environment, other)]
    assert folders[0] != folders[1]
