"""docs/cli.md: the reference of the command line. What several commands share is said once."""
from cli_help import Command, Option

# Options that many commands have in the same words; each becomes a section of its own.
SHARED = {
    "Options of every command": ("--help", "--json", "--threads", "--seed"),
    "Data": ("--data", "--input", "--carry", "--frame", "--hop"),
}
INTRODUCTION = """# The command line

<!-- Made by scripts/check_cli_docs.sh --fix from the program's own help; edit the help, not this page. -->

`nibble COMMAND --help` says the same in the terminal. Results go to stdout, messages and progress to stderr. The exit code is 0
on success, 1 for bad input, 2 for wrong usage, 3 for a mistake in Nibble, 4 where nothing keeps to a goal, 130 after Ctrl-C. Tab completion for bash, zsh and fish and
a man page are installed with the program ([how](install.md)).

| command | what it does |
|---|---|
"""


def anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def code(text: str) -> str:
    return f"`{text}`"


def cell(option: Option) -> str:
    """The description, with its choices as lines."""
    lead, choices, tail = option.described_choices()
    if not any(description for _, description in choices):
        text = option.text
    else:
        listed = "<br>".join(f"{code(name)}: {description}" if description else code(name) for name, description in choices)
        text = f"{lead}{tail}<br>{listed}"
    if option.excludes:
        text += f" (not with {', '.join(map(code, option.excludes))})"
    if option.required:
        text = f"**Required.** {text}"
    return text.replace("|", "\\|")


def table(options: list[Option]) -> str:
    rows = ["| option | what it says |", "|---|---|"]
    for option in options:
        names = ", ".join(map(code, option.names))
        argument = f" {code(option.argument)}".replace("|", "\\|") if option.argument else ""
        rows.append(f"| {names}{argument} | {cell(option)} |")
    return "\n".join(rows) + "\n"


def key_of(option: Option) -> str:
    return option.names[-1]


def shared_sections(commands: list[Command]) -> dict[str, list[Option]]:
    """By title: the options of SHARED, and whole groups that three or more commands have in the same words."""
    sections: dict[str, list[Option]] = {}
    for title, keys in SHARED.items():
        fullest = max(commands, key=lambda command: sum(key_of(option) in keys for option in command.options))
        sections[title] = [option for option in fullest.options if key_of(option) in keys]
    for command in commands:
        for title, group in command.groups.items():
            if title != "Options" and sum(other.groups.get(title) == group for other in commands) >= 3:
                sections[title] = group
    return sections


def split_options(command: Command, shared: dict[str, list[Option]]) -> tuple[dict[str, list[Option]], list[str]]:
    """The command's own groups, and the titles of what it shares with others."""
    own, titles = {}, []
    options = list(command.options)
    for title, group in shared.items():
        if title in SHARED:
            present = [option for option in group if option in options]
            if title == "Data" and len(present) != len(group):
                continue
        else:
            present = group if command.groups.get(title) == group else []
        if present:
            titles.append(title)
            options = [option for option in options if option not in present]
    for title, group in command.groups.items():
        mine = [option for option in group if option in options]
        if mine:
            own[title] = mine
    return own, titles


def command_section(command: Command, shared: dict[str, list[Option]]) -> str:
    own, titles = split_options(command, shared)
    text = f"## nibble {command.name}\n\n{command.summary}.\n\n```text\n{command.usage}\n```\n\n"
    for title, options in ({"": command.positionals} if command.positionals else {}).items():
        text += table(options).replace("| option |", "| argument |") + "\n"
    for title, options in own.items():
        text += ("" if title == "Options" else f"**{title}**\n\n") + table(options) + "\n"
    links = ", ".join(f"[{short_title(title)}](#{anchor(short_title(title))})" for title in titles)
    text += f"And: {links}.\n\n" if links else ""
    return text + f"```text\n{command.example}\n```\n\n"


def short_title(title: str) -> str:
    """The heading without what stands in parentheses."""
    return title.partition(" (")[0]


def page(commands: list[Command]) -> str:
    shared = shared_sections(commands)
    text = INTRODUCTION
    for command in commands:
        text += f"| [`{command.name}`](#nibble-{command.name}) | {command.summary} |\n"
    text += "\n"
    for command in commands:
        text += command_section(command, shared)
    for title, options in shared.items():
        text += f"## {short_title(title)}\n\n"
        if " (" in title:
            text += f"{title.partition(' (')[2].rstrip(')').capitalize()}.\n\n"
        text += table(options) + "\n"
    return text.rstrip("\n") + "\n"
