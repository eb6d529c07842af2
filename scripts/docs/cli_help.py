"""What the program's help says, as data: every command, its groups of options, and the choices of each option.

The pages, the man page and the shell completions are made from this alone (generate_cli.py), so they say what
`nibble COMMAND --help` says.
"""
import dataclasses
import re
import subprocess

# Where the descriptions begin, in columns. The program does not wrap lines, however wide the terminal is.
DESCRIPTION_COLUMN = 30
MASK = "\0"
CHOICE = re.compile(r"[\w.+-]+")


@dataclasses.dataclass(frozen=True)
class Option:
    """One option, or one positional argument: its names are then its one upper-case word."""

    names: tuple[str, ...]
    argument: str  # "NAME", "HxW", ...; empty for a switch
    required: bool
    repeats: bool  # it takes any number of words
    excludes: tuple[str, ...]
    text: str

    @property
    def choices(self) -> list[str]:
        """The words that the description lists behind its last colon, if it lists any."""
        if self.argument != "NAME":
            return []
        text = without_parentheses(self.text.split("; default ")[0])
        words = re.split(r", | or ", text.rpartition(": ")[2])
        words = [word.strip() for word in words]
        return words if len(words) > 0 and ": " in text and all(map(CHOICE.fullmatch, words)) else []

    def described_choices(self) -> tuple[str, list[tuple[str, str]], str]:
        """The description in three parts: what stands before the choices, each choice with what the parentheses behind
        it say (or nothing), and what follows them ("; default 8")."""
        if not self.choices:
            return self.text, [], ""
        outside = mask_parentheses(self.text)
        end = len(outside.partition("; default ")[0])
        begin = outside.rindex(": ", 0, end) + 2
        found, position = [], begin
        for choice in self.choices:
            position = outside.index(choice, position)
            following = self.text[position + len(choice) : end]
            description = ""
            if following.startswith(" ("):
                description = following[2 : closing(following, 1)]
            found.append((choice, description))
            position += len(choice)
        return self.text[: begin - 2], found, self.text[end:]


@dataclasses.dataclass
class Command:
    name: str
    summary: str
    usage: str
    positionals: list[Option]
    groups: dict[str, list[Option]]  # by heading; "Options" holds those without one of their own
    example: str

    @property
    def options(self) -> list[Option]:
        return [option for group in self.groups.values() for option in group]


def closing(text: str, opening: int) -> int:
    """Where the parenthesis at `opening` closes."""
    depth = 0
    for position in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position
    return len(text)


def mask_parentheses(text: str) -> str:
    """The text with MASK for all that stands in parentheses."""
    masked, position = text, 0
    while (position := masked.find("(", position)) >= 0:
        end = closing(masked, position)
        masked = masked[:position] + MASK * (end + 1 - position) + masked[end + 1 :]
    return masked


def without_parentheses(text: str) -> str:
    return mask_parentheses(text).replace(MASK, "")


def read_option(names: str, text: str) -> Option:
    required = "(required)" in names
    names = names.replace("(required)", "")
    names, _, excludes = names.partition("Excludes:")
    words = names.split()
    repeats = "..." in words
    words = [word for word in words if word != "..."]
    return Option(tuple(words[0].split(",")), " ".join(words[1:]), required, repeats, tuple(excludes.split()), text)


def read_options(lines: list[str]) -> list[Option]:
    """Lines of a section; a description stands beside the names, or below them where they are long."""
    entries: list[list[str]] = []
    for line in lines:
        names, text = line[:DESCRIPTION_COLUMN], line[DESCRIPTION_COLUMN:]
        if len(line) > DESCRIPTION_COLUMN and line[DESCRIPTION_COLUMN - 1] != " ":
            names, text = line, ""  # long names have a line of their own
        if names.strip():
            entries.append([names.strip(), text.strip()])
        else:
            entries[-1][1] = f"{entries[-1][1]} {text.strip()}".strip()
    return [read_option(*entry) for entry in entries]


def read_command(name: str, text: str) -> Command:
    summary, _, rest = text.partition("\n")
    usage = re.search(r"^Usage: (.*)$", rest, re.M)[1]
    sections: dict[str, list[str]] = {}
    for line in rest.splitlines():
        if line and not line.startswith((" ", "Usage:")):
            sections[line.rstrip(":")] = current = []
        elif line.startswith(" "):
            current.append(line)
    example = "\n".join(line.strip() for line in sections.pop("Example"))
    positionals = read_options(sections.pop("Positionals", []))
    return Command(name, summary, usage, positionals, {key: read_options(lines) for key, lines in sections.items()}, example)


def read_program(program: str) -> list[Command]:
    """All commands of the program, in the order of its help."""

    def help_of(*words: str) -> str:
        return subprocess.run([program, *words, "--help"], check=True, capture_output=True, text=True).stdout

    overview = help_of()
    names = re.findall(r"^  ([a-z][\w-]*) {2,}", overview.partition("ommands:\n")[2], re.M)
    return [read_command(name, help_of(name)) for name in names]


def version_of(program: str) -> str:
    text = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    return text.split()[1]
