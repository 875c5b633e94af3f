"""Two processes that compute together through `jax.distributed`, on this machine."""

import json
import os
import socket
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys
import jax
import numpy as np
jax.config.update("jax_platforms", "cpu")
number, address = int(sys.argv[1]), sys.argv[2]
jax.distributed.initialize(address, num_processes=2, process_id=number)
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from sciquax import grad, quaxify
from sciquax.units import DimensionalityError, Quantity

assert jax.process_count() == 2 and jax.device_count() == 4 and jax.local_device_count() == 2
mesh = jax.make_mesh((4,), ("d",), axis_types=(AxisType.Auto,))
sharding = NamedSharding(mesh, P("d"))
data = np.arange(8, dtype=np.float32) + 1
local = Quantity(data[4 * number : 4 * number + 4], "km")
heights = jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), local)
assert heights.shape == (8,) and not heights.m.is_fully_addressable

def energy(h):
    g = Quantity(jnp.float32(10.0), "m/s**2")
    return jnp.sum(jnp.where(h > 2.0 * h[0], g * h, 0.0))

def shares(h):
    body = lambda x: x / jax.lax.psum(jnp.sum(x), "d")
    return jax.shard_map(body, mesh=mesh, in_specs=P("d"), out_specs=P("d"))(h)

total = jax.jit(quaxify(energy))(heights)
slope = jax.jit(grad(energy))(heights)
parts = jax.jit(quaxify(shares))(heights)
try:
    jax.jit(quaxify(lambda h: h + 1.0))(heights)
    refused = ""
except DimensionalityError as error:
    refused = str(error).splitlines()[0]
mine = lambda x: np.concatenate([s.data for s in x.addressable_shards]).tolist()
print(json.dumps({
    "total": float(total.m_as("m**2/s**2")),
    "unit": str(total.units),
    "slope": mine(slope.m_as("m/s**2")),
    "parts": mine(parts),
    "refused": refused,
}))
"""


def _free_address() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{s.getsockname()[1]}"


@pytest.mark.slow
def test_two_processes():
    address = _free_address()
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")])),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(number), address],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    try:
        outputs = [p.communicate(timeout=300) for p in processes]
    finally:
        for p in processes:
            p.kill()
    for p, (_, error) in zip(processes, outputs, strict=True):
        assert p.returncode == 0, error[-3000:]
    first, second = [json.loads(out.splitlines()[-1]) for out, _ in outputs]
    data = [i + 1.0 for i in range(8)]
    for got in (first, second):
        assert got["total"] == pytest.approx(10.0 * sum(1000 * x for x in data if x > 2))
        assert got["unit"] == "kilometer * meter / second ** 2"
        assert got["refused"].startswith("`add` got operands in 'km' and plain numbers")
    assert first["slope"] + second["slope"] == [10.0 if x > 2 else 0.0 for x in data]
    assert first["parts"] + second["parts"] == pytest.approx([x / sum(data) for x in data])
