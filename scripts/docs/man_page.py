"""nibble.1, the man page, in the macros of man(7)."""
from cli_help import Command, Option

EXIT_STATUS = {
    "0": "Success.",
    "1": "Bad input: a file, a value, or something that is not supported. One sentence on stderr says what and where.",
    "2": "Wrong usage.",
    "3": "A mistake in Nibble. Please report it.",
    "130": "Stopped with Ctrl-C.",
}
ENVIRONMENT = {
    "NIBBLE_ISA": "The integer kernels to use: reference, portable, avx2 or avx512_vnni. All give the same bits.",
    "NIBBLE_CHECK_PASSES": "1: check the graph after every rewrite.",
}


def escape(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return "\\&" + text if text.startswith(".") else text


def entry(option: Option) -> str:
    names = ", ".join(f"\\fB{escape(name)}\\fR" for name in option.names)
    argument = f" \\fI{escape(option.argument)}\\fR" if option.argument else ""
    text = option.text + (f" Not with {', '.join(option.excludes)}." if option.excludes else "")
    text += " (required)" if option.required else ""
    return f".TP\n{names}{argument}\n{escape(text.strip())}\n"


def command_section(command: Command) -> str:
    text = f".SS nibble {escape(command.name)}\n{escape(command.summary)}.\n.PP\n.B {escape(command.usage)}\n"
    text += "".join(map(entry, command.positionals))
    for title, options in command.groups.items():
        if title != "Options":
            text += f".PP\n{escape(title)}:\n"
        text += "".join(map(entry, options))
    return text + f".PP\nExample:\n.PP\n.nf\n.RS\n{escape(command.example)}\n.RE\n.fi\n"


def page(commands: list[Command], version: str) -> str:
    text = '.\\" Made by scripts/check_cli_docs.sh --fix from the help of the program.\n'
    text += f'.TH NIBBLE 1 "" "nibble {version}" "User Commands"\n'
    text += ".SH NAME\nnibble \\- makes trained neural networks small and fast\n"
    text += ".SH SYNOPSIS\n.B nibble\n.I COMMAND\n[\\fIOPTIONS\\fR]\n"
    text += ".SH DESCRIPTION\nReads ONNX, analyses ranges, quantizes weights and activations to 8, 4 or fewer bits, trains with\n"
    text += "quantization in the loop, runs the result with integer kernels, and writes ONNX that other runtimes run too.\n"
    text += ".SH COMMANDS\n" + "".join(map(command_section, commands))
    for title, rows in (("EXIT STATUS", EXIT_STATUS), ("ENVIRONMENT", ENVIRONMENT)):
        text += f".SH {title}\n" + "".join(f".TP\n.B {key}\n{escape(value)}\n" for key, value in rows.items())
    return text
