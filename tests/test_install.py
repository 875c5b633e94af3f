"""What a new installation says: what is missing, and what is there."""

import importlib.metadata
import itertools
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import sciquax
from sciquax import interop, show_versions

ROOT = Path(__file__).parent.parent


def test_names_that_everybody_uses():
    assert sciquax.Quantity is sciquax.units.Quantity
    assert sciquax.NamedArray is sciquax.named.NamedArray
    assert {"Quantity", "NamedArray", "units"} <= set(dir(sciquax))


def test_a_missing_library_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "uncertainties", None)  # as if it were not there
    monkeypatch.delitem(sys.modules, "sciquax.interop.uncertainties", raising=False)
    monkeypatch.delitem(interop.__dict__, "uncertainties", raising=False)
    with pytest.raises(ModuleNotFoundError) as caught:
        from sciquax.interop import uncertainties  # noqa: F401
    assert str(caught.value) == (
        "`sciquax.interop.uncertainties` needs uncertainties, which is not installed. "
        'Install it with `pip install "sciquax[uncertainties]"`.'
    )


def test_extras_bring_what_modules_adapt():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    modules = {p.name.removesuffix(".py") for p in (ROOT / "sciquax" / "interop").iterdir()}
    for name, extra in interop._EXTRAS.items():
        assert name in modules
        assert extra == "test" or any(r.startswith(name) for r in extras[extra]) or name in (
            "lineax", "optimistix",  # which Diffrax brings
        ), name  # fmt: skip


def test_versions(capsys):
    show_versions()
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    for name in ("jax", "equinox", "plum-dispatch", "numpy"):
        assert lines[name] == importlib.metadata.version(name)
    assert lines["Python"].startswith("{}.{}.".format(*sys.version_info))


def test_the_newest_stack_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "tools" / "newest.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    for requirement in map(Requirement, (
        *project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())
    )):  # fmt: skip
        if requirement.name != "sciquax":
            pin = pins[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(pin), requirement
