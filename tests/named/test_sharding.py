"""Sharding by name on eight host devices, in a process that has them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, PartitionSpec as P
from sciquax import named
from sciquax.named import AxisError, AxisSizeError, NamedArray
from sciquax.units import Quantity

assert len(jax.devices()) == 8
mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("data", "model"))
x = NamedArray(Quantity(jnp.arange(32.0).reshape(4, 8), "m"), ("space", "batch"))
y = named.shard(x, mesh, {"batch": "data"})
assert y.array.magnitude.sharding.spec == P(None, "data"), y.array.magnitude.sharding
assert {s.data.shape for s in y.array.magnitude.addressable_shards} == {(4, 2)}
assert str(y.units) == "meter" and y.dims == x.dims
both = named.shard({"a": x, "b": x.sum("space"), "c": 3}, mesh, {"batch": ("data", "model")})
assert both["b"].array.magnitude.sharding.spec == P(("data", "model"))
assert named.partition_spec(x, {"space": "model"}) == P("model", None)

@jax.jit
def f(a):
    a = named.shard(a - a.mean("batch"), mesh, {"batch": "data", "space": "model"})
    return a * a

out = f(y)
assert out.array.magnitude.sharding.spec == P("model", "data"), out.array.magnitude.sharding
expected = np.asarray(x.array.magnitude) - np.asarray(x.array.magnitude).mean(1, keepdims=True)
np.testing.assert_allclose(np.asarray(out.array.magnitude), expected**2)
transposed = named.shard(x.transpose("batch", "space"), mesh, {"batch": "data"})
assert transposed.array.magnitude.sharding.spec == P("data", None)
total = (y + transposed).sum()
np.testing.assert_allclose(float(total.magnitude), 2 * 31 * 16)
for call, error in (
    (lambda: named.shard(x, mesh, {"btach": "data"}), AxisError),
    (lambda: named.shard(x, mesh, {"batch": "dtaa"}), AxisError),
    (lambda: named.shard(x, mesh, {"batch": "data", "space": "data"}), AxisError),
    (lambda: named.shard(named.zeros({"batch": 6}), mesh, {"batch": "data"}), AxisSizeError),
    (lambda: jax.jit(lambda a: named.shard(a, mesh, {"nothing": "data"}))(x), AxisError),
):
    try:
        call()
    except error:
        continue
    raise AssertionError("not refused")
print("ok")
"""


def test_on_eight_devices():
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0 and result.stdout == "ok\n", result.stdout + result.stderr
