"""The fields of a matrix's class: arrays that define it, and what else does."""

import operator
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

import equinox as eqx

from sciquax.core import ArrayValue

T = TypeVar("T")


def leaf(*, core_ndim: int, **options: Any) -> Any:
    """A field that holds a defining array.

    **Arguments**: `core_ndim`, how many axes the array has without batch axes; others, such as
    `default`, as for `equinox.field`.

    ```python
    >>> from typing import Any
    >>> from sciquax.structured import StructuredMatrix, leaf
    >>> class OuterProduct(StructuredMatrix):
    ...     left: Any = leaf(core_ndim=1)
    ...     right: Any = leaf(core_ndim=1)
    ...
    ...     def aval(self):
    ...         return self.matrix_aval((*self.left.shape, self.right.shape[-1]))
    ...
    ...     def transpose(self):
    ...         return self.rebuild([self.right, self.left])
    ...
    ...     def matmat(self, x):
    ...         return self.left[..., None] * (self.right[..., None, :] @ x)
    >>> a = OuterProduct([1.0, 2.0], [3.0, 4.0, 5.0])
    >>> a.shape
    (2, 3)
    >>> a.T @ a.left
    Array([15., 20., 25.], dtype=float32)

    ```
    """
    return eqx.field(metadata={_CORE_NDIM: core_ndim}, **options)


def static(**options: Any) -> Any:
    """A field that is no array but a part of the type, and hashable: a size, a side.

    **Arguments**: as for `equinox.field`; `converter` is applied to what the constructor is given.
    """
    return eqx.field(metadata={_STATIC: True}, **options)


_CORE_NDIM, _STATIC = "sciquax core_ndim", "sciquax static"


@dataclass_transform(field_specifiers=(leaf, static))
class StructuredMeta(type(ArrayValue)):
    """The class of classes of matrices: it reads their fields.

    `LEAF_NAMES` are the names of the fields made by `leaf`, `CORE_NDIMS` how many axes each has,
    `STATIC` the names of those made by `static`; a class has its bases' too. A constructor given
    quantities returns a quantity of a matrix: units belong outside.
    """

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any):
        inherited: Any = next((b for b in bases if isinstance(b, StructuredMeta)), None)
        leaves = (
            {}
            if inherited is None
            else dict(zip(inherited.LEAF_NAMES, inherited.CORE_NDIMS, strict=True))
        )
        statics = () if inherited is None else inherited.STATIC
        own = {k: getattr(x, "metadata", {}) for k, x in namespace.items()}
        leaves |= {k: data[_CORE_NDIM] for k, data in own.items() if _CORE_NDIM in data}
        statics = (*(k for k, data in own.items() if _STATIC in data), *statics)
        namespace |= {
            "LEAF_NAMES": (*leaves,),
            "CORE_NDIMS": (*leaves.values(),),
            "STATIC": statics,
        }
        return super().__new__(
            cls, name, bases, namespace, leaves=(*leaves,), static=statics, **options
        )

    if not TYPE_CHECKING:  # a call makes an instance, as of any class

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().__call__(*args, **kwargs).canonical()
            except (TypeError, ValueError) as error:
                if type(error) in (TypeError, ValueError) and cls.__name__ not in str(error):
                    error.args = (f"`{cls.__name__}`: {error}",)
                raise


def size(n: Any) -> int:
    """A size as a static field. **Raises** TypeError unless it is an integer, ValueError if it is
    negative."""
    if (n := operator.index(n)) < 0:
        raise ValueError(f"A size must not be negative; got {n}.")
    return n


def unchecked(cls: type[T], **fields: Any) -> T:
    """An instance with these fields, without the constructor: nothing converted or checked."""
    made = object.__new__(cls)
    for name, x in fields.items():
        object.__setattr__(made, name, x)
    return made
