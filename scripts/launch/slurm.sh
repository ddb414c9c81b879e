#!/usr/bin/env bash
# A batch job of SLURM: one process a node, which takes all of the node's GPUs.
#   sbatch --nodes=2 --gpus-per-node=8 scripts/launch/slurm.sh \
#     experiments/finetune.py --model=Qwen/Qwen2.5-Coder-32B --mesh=data:2,fsdp:8 --output_dir=runs/b3 --resume
# Submit it in this repository, on a file system that all nodes share, with pip install -e '.[cuda]' done in .venv.
# JAX finds the other processes in SLURM's variables; by itself it would give each only the GPU of its number on the node. With
# --requeue a job that was preempted continues.
#SBATCH --job-name=jaxent
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --output=%x-%j.log
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
export JAXENT_DISTRIBUTED=1
[[ -z "${SLURM_GPUS_ON_NODE:-}" ]] || export JAX_LOCAL_DEVICE_IDS=$(seq -s, 0 $((SLURM_GPUS_ON_NODE - 1)))
exec srun --kill-on-bad-exit=1 .venv/bin/python "$@" # one lost process ends the rest at once
