"""Every benchmark that is shipped can be named and built, and says what kind it is."""

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from cloc.cli import evaluate
from cloc.cli.config.compose import compose_config, plain
from cloc.cli.config.folders import CONFIGS
from cloc.eval.benchmarks.box_classification import FgclipTop1
from cloc.eval.runner import has_own_data

FILES = sorted((CONFIGS / "benchmarks").glob("*.yaml"))


@pytest.mark.parametrize("path", [p for p in FILES if p.stem != "all"], ids=lambda path: path.stem)
def test_a_file_holds_the_benchmark_of_its_name(path):
    """WhereBench's also holds its task of regions; it draws its pictures itself."""
    config = OmegaConf.load(path)
    assert next(iter(config)) == path.stem
    assert all(name.startswith(path.stem) for name in config)
    asks_for_a_folder = OmegaConf.is_missing(config[path.stem], "root")
    if asks_for_a_folder:
        config[path.stem].root = "somewhere"
    for benchmark in instantiate(config, _convert_="all").values():
        assert isinstance(benchmark.uses_regions, bool)
        assert has_own_data(benchmark) == (asks_for_a_folder or path.stem.startswith("wherebench"))


def test_each_protocol_has_a_name_of_its_own():
    own = [path for path in FILES if path.stem != "all"]
    configs = [OmegaConf.to_container(OmegaConf.load(path)) for path in own]
    protocols = [repr(sorted(own.items())) for config in configs for own in config.values()]
    assert len(set(protocols)) == len(protocols)
    names = [name for config in configs for name in config]
    assert len(set(names)) == len(names)


def test_all_are_those_of_files_of_their_own_and_the_default():
    given = evaluate.named(["model=open_clip:x", "out=y"])
    names = list(plain(compose_config("evaluate", given).benchmarks))
    assert (
        names == OmegaConf.to_container(OmegaConf.load(CONFIGS / "benchmarks/all.yaml"))["defaults"]
    )
    one = compose_config("evaluate", [*given, "benchmarks=[image_text_retrieval]"]).benchmarks
    assert list(one) == ["image_text_retrieval"]


def test_a_file_says_no_other_templates_than_the_protocol():
    config = OmegaConf.load(CONFIGS / "benchmarks/fgclip_top1.yaml")
    assert config.fgclip_top1.templates == FgclipTop1().templates
