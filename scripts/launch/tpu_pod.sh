#!/usr/bin/env bash
# Runs one command on all hosts of a Cloud TPU slice, from any machine with gcloud:
#   TPU=my-slice ZONE=us-west4-a ./scripts/launch/tpu_pod.sh \
#     experiments/finetune.py --model=Qwen/Qwen2.5-Coder-32B --mesh=fsdp:4,tensor:4 --output_dir=/mnt/shared/runs/b3 --resume
# The slice is there already (gcloud compute tpus tpu-vm create), with this repository in ~/jaxent on every host and
# pip install -e '.[tpu]' done in its .venv. --output_dir is a folder that all hosts share (Filestore, or a mounted bucket): process 0 writes
# results, all of them checkpoints. Same command again continues a run that was cut off.
set -euo pipefail
: "${TPU:?the name of the slice}" "${ZONE:?its zone}"
printf -v arguments '%q ' "$@" # quoted once more for the remote shell
exec gcloud compute tpus tpu-vm ssh "$TPU" --zone="$ZONE" --worker=all \
  --command="cd ~/jaxent && JAXENT_DISTRIBUTED=1 .venv/bin/python $arguments"
