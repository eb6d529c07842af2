"""A page for each module of the Python package that has public names: signatures and docstrings, read without importing it.

The docstrings have Google's sections (Args, Returns, Raises, Attributes, ...).
"""
import ast
import functools
import re
from pathlib import Path

# What stands for the options in a docstring; the package fills them in from the program's table when it is imported.
OPTIONS = "\nthe keys of [nibble.json](../file-format.md#nibblejson-settings-of-quantize-and-qat) and, of training, the flags of " \
    "[nibble qat](../cli.md#nibble-qat) with `_` for `-`; `help()` lists them."
SECTION = re.compile(r"^(Args|Arguments|Attributes|Returns|Yields|Raises|Example|Examples|Note|Notes):$")


def public_names(package: Path) -> dict[str, list[str]]:
    """By module: the names that `nibble/__init__.py` takes from it, in its order; those that it defines itself come first."""
    tree = ast.parse((package / "__init__.py").read_text())
    names = {"__init__": [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            names[node.module] = [alias.name for alias in node.names if not alias.name.startswith("_")]
    return {module: found for module, found in names.items() if found}


def prose(docstring: str) -> str:
    """Markdown of a docstring: its sections become lists of names."""
    out, section = [], None
    for line in docstring.replace("    {options}", OPTIONS).splitlines():
        if match := SECTION.match(line):
            section = match[1]
            out += ["", f"**{section}**", ""]
        elif section and line.strip():
            if not line.startswith("    "):
                section = None
                out += ["", line]
            elif section.startswith(("Example", "Note", "Return", "Yield")):
                out.append(line if section.startswith("Example") else line[4:])
            elif entry := re.match(r"^    (\*{0,2}[\w., ]+): (.*)", line):
                names = ", ".join(f"`{name.strip()}`" for name in entry[1].split(","))
                out.append(f"- {names}: {entry[2]}")
            else:
                out.append("  " + line.strip())
        else:
            out.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip()


def signature(node: ast.FunctionDef, name: str, method: bool) -> str:
    arguments = node.args
    if method and arguments.args:
        arguments = ast.parse(f"def f({ast.unparse(arguments)}): pass").body[0].args
        arguments.args.pop(0)
    parts = ast.unparse(arguments)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    text = f"{name}({parts}){returns}"
    if len(text) <= 88:
        return text
    return f"{name}(\n    " + ",\n    ".join(split_arguments(parts)) + f",\n){returns}"


def split_arguments(text: str) -> list[str]:
    parts, depth, begin = [], 0, 0
    for position, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append(text[begin:position].strip())
            begin = position + 1
    return [*parts, text[begin:].strip()]


def is_property(node: ast.FunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def member(node: ast.FunctionDef, owner: str) -> str:
    docstring = ast.get_docstring(node)
    if is_property(node):
        kind = f": {ast.unparse(node.returns)}" if node.returns else ""
        return f"### {owner}.{node.name}\n\n```python\n{node.name}{kind}\n```\n\n{prose(docstring or '')}\n\n"
    return f"### {owner}.{node.name}\n\n```python\n{signature(node, node.name, True)}\n```\n\n{prose(docstring or '')}\n\n"


def definition(node: ast.FunctionDef | ast.ClassDef) -> str:
    text = f"## {node.name}\n\n"
    if isinstance(node, ast.FunctionDef):
        return text + f"```python\n{signature(node, 'nibble.' + node.name, False)}\n```\n\n{prose(ast.get_docstring(node) or '')}\n\n"
    bases = [base for base in map(ast.unparse, node.bases) if base != "object"]
    constructor = next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None)
    head = signature(constructor, f"nibble.{node.name}", True) if constructor else f"class nibble.{node.name}" + (f"({', '.join(bases)})" if bases else "")
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and not ast.unparse(item.target).startswith("_")]
    head += "".join(f"\n    {ast.unparse(item.target)}: {ast.unparse(item.annotation)}" for item in fields)
    text += f"```python\n{head}\n```\n\n{prose(ast.get_docstring(node) or '')}\n\n"
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and not item.name.startswith("_"):
            text += member(item, node.name)
    return text


def page_of(module: str) -> str:
    return f"python/{'nibble' if module == '__init__' else module}.md"


@functools.cache
def pages(package: Path) -> dict[str, str]:
    """By page: its Markdown. Nothing where there is no package."""
    if not (package / "__init__.py").exists():
        return {}
    made = {}
    for module, names in public_names(package).items():
        tree = ast.parse((package / f"{module}.py").read_text())
        found = {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        title = "nibble" if module == "__init__" else f"nibble.{module}"
        text = f"# {title}\n\n{prose(ast.get_docstring(tree) or '')}\n\n"
        text += "".join(definition(found[name]) for name in names if name in found)
        made[page_of(module)] = text
    return made
