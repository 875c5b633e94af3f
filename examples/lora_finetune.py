"""Fine-tuning a vision transformer with LoRA and with QLoRA, against training all of it.

The model is plain Equinox and knows nothing of sciquax. It learns scikit-learn's handwritten
digits, then has to read them turned by 90 degrees. Fine-tuning trains all parameters; or factors of
rank 4 beside every weight (E. J. Hu et al., *LoRA*, 2021); or the same beside weights in four bits
(T. Dettmers et al., *QLoRA*, 2023).

    python examples/lora_finetune.py [--output loss.png] [--adapters lora.safetensors] [--steps 300]
"""

import argparse
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from sklearn.datasets import load_digits
from tqdm import tqdm

from sciquax import quaxify
from sciquax.lora import adapter_filter, loraify, read_adapters, save_adapters
from sciquax.quantised import QuantisedArray, quantise_model


class Block(eqx.Module):
    """Attention and a perceptron, each behind a normalisation and beside a shortcut."""

    attention: eqx.nn.MultiheadAttention
    mlp: eqx.nn.MLP
    norms: tuple[eqx.nn.LayerNorm, eqx.nn.LayerNorm]

    def __init__(self, width, key):
        first, second = jr.split(key)
        self.attention = eqx.nn.MultiheadAttention(4, width, key=first)
        self.mlp = eqx.nn.MLP(width, width, 2 * width, 1, jax.nn.gelu, key=second)
        self.norms = (eqx.nn.LayerNorm(width), eqx.nn.LayerNorm(width))

    def __call__(self, tokens):
        seen = jax.vmap(self.norms[0])(tokens)
        tokens = tokens + self.attention(seen, seen, seen)
        return tokens + jax.vmap(self.mlp)(jax.vmap(self.norms[1])(tokens))


class VisionTransformer(eqx.Module):
    """Images of 8 x 8 in 16 patches of 2 x 2, to the logits of ten classes."""

    patches: eqx.nn.Conv2d
    positions: jax.Array
    blocks: list[Block]
    head: eqx.nn.Linear

    def __init__(self, width, depth, key):
        keys = jr.split(key, depth + 3)
        self.patches = eqx.nn.Conv2d(1, width, 2, stride=2, key=keys[0])
        self.positions = 0.02 * jr.normal(keys[1], (16, width))
        self.head = eqx.nn.Linear(width, 10, key=keys[2])
        self.blocks = [Block(width, k) for k in keys[3:]]

    def __call__(self, image):
        tokens = self.patches(image[None]).reshape(-1, 16).T + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(tokens.mean(axis=0))


def loss(model, images, labels):
    # The model may hold arrays of any kind: this line is all that sciquax asks for.
    logits = quaxify(lambda model, images: jax.vmap(model)(images))(model, images)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def train(model, trained, data, steps, rate, seed):
    """Adam on what `trained` marks. Returns the model, the losses and the seconds a step."""
    (images, labels), optimiser = data, optax.adam(rate)
    varied, frozen = eqx.partition(model, trained)
    state = optimiser.init(varied)

    @eqx.filter_jit
    def step(varied, frozen, state, images, labels):
        value, grads = eqx.filter_value_and_grad(
            lambda v: loss(eqx.combine(v, frozen), images, labels)
        )(varied)
        updates, state = optimiser.update(grads, state)
        return eqx.apply_updates(varied, updates), state, value

    rng, losses, start = np.random.default_rng(seed), [], 0.0
    for i in tqdm(range(steps), leave=False):
        rows = rng.integers(0, len(images), 64)
        varied, state, value = step(varied, frozen, state, images[rows], labels[rows])
        losses.append(float(value))
        start = time.perf_counter() if i == 0 else start
    seconds = (time.perf_counter() - start) / max(steps - 1, 1)
    return eqx.combine(varied, frozen), losses, seconds


@eqx.filter_jit
def accuracy(model, images, labels):
    logits = quaxify(lambda model, images: jax.vmap(model)(images))(model, images)
    return jnp.mean(jnp.argmax(logits, axis=1) == labels)


def resident(tree):
    """Bytes in memory; codes of four bits are half a byte."""
    nodes = jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, QuantisedArray))
    return sum(x.nbytes for x in nodes if eqx.is_array(x) or isinstance(x, QuantisedArray))


def count(tree):
    return sum(x.size for x in jax.tree.leaves(tree) if eqx.is_array(x))


def main(
    width: int = 64,
    depth: int = 2,
    steps: int = 300,
    output: Path | None = None,
    adapters: Path | None = None,
) -> dict[str, float]:
    digits: Any = load_digits()
    images = jnp.asarray(digits.images / 16.0, jnp.float32)
    labels = jnp.asarray(digits.target, jnp.int32)
    turned = jnp.rot90(images, axes=(1, 2))
    known, new = slice(0, 1400), slice(1400, None)

    model = VisionTransformer(width, depth, jr.key(0))
    model, losses, _ = train(
        model, eqx.is_inexact_array, (images[known], labels[known]), steps, 2e-3, 0
    )
    upright, before = (float(accuracy(model, x[new], labels[new])) for x in (images, turned))
    print(f"trained on upright digits: reads {upright:.1%} of them, {before:.1%} of turned ones\n")
    print("fine-tuned   parameters   weights   loss: start  middle   end   turned   per step")

    lora = loraify(model, rank=4, alpha=8, key=jr.key(1))
    qlora = loraify(quantise_model(model, "nf4", block_size=16), rank=4, alpha=8, key=jr.key(1))
    results, curves = {}, {}
    for name, start, trained, rate in (
        ("all", model, eqx.is_inexact_array, 1e-3),
        ("LoRA", lora, adapter_filter(lora), 4e-3),
        ("QLoRA", qlora, adapter_filter(qlora), 4e-3),
    ):
        tuned, losses, seconds = train(
            start, trained, (turned[known], labels[known]), steps, rate, 1
        )
        results[name] = float(accuracy(tuned, turned[new], labels[new]))
        if name == "LoRA" and adapters is not None:
            save_adapters(adapters, tuned)
        curves[name] = losses
        varied, frozen = eqx.partition(start, trained)
        n, size = count(varied), resident(frozen if count(frozen) else varied)
        curve = "  ".join(f"{losses[i]:6.3f}" for i in (0, len(losses) // 2, -1))
        print(f"{name:10} {n:10,d} {size / 1e3:9.0f} kB      {curve} {results[name]:8.1%}", end=" ")
        print(f"{seconds * 1e3:7.1f} ms")
    if adapters is not None:
        again = read_adapters(adapters, model)  # rank and scaling are the file's
        assert float(accuracy(again, turned[new], labels[new])) == results["LoRA"]
        size = adapters.stat().st_size / 1e3
        print(f"\n{adapters.name}: {size:.0f} kB, read into the base model")
    if output is not None:
        draw(curves, results, output)
    return results


def draw(curves: dict[str, list[float]], results: dict[str, float], path: Path) -> None:
    """The loss of each way of fine-tuning, averaged over ten steps."""
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, losses in curves.items():
        smooth = np.convolve(losses, np.full(10, 0.1), "valid")
        axis.semilogy(smooth, label=f"{name}: reads {results[name]:.1%}")
    axis.set(xlabel="step", ylabel="loss", title="Learning to read turned digits")
    axis.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--adapters", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    main(**vars(parser.parse_args()))
