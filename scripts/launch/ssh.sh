#!/usr/bin/env bash
# Runs one command on plain hosts that reach each other and can be reached by ssh without a password:
#   HOSTS="box1 box2" ./scripts/launch/ssh.sh experiments/finetune.py --model=Qwen/Qwen2.5-Coder-32B --mesh=data:2,fsdp:8 --output_dir=runs/b3 --resume
# This repository is at the same path (FOLDER, default: here) on every host, with its .venv; --output_dir is a folder that they share. The
# first host coordinates, on PORT. Ends when all have ended; if one fails, the others end within JAXENT_HEARTBEAT seconds (60).
set -euo pipefail
read -ra hosts <<<"${HOSTS:?the hosts, separated by spaces}"
folder=${FOLDER:-$PWD}
printf -v arguments '%q ' "$@" # quoted once more for the remote shell
pids=()
for id in "${!hosts[@]}"; do
  variables="JAX_COORDINATOR_ADDRESS=${hosts[0]}:${PORT:-12355} JAX_NUM_PROCESSES=${#hosts[@]} JAX_PROCESS_ID=$id"
  # -tt: ending this script ends what runs there; process 0 alone shows its progress
  (ssh -tt "${hosts[id]}" "cd $(printf %q "$folder") && $variables .venv/bin/python $arguments" </dev/null | sed "s/^/[${hosts[id]}] /") &
  pids+=($!)
done
status=0
for pid in "${pids[@]}"; do wait "$pid" || status=$?; done
exit "$status"
