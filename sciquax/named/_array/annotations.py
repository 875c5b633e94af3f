"""`NamedArray["time space"]` as an annotation, alone or in jaxtyping, checked by name."""

from typing import Any

from sciquax.core import user_line

from .base import NamedBase
from .errors import AxisError


class _ByName(type):
    """Metaclass of annotations: an instance is a named array with these names, in any order."""

    _names: dict[str, int | None]
    _more: bool

    def __instancecheck__(cls, instance: Any) -> bool:
        if not isinstance(instance, NamedBase):
            return False
        dims = instance.dims
        if None in dims:
            return False
        sizes = instance.sizes
        if any(n not in sizes or s not in (None, sizes[n]) for n, s in cls._names.items()):
            return False
        return cls._more or len(dims) == len(cls._names)


_made: dict[str, type] = {}


def annotation(spec: Any) -> type:
    """A class whose instances are the named arrays with these names, in any order.

    **Arguments**: names in a string or a tuple; `x=3` fixes a size, `...` allows other names.
    """
    tokens = spec.split() if isinstance(spec, str) else [t for s in spec for t in s.split()]
    text = " ".join(tokens)
    found = _made.get(text)
    if found is None:
        names: dict[str, int | None] = {}
        for token in tokens:
            if token == "...":
                continue
            name, _, size = token.partition("=")
            if name in names:
                raise AxisError(f"An annotation got the name {name!r} twice: {text!r}.").at(
                    user_line()
                )
            names[name] = int(size) if size else None
        namespace = {
            "_names": names, "_more": "..." in tokens, "__module__": "sciquax.named",
        }  # fmt: skip
        found = _made[text] = _ByName(f'NamedArray["{text}"]', (), namespace)
    return found
