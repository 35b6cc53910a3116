"""The convolutions and matrix products inside a network: the least that any implementation has to compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from dispr_cli.diffusion.ops.plain import patch_rows, product_dtype

MATRIX_PRODUCTS = ("mm", "addmm", "bmm", "baddbmm")
"""Operations of PyTorch that count beside convolutions; what ours hold is written out as PyTorch's."""


class Product(NamedTuple):
    """One product, ready to be run again on the inputs it had.

    Attributes
    ----------
    name
        PyTorch's name and the shape of the output.
    run
        Computes it.
    gflop, gigabytes
        Its arithmetic, and its inputs and output in memory.
    """

    name: str
    run: Callable[[], torch.Tensor]
    gflop: float
    gigabytes: float


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.products: list[Product] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, named = func.overloadpacket.__name__, kwargs or {}
        if name == "convolution":
            self.products.append(_convolution(args, lambda: func(*args, **named)))
        elif name in ("convolution_3d", "convolution_3d_bf16"):
            self.products.append(_own_convolution(args[0], args[1], args[2], name.endswith("bf16")))
        elif name == "norm_convolution_3d_bf16":  # what it convolves has the shape of x
            self.products.append(_own_convolution(args[0], args[7], args[8], True))
        elif name == "patch_projection":
            self.products.append(_projection(*args))
        elif name in MATRIX_PRODUCTS:
            self.products.append(_product(name, lambda: func(*args, **named), args))
        elif name == "attention_3d":
            self.products += attention_products(*args)
        return func(*args, **named)


def record_products(network: Callable[..., object], *inputs: object) -> list[Product]:
    """Run a network once and return its products in their order.

    Call it without gradients but outside inference mode, where PyTorch hides which operations run.
    """
    with _Recorder() as recorder:
        network(*inputs)
    return recorder.products


def attention_products(x: torch.Tensor, heads: int, _groups: int, *parameters: Any) -> list[Product]:
    """List the four matrix products inside an attention block, on inputs of the same shapes.

    They write where they wrote before: fresh memory for the scores would cost more than the product.
    """
    batch, channels = x.shape[:2]
    tokens = x.flatten(2).transpose(1, 2).reshape(-1, channels)  # (N T, C)
    of_qkv, of_proj = (parameters[i].to(x.dtype).t() for i in (2, 4))
    in_heads = tokens.reshape(batch, -1, heads, channels // heads).transpose(1, 2)
    q = in_heads.reshape(batch * heads, -1, channels // heads)  # (N heads, T, C/heads)
    scores = torch.softmax(torch.bmm(q, q.transpose(1, 2)), dim=-1)
    return [
        _product_into("qkv", torch.mm, tokens, of_qkv),
        _product_into("scores", torch.bmm, q, q.transpose(1, 2), fused=(q, q)),
        _product_into("mix", torch.bmm, scores, q, fused=(q, q)),
        _product_into("projection", torch.mm, tokens, of_proj),
    ]


def _own_convolution(x: Any, weight: Any, bias: Any, bf16: bool) -> Product:
    x, weight, bias = (_rounded(given, bf16) for given in (x, weight, bias))
    return _convolution((x, weight), lambda: F.conv3d(x, weight, bias, padding=1))


def _rounded(given: Any, bf16: bool) -> Any:
    return None if given is None else given.to(product_dtype(given.dtype, bf16))


def _projection(x: torch.Tensor, weight: torch.Tensor, _bias: object, gather: int, *rest: Any) -> Product:
    *_, bf16, _wide = rest
    rows = _rounded(patch_rows(x, gather), bf16)
    return _product_into("projection", torch.mm, rows, _rounded(weight.t(), bf16))


def _product_into(
    name: str, multiply: Callable[..., torch.Tensor], *args: torch.Tensor, fused: Sequence[torch.Tensor] = ()
) -> Product:
    """Return a product whose traffic is that of ``fused``, where what it reads or writes can stay on chip."""
    out = multiply(*args)
    return _product(name, lambda: multiply(*args, out=out), fused or (*args, out))


def _product(name: str, run: Callable[[], torch.Tensor], moved: Sequence[Any]) -> Product:
    with FlopCounterMode(display=False) as counter:
        output = run()
    size = sum(t.numel() * t.element_size() for t in moved if isinstance(t, torch.Tensor))
    shape = "x".join(map(str, output.shape))
    return Product(f"{name} {shape}", run, counter.get_total_flops() / 1e9, size / 1e9)


def _convolution(args: Sequence[Any], run: Callable[[], torch.Tensor]) -> Product:
    kernel = "x".join(map(str, args[1].shape[2:]))
    return _product(f"convolution {kernel} to", run, (*args, run()))
