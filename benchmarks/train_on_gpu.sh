#!/usr/bin/env bash
# Every network of the comparison on one GPU in about eight minutes: the peers' and ours, fold by fold.
#   benchmarks/train_on_gpu.sh CELLS.npz WORK
# Each step keeps what it made in WORK and is skipped when run again. CELLS.npz: benchmarks/pack_cells.py real.
set -uo pipefail
cd "$(dirname "$0")/.."
cells=$1 work=$2
mkdir -p "$work/folds" "$work/peers"
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1 PYTHON=${PYTHON:-python3}
say() { echo "[$SECONDS s] $*"; }

peers() { # methods, more options
  local methods=$1
  shift
  "$PYTHON" -m benchmarks.train_peers_gpu "$cells" --work "$work/peers" --out "$work/packed" --methods "$methods" "$@"
}

folds() { # stages, seconds of a stage, more options
  local stages=$1 seconds=$2
  shift 2
  "$PYTHON" -m benchmarks.train_folds "$cells" --phantoms "$work/phantoms.npz" --out "$work/folds" --device cuda \
    --threads 4 --stages "$stages" --seconds "$seconds" \
    --phantom-recipe "batch_size=128 learning_rate=1.5e-3 ema_half_life=12000" --phantom-share 0.1 --snapshots 3 \
    --recipe "batch_size=64 learning_rate=8e-4 ema_half_life=6000 z_stretch=0.15 z_asymmetry=0.1 elastic=0.5" "$@"
}

# The cores make the kernels and the phantoms while the GPU trains the small networks.
.ci/kernels gpu-build >"$work/build.log" 2>&1 || tail -n 5 "$work/build.log"
[ -e "$work/phantoms.npz" ] ||
  "$PYTHON" -m benchmarks.pack_cells phantoms 5400 "$work/phantoms.npz" --seed 1000 --workers 7 --uncompressed &
peers shapr,shapr-topo --shapr-examples 8000 --shapr-rate 1e-3 --shapr-seconds 30 >"$work/shapr.log" 2>&1 &
wait
say "SHAPR and phantoms"; grep -E "complete|out of time" "$work/shapr.log" | tail -n 10

[ -e build/gpu/_kernels.so ] && export DISPR_KERNELS=$PWD/build/gpu/_kernels.so
folds phantoms 38 >"$work/phantoms.log" 2>&1
say "$(tail -n 1 "$work/phantoms.log")"
folds fold0,fold3 76 >"$work/lane0.log" 2>&1 &
folds fold1,fold4 76 >"$work/lane1.log" 2>&1 &
folds fold2,final 76 >"$work/lane2.log" 2>&1 &
wait
for lane in 0 1 2; do say "$(grep "held out" "$work/lane$lane.log" | tail -n 1)"; done

peers dispr2022 --phantoms "$work/phantoms.npz" --pretrain-seconds 50 --fold-seconds 11 --sample-seconds 9 \
  >"$work/dispr2022.log" 2>&1
say "DISPR-2022"; grep -E "volumes in" "$work/dispr2022.log"
peers shapr,shapr-topo --shapr-examples 8000 --shapr-rate 1e-3 --shapr-seconds 6 >>"$work/shapr.log" 2>&1
say "packed"; tail -n 1 "$work/shapr.log"
