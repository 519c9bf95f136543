"""What a run folder says of its origin."""

import json

import torch

from cloc.training.callbacks.provenance import PACKAGES, Provenance
from tests.helpers.fit import fit, make_module
from tests.helpers.models import make_model, model_batch


def test_it_is_written_before_the_first_step(tmp_path):
    run, seen = tmp_path / "run", []

    class Watch(Provenance):
        def on_train_batch_start(self, *args):
            seen.append(sorted(path.name for path in run.iterdir()))

    callback = Watch(run, seed=7, data={"digest": "ab"}, shards={})
    model = make_model()
    fit(make_module(model), [model_batch(model)], tmp_path, callbacks=[callback])
    assert seen == [["provenance.json"]]
    facts = json.loads((run / "provenance.json").read_text())
    assert facts["packages"].keys() == set(PACKAGES)
    assert facts["packages"]["torch"] == torch.__version__.split("+")[0]
    assert (facts["seed"], facts["devices"], facts["precision"]) == (7, 1, "32-true")
    assert facts["device"].endswith("CPU, 1 threads")
    assert facts["data"] == {"digest": "ab"}
