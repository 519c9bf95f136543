"""Prints what makes a shell complete commands, keys, files of configs/ and flags.

eval "$(cloc-pretrain completion bash)"     # in ~/.bashrc
eval "$(cloc-pretrain completion zsh)"      # in ~/.zshrc, behind compinit
cloc-pretrain completion fish | source      # in ~/.config/fish/config.fish
"""

from collections.abc import Sequence
from importlib import import_module

from cloc.cli.config.compose import composed
from cloc.cli.config.explain import keys_of
from cloc.cli.config.folders import is_group, options, take_config_dir
from cloc.cli.config.help import groups_of
from cloc.cli.config.keyless import answer
from cloc.errors import UserError

SHELLS = {
    # bash takes = for the end of a word: what stands before it must not be given again
    "bash": """_cloc_pretrain() {
    local line="${COMP_LINE:0:COMP_POINT}"
    local current="${line##*[[:space:]]}"
    mapfile -t COMPREPLY < <(cloc-pretrain completion words "${line#*[[:space:]]}" 2>/dev/null)
    if [[ "$current" == *=* ]]; then COMPREPLY=("${COMPREPLY[@]#"${current%=*}="}"); fi
    if [[ "${COMPREPLY[0]}" == *= ]]; then compopt -o nospace; fi
}
complete -o default -F _cloc_pretrain cloc-pretrain""",
    "zsh": """_cloc_pretrain() {
    local -a found
    found=("${(@f)$(cloc-pretrain completion words "${(j: :)words[2,CURRENT]}" 2>/dev/null)}")
    found=(${found:#})
    if (( $#found )); then compadd -Q -S '' -- $found; else _files; fi
}
compdef _cloc_pretrain cloc-pretrain""",
    "fish": """function __cloc_pretrain
    set -l words (commandline -opc)[2..] (commandline -ct)
    set -l found (cloc-pretrain completion words (string join ' ' -- $words) 2>/dev/null)
    set -l value (string split -m1 = -- (commandline -ct))
    if test -n "$found"
        printf '%s\\n' $found
    else if set -q value[2]
        for path in (__fish_complete_path $value[2])
            echo $value[1]=$path
        end
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c cloc-pretrain -f -a '(__cloc_pretrain)'""",
}
FLAGS = ("--help", "--cfg", "--config-dir")
KEYS = {"doctor": "train", "bench": "train", "show-batch": "show_batch"}  # whose keys they take
ALONE = ("demo", "init", "completion", "region-demo", "compare", "compare-runs", "compare-regions")


def main(arguments: Sequence[str]) -> None:
    """`words LINE` is what the shells ask: LINE is what stands behind the command's own name."""
    if len(arguments) == 2 and arguments[0] == "words":
        print("\n".join(candidates(arguments[1])))
    elif len(arguments) == 1 and arguments[0] in SHELLS:
        print(SHELLS[arguments[0]])
    else:
        raise UserError(f"write cloc-pretrain completion {'|'.join(SHELLS)}")


def candidates(line: str) -> list[str]:
    """All words that may stand where the last word of `line` was begun."""
    commands = import_module("cloc.cli.main").COMMANDS
    words = line.split(" ")
    name, given, begun = words[0], words[1:-1], words[-1]
    if len(words) == 1:
        found = list(commands)
    elif name not in commands:
        found = []
    elif begun.startswith("-") or name in ALONE:
        found = [] if name in ALONE and not begun else list(FLAGS)
    else:
        found = _keys(KEYS.get(name, name.replace("-", "_")), [w for w in given if w], begun)
    return [word for word in found if word.startswith(begun)]


def _keys(name: str, given: list[str], begun: str) -> list[str]:
    """Keys as KEY=, a dotted part at a time; behind KEY= of a group its files."""
    words = [word for word in take_config_dir(given) if "=" in word]
    key = begun.partition("=")[0]
    if "=" in begun:
        return [f"{key}={option}" for option in options(key)] if is_group(key) else []
    try:
        cfg = composed(name, words)[1]
    except UserError:  # what is typed so far is not whole yet
        cfg = composed(name, [])[1]
    depth = begun.count(".") + 1
    found = {".".join(k.split(".")[:depth]): k.count(".") < depth for k in keys_of(cfg)}
    groups = groups_of(name, {})
    return sorted(
        {*(f"{k}=" if ends else f"{k}." for k, ends in found.items()), *(f"{g}=" for g in groups)}
    )


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    answer(main, __doc__, arguments)
