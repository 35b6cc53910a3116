"""The operations inside torch.compile and torch.export: as single nodes, with the layouts they promised."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dispr_cli.diffusion.ops import attention_3d, convolution_3d, group_norm_silu


class Block(nn.Module):
    """The operations one after the other, as in the denoiser."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {
            "norm": (8,),
            "bias": (8,),
            "qkv": (24, 8),
            "qkv_bias": (24,),
            "proj": (8, 8),
            "proj_bias": (8,),
        }
        self.parts = nn.ParameterDict(
            {name: nn.Parameter(torch.randn(size) / 3) for name, size in sizes.items()}
        )
        self.conv = nn.Conv3d(8, 8, 3, padding=1)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        p = self.parts
        h = group_norm_silu(x, 2, p["norm"], p["bias"], 1e-5, scale, None, x)
        block = (p["norm"], p["bias"], p["qkv"], p["qkv_bias"], p["proj"], p["proj_bias"])
        return attention_3d(convolution_3d(h, self.conv.weight, self.conv.bias, x), 2, 2, *block)


def drawn() -> tuple[Block, Tensor, Tensor]:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 4, 4, 4).contiguous(memory_format=torch.channels_last_3d)
    return Block(), x, torch.randn(2, 8)


def test_compiled_whole_it_computes_the_same_forward_and_backward() -> None:
    block, x, scale = drawn()
    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
    gradients = []
    for run in (block, compiled):
        block.zero_grad()
        run(x, scale).square().sum().backward()
        gradients.append([parameter.grad for parameter in block.parameters()])
    torch.testing.assert_close(compiled(x, scale), block(x, scale))
    torch.testing.assert_close(gradients[1], gradients[0])


def test_exported_it_holds_the_operations_and_any_batch() -> None:
    block, x, scale = drawn()
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(block, (x, scale), dynamic_shapes=({0: batch}, {0: batch}))
    names = {str(node.target) for node in exported.graph.nodes}
    assert {
        f"dispr.{name}.default" for name in ("group_norm_silu", "convolution_3d", "attention_3d")
    } <= names
    more = torch.cat([x, x, x]).contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(exported.module()(more, scale.repeat(3, 1)), block(more, scale.repeat(3, 1)))
