"""Tab completion for bash, zsh and fish."""
import re

from cli_help import Command, Option, mask_parentheses

HEADER = "# Made by scripts/check_cli_docs.sh --fix from the help of the program.\n"


def words_of(option: Option) -> list[str]:
    """What may follow the option, as far as it is known; data sets may also be files."""
    return option.choices or (["digits"] if option.argument == "DATA" else [])


def is_file(option: Option) -> bool:
    return option.argument in ("FILE", "DATA", "TEXT", "PROGRAM")


def bash(commands: list[Command]) -> str:
    text = HEADER + "_nibble() {\n  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
    text += "  COMPREPLY=()\n  if ((COMP_CWORD == 1)); then\n"
    text += f"    COMPREPLY=($(compgen -W '{' '.join(c.name for c in commands)} --help --version' -- \"$word\"))\n"
    text += "    return\n  fi\n  case \"${COMP_WORDS[1]} $before\" in\n"
    for command in commands:
        for option in command.options:
            if not option.argument:
                continue
            pattern = "|".join(f"'{command.name} {name}'" for name in option.names)
            fill = []
            if words := words_of(option):
                fill.append(f"$(compgen -W '{' '.join(words)}' -- \"$word\")")
            action = f"COMPREPLY=({' '.join(fill)})" if fill else ":"
            if is_file(option):
                action += "; compopt -o default" if not fill else '; COMPREPLY+=($(compgen -f -- "$word")); compopt -o filenames'
            text += f"    {pattern}) {action}; return ;;\n"
    text += "  esac\n  case ${COMP_WORDS[1]} in\n"
    for command in commands:
        flags = " ".join(name for option in command.options for name in option.names)
        text += f"    {command.name}) [[ $word == -* ]] && COMPREPLY=($(compgen -W '{flags}' -- \"$word\")) ;;\n"
    text += "  esac\n  [[ $word == -* ]] || compopt -o default\n}\ncomplete -F _nibble nibble\n"
    return text


def zsh_text(text: str) -> str:
    """Brackets and colons end a description, and quotes the argument."""
    for character in "\\[]:":
        text = text.replace(character, "\\" + character)
    return text.replace("'", "'\\''")


def zsh_action(option: Option) -> str:
    words = words_of(option)
    if words and is_file(option):
        return f"{{ compadd {' '.join(words)}; _files }}"
    if words:
        return f"({' '.join(words)})"
    return "_files" if is_file(option) else " "


def zsh_option(option: Option) -> list[str]:
    argument = f":{zsh_text(option.argument)}:{zsh_action(option)}" if option.argument else ""
    return [f"'*{name}[{zsh_text(short(option.text))}]{argument}'" for name in option.names]


def zsh(commands: list[Command]) -> str:
    text = "#compdef nibble\n" + HEADER + "_nibble() {\n  local -a commands\n  commands=(\n"
    text += "".join(f"    '{command.name}:{zsh_text(command.summary)}'\n" for command in commands)
    text += "  )\n  if ((CURRENT == 2)); then\n    _describe command commands\n    return\n  fi\n  case $words[2] in\n"
    for command in commands:
        lines = [line for option in command.options for line in zsh_option(option)] + ["'*:file:_files'"]
        text += f"    {command.name})\n      shift words\n      ((CURRENT--))\n      _arguments \\\n        "
        text += " \\\n        ".join(lines) + "\n      ;;\n"
    return text + "  esac\n}\n_nibble \"$@\"\n"


def short(text: str) -> str:
    """The first phrase of a description."""
    end = re.search(r": |; |$", mask_parentheses(text)).start()
    return text[:end]


def fish(commands: list[Command]) -> str:
    def quoted(value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    text = HEADER
    for command in commands:
        text += f"complete -c nibble -f -n __fish_use_subcommand -a {command.name} -d {quoted(command.summary)}\n"
    text += "complete -c nibble -f -n __fish_use_subcommand -l help -s h -d 'Print the help'\n"
    text += "complete -c nibble -f -n __fish_use_subcommand -l version -d 'Print the version'\n"
    for command in commands:
        seen = quoted(f"__fish_seen_subcommand_from {command.name}")
        for option in command.options:
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            value = ""
            if option.argument:
                value = " -r" if is_file(option) else " -x"
                if words := words_of(option):
                    value += f" -a {quoted(' '.join(words))}"
            text += f"complete -c nibble -n {seen} {names}{value} -d {quoted(short(option.text))}\n"
    return text
