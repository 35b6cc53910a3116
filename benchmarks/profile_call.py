"""Where does a call of the denoiser spend its time? Every operation's own share, from PyTorch's profiler.

    python -m benchmarks.profile_call [--device cpu] [--precision bf16] [--threads 1] [--batch 5]

On CUDA the time is that of kernels on the device. Nothing is written.
"""

from __future__ import annotations

import argparse

import torch
from torch.profiler import ProfilerActivity, profile

from dispr_cli.diffusion.timing import calling
from dispr_cli.methods import load_denoiser
from dispr_cli.threads import available_threads

SMALLEST_SHARE = 0.005
"""Operations below this share of the call are left out."""


def main() -> None:
    """Profile, print the table."""
    options = _options()
    torch.set_num_threads(options.threads)
    method = load_denoiser(device=options.device, precision=options.precision)
    run = calling(method, options.batch or method.micro_batch)
    on_cuda = method.device.type == "cuda"
    for _ in range(3):
        run()
    with profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * on_cuda]) as profiler:
        for _ in range(options.calls):
            run()
        if on_cuda:
            torch.cuda.synchronize()
    events = profiler.key_averages()
    times = {
        e.key: (e.self_device_time_total if on_cuda else e.self_cpu_time_total, e.count)
        for e in events
        if not on_cuda or e.self_device_time_total
    }
    total = sum(time for time, _ in times.values())
    precision = method.autocast or torch.float32
    print(f"{method.device}, {precision}, {1e-3 * total / options.calls:.2f} ms a call")
    for name, (time, count) in sorted(times.items(), key=lambda item: -item[1][0]):
        if time >= SMALLEST_SHARE * total:
            each = f"{1e-3 * time / options.calls:8.3f} ms {count / options.calls:5.0f} x"
            print(f"{100 * time / total:5.1f} % {each}  {name[:110]}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--batch", type=int, default=0, help="0: the device's own")
    parser.add_argument("--calls", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    main()
