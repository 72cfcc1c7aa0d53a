"""The implementation that a dense layer's configuration names: kernel, product and limit of multipliers.

``nnet::dense`` of hls4ml 1.0 and later calls the template ``kernel`` of the configuration, whatever the
``strategy`` beside it says; the kernel multiplies by the template ``product``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hwnas_hls.hls4ml.folder.cpp import Struct
from hwnas_hls.hls4ml.notes import Note, NoteKind

_KERNEL = re.compile(r"\busing\s+kernel\s*=\s*(?:\w+::)*(\w+)")
_PRODUCT = re.compile(r"\busing\s+product\s*=\s*(?:\w+::)*(\w+)")
#: Beginnings of hls4ml's kernels -> strategies.
_KERNELS = {
    "DenseLatency": "Latency",
    "DenseResource": "Resource",
    "DenseCompressed": "compressed",
    "dense_resource_unrolled": "ResourceUnrolled",
    "dense_da": "distributed_arithmetic",
}
#: Products of one-bit weights that stand for -1 and 1.
SIGN_PRODUCTS = frozenset({"weight_binary", "both_binary"})
#: As hls4ml writes it, without blanks.
_LIMIT = "DIV_ROUNDUP(n_in*n_out,reuse_factor)-n_zeros/reuse_factor"


def kernel_strategy(struct: Struct) -> str:
    """The strategy of the kernel; empty without one (before hls4ml 1.0), or if hls4ml has none such."""
    found = _KERNEL.search(struct.text)
    name = "" if found is None else found[1]
    return next((strategy for start, strategy in _KERNELS.items() if name.startswith(start)), "")


def product_of(struct: Struct) -> str:
    """The name of the product, for example ``mult``; empty without one (early releases)."""
    found = _PRODUCT.search(struct.text)
    return "" if found is None else found[1]


def kernel_reasons(
    struct: Struct, written: str, where: str, products: int, limit: int | None
) -> Iterator[Note]:
    """Why a configuration is none that hls4ml writes, or has a product that no data cover.

    Args:
        struct: the configuration.
        written: the strategy that it states; empty if it states none.
        where: the layer, for messages.
        products: multiplications at once, as hls4ml counts them.
        limit: value of ``multiplier_limit``; ``None`` if it has none, or its value is unknown.
    """
    found, strategy = _KERNEL.search(struct.text), kernel_strategy(struct)
    if found is not None and not strategy:
        yield _no_data(f"{where}: its kernel {found[1][:60]} is none of hls4ml's dense layers: no data")
    elif found is not None and written and strategy != written:
        yield _no_data(
            f"{where}: its kernel {found[1][:60]} is built, but its strategy says {written}: no data"
        )
    product = product_of(struct)
    if product not in ("", "mult"):
        yield _no_data(f"{where}: its product is {product[:60]}, not a multiplication: no data")
    expression = "".join(struct.constants.get("multiplier_limit", _LIMIT).split())
    if expression != _LIMIT and (strategy or written) == "Latency" and (limit is None or limit < products):
        yield _no_data(
            f"{where}: multiplier_limit is {expression[:60]}, not what hls4ml writes ({products}): no data"
        )


def _no_data(text: str) -> Note:
    return Note(NoteKind.NO_DATA, text)
