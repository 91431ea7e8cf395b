"""Checkpoints for spot training: the state after each epoch in `/opt/ml/checkpoints`, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from wildsage.algorithms.linear_learner.training import Trainer
from wildsage.algorithms.reporting import AlgorithmLog
from wildsage.contract.cluster import Cluster

NAME = "linear-learner-state.npz"


class Checkpoints:
    """Active where the job has a checkpoint folder. The first host writes, and every host reads: a
    checkpoint that has not come to all of them counts for none."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.path = folder / NAME
        self.active = folder.is_dir()
        self.cluster = cluster

    def restore(self, trainer: Trainer, log: AlgorithmLog) -> None:
        if not self.active:
            log.info("Checkpoint loading and saving are disabled.")
        found = self.cluster.allreduce(np.array([self.path.exists()], np.int64))
        if found[0] == self.cluster.size:
            with np.load(self.path) as archive:
                arrays = {name: archive[name] for name in archive.files}
            state: dict[str, Any] = json.loads(str(arrays.pop("state")))
            if trainer.restore(arrays, state):
                log.info(f'Loaded checkpoint from "{self.path}"')

    def save(self, trainer: Trainer, log: AlgorithmLog) -> None:
        if not self.active or self.cluster.rank != 0:
            return
        arrays, state = trainer.state()
        log.info(f"Saving model for epoch: {trainer.next_epoch - 1}")
        partial = self.path.with_suffix(".partial.npz")
        np.savez(partial, allow_pickle=False, state=json.dumps(state), **arrays)
        partial.replace(self.path)
        log.info(f'Saved checkpoint to "{self.path}"')
