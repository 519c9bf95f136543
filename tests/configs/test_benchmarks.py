"""Every benchmark that is shipped can be named and built, and says what kind it is."""

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from cloc.cli.config.folders import CONFIGS

FILES = sorted((CONFIGS / "benchmarks").glob("*.yaml"))


@pytest.mark.parametrize("path", [p for p in FILES if p.stem != "all"], ids=lambda path: path.stem)
def test_a_file_holds_the_benchmark_of_its_name(path):
    config = OmegaConf.load(path)
    assert list(config) == [path.stem]
    asks_for_a_folder = OmegaConf.is_missing(config[path.stem], "root")
    if asks_for_a_folder:
        config[path.stem].root = "somewhere"
    benchmark = instantiate(config, _convert_="all")[path.stem]
    assert isinstance(benchmark.uses_regions, bool)
    assert benchmark.own_data == asks_for_a_folder


def test_each_protocol_has_a_name_of_its_own():
    configs = [OmegaConf.load(path) for path in FILES]
    targets = [own["_target_"] for config in configs for own in config.values()]
    assert len(set(targets)) == len(targets)
