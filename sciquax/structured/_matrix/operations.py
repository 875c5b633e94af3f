"""Operations whose rules are registered by the types of the matrices that they meet.

A type's file registers what the operation does to it; for two types, the later one's file does.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable)


class Operation:
    """A function of one matrix or two, whose rules are registered by their types.

    Rules for base classes serve subclasses. Those whose most general type is the most special are
    asked first: a rule for two `BandMatrix` before one for any `StructuredMatrix` and a
    `DiagonalMatrix`; of equally special ones, the one that was registered first. A rule that gives
    NotImplemented leaves it to the next. Without any, the result is NotImplemented.

    **Arguments**: the operation's `name`; `arity`, how many operands choose the rule. A call may
    have more arguments, which the rule is given as they are.

    ```python
    >>> from sciquax.structured import DiagonalMatrix, IdentityMatrix, TridiagonalMatrix, operations
    >>> a = TridiagonalMatrix([1.0, 1.0], [4.0, 4.0, 4.0], [2.0, 2.0])
    >>> operations.add(a, IdentityMatrix(3)).main_diag
    Array([5., 5., 5.], dtype=float32)
    >>> operations.band_part(a, None, 0)
    BidiagonalMatrix(main_diag=[4., 4., 4.], off_diag=[1., 1.], lower=True)

    ```
    """

    def __init__(self, name: str, arity: int = 1):
        self.name, self._arity = name, arity
        self._rules: dict[tuple[type, ...], Callable] = {}
        self._ordered = functools.cache(self._order)

    def register(self, *types: type) -> Callable[[F], F]:
        """Decorator: the rule for operands of these types, or of subclasses.

        **Arguments**: as many types as operands choose the rule.

        **Returns** the decorator, which gives the rule back.

        **Raises** ValueError for another number of types, or where they have a rule.
        """
        names = ", ".join(t.__name__ for t in types)
        if len(types) != self._arity:
            raise ValueError(f"`{self.name}` has rules for {self._arity} types; got ({names}).")

        def decorator(rule: F) -> F:
            if types in self._rules:
                raise ValueError(f"`{self.name}` already has a rule for ({names}).")
            self._rules[types] = rule
            self._ordered.cache_clear()
            return rule

        return decorator

    def _order(self, *types: type) -> list[Callable]:
        """The rules for operands of these types, in the order in which they are asked."""
        fit = [registered for registered in self._rules if all(map(issubclass, types, registered))]
        fit.sort(key=lambda registered: sorted(len(t.__mro__) for t in registered), reverse=True)
        return [self._rules[registered] for registered in fit]

    def __call__(self, *operands: Any, **options: Any) -> Any:
        for rule in self._ordered(*map(type, operands[: self._arity])):
            found = rule(*operands, **options)
            if found is not NotImplemented:
                return found
        return NotImplemented


def both_orders(operation: Operation, first: type, second: type) -> Callable[[F], F]:
    """Decorator: a rule of a commutative operation, which gets the operand of type `first` first.

    **Arguments**: the operation; the types. Options reach the rule as they are.

    **Returns** the decorator, which gives the rule back.
    """

    def decorator(rule: F) -> F:
        operation.register(first, second)(rule)
        operation.register(second, first)(
            lambda lhs, rhs, *more, **options: rule(rhs, lhs, *more, **options)
        )
        return rule

    return decorator


# Of one matrix. What has no rule, and no fallback, has no structured result. Numbers are inexact.

inverse = Operation("inverse")
"""`inverse(a)`: the inverse of a square matrix; by default an `InverseMatrix`, if systems with it
have a solution of its own."""
pinv = Operation("pinv")
"""`pinv(a, rtol)`: the pseudoinverse; by default a square matrix's inverse. `rtol` is None or that
of `jnp.linalg.pinv`."""
symmetrised = Operation("symmetrised")
"""`symmetrised(a)`: (a + a^H) / 2; by default the sum, if that is no `SumMatrix`."""
cholesky = Operation("cholesky")
"""`cholesky(a)`: the lower Cholesky factor of a Hermitian matrix."""
eigvalsh = Operation("eigvalsh")
"""`eigvalsh(a)`: the eigenvalues of a Hermitian matrix, in ascending order."""
eigh = Operation("eigh")
"""`eigh(a)`: those, and the eigenvectors as a matrix."""
eigvals = Operation("eigvals")
"""`eigvals(a)`: the eigenvalues of a square matrix, complex, in no order; by default the diagonal
of what `is_triangular`."""
eig = Operation("eig")
"""`eig(a)`: those, and the right eigenvectors as a matrix."""
svdvals = Operation("svdvals")
"""`svdvals(a)`: the singular values of a square matrix, in descending order; by default the sizes
of a Hermitian matrix's eigenvalues."""
svd = Operation("svd")
"""`svd(a)`: U, the singular values, and V^H, of a square matrix."""
qr = Operation("qr")
"""`qr(a)`: Q and R, of a square matrix."""
lu = Operation("lu")
"""`lu(a)`: P (real), L and U, of a square matrix; by default of what is upper triangular."""
expm = Operation("expm")
"""`expm(a, max_squarings)`: the exponential of a square matrix; by default an `ExponentialMatrix`.
"""
sqrtm = Operation("sqrtm")
"""`sqrtm(a)`: the principal square root of a square matrix, complex; by default `funm`."""
funm = Operation("funm")
"""`funm(a, function)`: a function of a square matrix, complex, from that of its eigenvalues; by
default by the eigenvectors of what is known to be Hermitian."""
matrix_power = Operation("matrix_power")
"""`matrix_power(a, n)`: the power of a square matrix, n > 0; by default repeated products."""
norm_bound = Operation("norm_bound")
"""`norm_bound(a)`: a bound of the 1-norm, of the batch shape; by default the 1-norm."""
plus_number = Operation("plus_number")
"""`plus_number(a, s)`: a number added to every element, where that makes a matrix."""
band_part = Operation("band_part")
"""`band_part(a, low, high)`: the elements on the diagonals from offset `low` to `high`, zeros
elsewhere; None is no bound. `tril`, `triu`."""
submatrix = Operation("submatrix")
"""`submatrix(a, starts, sizes)`: some adjoining rows and columns, more than one of each."""
with_unit_diagonal = Operation("with_unit_diagonal")
"""`with_unit_diagonal(a)`: a triangular matrix with ones on its diagonal."""

# Of two.

fitted = Operation("fitted", 2)
"""`fitted(a, example)`: the matrix `a` in the type and layout of `example`, whose arrays hold
elements. By default of one type with the same static fields, if it says `arrays_are_entries`."""
add = Operation("add", 2)
"""`add(a, b)`: the sum in the narrowest type that holds it."""
matmul = Operation("matmul", 2)
"""`matmul(a, b)`: the product in the narrowest type that holds it; shapes fit."""
hadamard = Operation("hadamard", 2)
"""`hadamard(a, b)`: the product element by element."""
kept_product = Operation("kept_product", 2)
"""`kept_product(a, b)`: the product of two matrices as such, whatever their types."""
joined = Operation("joined", 2)
"""`joined(a, b)`: a matrix of the type and sizes that both convert to; its numbers do not matter.
By default of the layout of their sum."""
common_type = Operation("common_type", 2)
"""`common_type(a, b)`: what `StructuredMatrix.common_type` gives, also where one is no matrix."""
convert_to = Operation("convert_to", 2)
"""`convert_to(a, example)`: what `StructuredMatrix.convert_to` gives."""
