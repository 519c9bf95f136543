"""The learning rates of a run that goes on: its configuration's, at the step where it stands."""

from collections.abc import Sequence

import lightning as L
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from cloc.errors import UserError


class Rates(L.Callback):
    """Takes from a checkpoint how many steps were made, and nothing else of its rates.

    Lightning loads the rates that the checkpoint was saved with. A schedule is a function of the
    step, so they are computed anew: the same to the bit where the settings are, and those of the
    new settings where some were `changed` (`resume_changes`) before this or an earlier start.
    """

    def __init__(self, *, changed: Sequence[str] = ()) -> None:
        self.changed = tuple(changed)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """After the optimizer's state was loaded, before the first step."""
        if not trainer.global_step:
            return
        schedule = trainer.lr_scheduler_configs[0].scheduler
        # another optimizer of the same weights, which has no state yet, and its schedule
        fresh = pl_module.configure_optimizers()["lr_scheduler"]["scheduler"]  # type: ignore
        if isinstance(schedule, LambdaLR) and isinstance(fresh, LambdaLR):
            set_rates(schedule, fresh.base_lrs)
        elif self.changed:
            raise UserError(
                f"resume_changes={list(self.changed)}: {type(schedule).__name__} is no LambdaLR, "
                "so it is not known how it goes on with other settings; choose another name="
            )


def set_rates(schedule: LambdaLR, rates: Sequence[float | Tensor]) -> None:
    """In place, of a schedule and its optimizer: `rates` before the factor of the step."""
    assert isinstance(schedule, LRScheduler)
    schedule.base_lrs = list(rates)
    groups = schedule.optimizer.param_groups
    for group, rate, factor in zip(groups, rates, schedule.lr_lambdas, strict=True):
        group["initial_lr"] = rate
        now = rate * factor(schedule.last_epoch)
        if isinstance(group["lr"], Tensor):  # a compiled step holds on to it
            group["lr"].fill_(now)
        else:
            group["lr"] = now
    schedule._last_lr = [group["lr"] for group in groups]
