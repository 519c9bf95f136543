"""All long fault suites, one after the other, and one table of what they found.

python -m tests.faults [SUITE ...]     # all; exit code 1 if any of them is wrong

A suite is a module of this folder that defines `run`, or a package whose `__main__` does; run by
itself it prints one line of JSON and exits 1 where something is wrong. All are run, whatever one of
them finds; their JSON lines are printed as they come.
"""

import ast
import json
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent
NOT_FIGURES = ("what", "seconds", "wrong")
WIDTH = 100


def sources():
    """The file that defines `run` of each suite here, by name and in order."""
    files = {path.stem: path for path in FOLDER.glob("*.py") if path.stem != "__main__"}
    files |= {path.parent.name: path for path in FOLDER.glob("*/__main__.py")}
    found = {}
    for name, path in sorted(files.items()):
        defined = {getattr(node, "name", None) for node in ast.parse(path.read_text()).body}
        if "run" in defined:
            found[name] = path
    return found


def run_suite(name, package="tests.faults"):
    """(its figures or None, what is wrong or "", seconds) of one suite in a process of its own."""
    began = time.perf_counter()
    command = [sys.executable, "-m", f"{package}.{name}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    seconds = round(time.perf_counter() - began)
    try:
        found = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        return None, f"no line of JSON, exit code {done.returncode}", seconds
    if done.returncode or found.get("wrong"):
        return found, str(found.get("wrong") or f"exit code {done.returncode}"), seconds
    return found, "", seconds


def figures(found):
    """`key value` of everything that is a number or a short word, as long as the line allows."""
    words = [
        f"{key} {json.dumps(value) if isinstance(value, dict) else value}"
        for key, value in (found or {}).items()
        if key not in NOT_FIGURES and not isinstance(value, list) and value != {}
    ]
    line = ", ".join(words)
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def table(rows):
    """Suite, seconds, verdict and figures, in Markdown; below it what is wrong, in full."""
    lines = ["| suite | s | verdict | figures |", "|---|---|---|---|"]
    for name, (found, wrong, seconds) in rows.items():
        verdict = "WRONG" if wrong else "well"
        lines.append(f"| {name} | {seconds} | {verdict} | {figures(found)} |")
    lines += [f"\n{name}: {wrong}" for name, (_, wrong, _) in rows.items() if wrong]
    return "\n".join(lines)


def main(names):
    known = sources()
    unknown = sorted({*names} - {*known})
    if unknown:
        return f"error: {unknown[0]} is no suite; choose from {', '.join(known)}"
    rows = {}
    for name in names or known:
        rows[name] = run_suite(name)
        print(json.dumps({"suite": name, "found": rows[name][0]}), flush=True)
    print(f"\n{table(rows)}")
    return int(any(wrong for _, wrong, _ in rows.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
