"""FSDP2 with the run's own checkpoints: gathered for a save, spread out again on loading."""

from pathlib import Path
from typing import Any

from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import FullyShardedDataParallel, OptimStateKeyType


class Sharded(ModelParallelStrategy):
    """Weights and optimizer are whole in a checkpoint: any number of ranks can go on from it.

    Lightning's own would write a folder of shards with a pickle in it, in place and unverified.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(save_distributed_checkpoint=False, **settings)

    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Every rank reads all of it and keeps its own part."""
        found = self.checkpoint_io.load_checkpoint(checkpoint_path, weights_only=True)
        whole = StateDictOptions(full_state_dict=True)
        assert self.model is not None
        set_model_state_dict(self.model, found.pop("state_dict"), options=whole)
        for optimizer, numbered in zip(self.optimizers, found["optimizer_states"], strict=True):
            state = FullyShardedDataParallel.rekey_optim_state_dict(
                numbered, OptimStateKeyType.PARAM_NAME, self.model
            )
            set_optimizer_state_dict(self.model, optimizer, state, options=whole)
        return found
