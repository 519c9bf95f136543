"""JSON and YAML of other people: of a key that stands twice in one object none wins silently."""

import json
from collections.abc import Callable
from typing import Any

import yaml

from cloc.data.samples.json_objects import without_repeats
from cloc.data.samples.validate import shown
from cloc.errors import one_line


class Malformed(ValueError):
    """One line that says what is wrong."""


def parse_json(text: str | bytes, *, keep: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Bytes are UTF-8, with or without a mark. `keep` says what is held of an object, such as the
    fields that are needed. Anything wrong is `Malformed`."""

    def hook(pairs: list[tuple[str, Any]]) -> Any:
        found = without_repeats(pairs)
        return found if keep is None else keep(found)

    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        return json.loads(text, object_pairs_hook=hook)
    except (ValueError, RecursionError) as error:
        raise Malformed(one_line(error)) from None


def decoder() -> json.JSONDecoder:
    """The same, for values that stand one behind the other in a long text."""
    return json.JSONDecoder(object_pairs_hook=without_repeats)


def parse_yaml(text: str) -> Any:
    """Plain values only. Anything wrong is `Malformed`."""
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise Malformed(one_line(error)) from None


class _Loader(yaml.SafeLoader):
    """`yaml.safe_load`, but no key twice in a mapping: nor 1 and 0x1, nor 1 and true, which Python
    takes for equal. Keys that come along by `<<` may be there once more."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: dict[Any, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                continue
            name = self.construct_object(key)
            if name in seen:
                both = " and ".join(_shown(x) for x in (seen[name][1], value))
                keys = " and ".join(dict.fromkeys((seen[name][0].value, key.value)))
                what = f"the key {shown(keys)} occurs twice in one mapping, as {both}: keep one"
                raise Malformed(what)
            seen[name] = key, value
        return node


def _shown(node: yaml.Node) -> str:
    return shown(node.value) if isinstance(node, yaml.ScalarNode) else f"a {node.id}"
