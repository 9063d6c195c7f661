"""Completion of the command in a shell: a script for bash, zsh or fish, made from the parser."""

import argparse
from collections.abc import Iterator

from etl.places import COMMAND

SHELLS = ("bash", "zsh", "fish")

_BASH = """\
_nightly_etl() {{
    local word=${{COMP_WORDS[COMP_CWORD]}}
    case ${{COMP_WORDS[COMP_CWORD-1]}} in
{cases}
        *) mapfile -t COMPREPLY < <(compgen -W "{words}" -- "$word") ;;
    esac
}}
complete -o default -F _nightly_etl {command}
"""


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return a script that completes the command's options and their choices.

    Args:
        parser: of the command.
        shell: one of `SHELLS`.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> _ = parser.add_argument("--env", choices=["dev", "prod"], help="which one")
        >>> print(completion_script(parser, "fish").splitlines()[-1])
        complete -c nightly-etl -l env -x -a 'dev prod' -d 'which one'
    """
    if shell == "fish":
        return "".join(f"{line}\n" for line in _fish(parser))
    script = _bash(parser)
    return script if shell == "bash" else f"autoload -U +X bashcompinit && bashcompinit\n{script}"


def _bash(parser: argparse.ArgumentParser) -> str:
    cases, words = [], []
    for action in parser._actions:  # there is no public list of them
        choices = " ".join(map(str, action.choices or ()))
        words.append(" ".join(action.option_strings) or choices)
        names = "|".join(action.option_strings)
        if names and choices:
            reply = f'mapfile -t COMPREPLY < <(compgen -W "{choices}" -- "$word")'
            cases.append(f"        {names}) {reply} ;;")
        elif names and action.nargs != 0:
            cases.append(f"        {names}) COMPREPLY=() ;;")  # the shell completes a file
    return _BASH.format(cases="\n".join(cases), words=" ".join(words), command=COMMAND)


def _fish(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:  # there is no public list of them
        line = f"complete -c {COMMAND}"
        for name in action.option_strings:
            line += f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}"
        if action.choices:
            line += f" -x -a '{' '.join(map(str, action.choices))}'"
        elif action.nargs != 0:
            line += " -r"
        yield f"{line} -d '{(action.help or '').replace(chr(39), '')}'"
