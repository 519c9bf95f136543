"""What commands leave in a folder for later ones, read again: it may be cut, or a stranger's."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cloc.data.samples.text import lines
from cloc.errors import UserError, one_line

RESTORE = "restore it, or move it away and the command goes on without it"


def read_mapping(path: Path, *, cure: str = RESTORE, needs: Sequence[str] = ()) -> dict[str, Any]:
    """Of a JSON or YAML file; `needs` leads, key by key, to what must be there. A `UserError` names
    the file and the `cure`."""
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else _yaml(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}); {cure}") from None
    inner = found if isinstance(found, dict) else None
    for key in needs:
        inner = inner.get(key) if isinstance(inner, dict) else None
    if inner is None:
        why = (
            f"it has no {'.'.join(needs)}"
            if isinstance(found, dict)
            else "it holds no keys and values"
        )
        raise UserError(f"{path} is damaged, or of another program ({why}); {cure}")
    return dict(found)


def _yaml(text: str) -> Any:
    import yaml  # of a dependency; JSON is all that most files need

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(one_line(error)) from None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Of `metrics.jsonl`: one JSON object with a whole number "step" per line. A last line cut off
    by a crash is left out; any other bad line is a `UserError`."""
    found, rows = [], lines(path.read_text(encoding="utf-8", errors="replace"))
    for i, line in enumerate(rows):
        try:
            row = json.loads(line)
            found.append({**row, "step": int(row["step"])})
        except (ValueError, KeyError, TypeError, RecursionError):
            if i < len(rows) - 1:
                raise UserError(
                    f'{path}: line {i + 1} is not a JSON object with a "step"; remove that line'
                ) from None
    return found
