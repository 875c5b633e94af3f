"""Four processes that compute together through `jax.distributed`, on this machine."""

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
number, address, file = int(sys.argv[1]), *sys.argv[2:]
jax.distributed.initialize(address, num_processes=4, process_id=number)
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from jax.experimental.multihost_utils import sync_global_devices
from sciquax import grad, quaxify
from sciquax.interop import equinox as files
from sciquax.units import DimensionalityError, Quantity

assert jax.process_count() == jax.device_count() == 4 and jax.local_device_count() == 1
mesh = jax.make_mesh((4,), ("d",), axis_types=(AxisType.Auto,))
sharding = NamedSharding(mesh, P("d"))
data = np.arange(8, dtype=np.float32) + 1
local = Quantity(data[2 * number : 2 * number + 2], "km")
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

# A spring constant, fitted to forces of which each process holds some; saved, and gone on with.
replicated = NamedSharding(mesh, P())
everywhere = lambda x: jax.make_array_from_process_local_data(replicated, x)
forces = jax.jit(quaxify(lambda h: h * Quantity(np.float32(3.0), "N/m")))(heights)

def loss(k, heights, forces):
    return jnp.mean(((k * heights - forces) / Quantity(1.0, "kN")) ** 2)

@jax.jit
def step(k, *data):
    return k - Quantity(np.float32(0.01), "N**2/m**2") * grad(loss)(k, *data)

def trained(k, steps):
    for _ in range(steps):
        k = step(k, heights, forces)
    return k

start = jax.tree.map(everywhere, Quantity(np.float32(1.0), "N/m"))
halfway = trained(start, 2)
if number == 0:
    files.tree_serialise_leaves(file, jax.tree.map(lambda x: x.addressable_data(0), halfway))
sync_global_devices("saved")
like = Quantity(np.float32(0.0), "kN/m")
restored = files.tree_deserialise_leaves(file, like)
restored = jax.tree.map(lambda x: everywhere(np.asarray(x)), restored)
constants = [float(k.m_as("N/m").addressable_data(0)) for k in
             (trained(halfway, 2), trained(restored.to("N/m"), 2))]
mine = lambda x: np.concatenate([s.data for s in x.addressable_shards]).tolist()
print(json.dumps({
    "total": float(total.m_as("m**2/s**2")),
    "unit": str(total.units),
    "slope": mine(slope.m_as("m/s**2")),
    "parts": mine(parts),
    "refused": refused,
    "constants": constants,
    "unit restored": str(restored.units),
}))
"""


def _free_address() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{s.getsockname()[1]}"


@pytest.mark.slow
def test_four_processes(tmp_path):
    address = _free_address()
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=1",
        "PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")])),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(number), address, str(tmp_path / "constant.eqx")],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    try:
        outputs = [p.communicate(timeout=300) for p in processes]
    finally:
        for p in processes:
            p.kill()
    for p, (_, error) in zip(processes, outputs, strict=True):
        assert p.returncode == 0, error[-3000:]
    found = [json.loads(out.splitlines()[-1]) for out, _ in outputs]
    data = [i + 1.0 for i in range(8)]
    constant = 3.0 - 2.0 * (1 - 0.02 * sum(x**2 for x in data) / 8) ** 4
    for got in found:
        assert got["total"] == pytest.approx(10.0 * sum(1000 * x for x in data if x > 2))
        assert got["unit"] == "kilometer * meter / second ** 2"
        assert got["refused"].startswith("`add` got operands in 'km' and plain numbers")
        assert got["constants"] == pytest.approx([constant, constant], rel=1e-5)
        assert got["unit restored"] == "kilonewton / meter"
    slopes, parts = (sum((got[name] for got in found), []) for name in ("slope", "parts"))
    assert slopes == [10.0 if x > 2 else 0.0 for x in data]
    assert parts == pytest.approx([x / sum(data) for x in data])
