"""A page for each public header: its declarations, each with the comment in front of it.

The headers keep to one form, which is all that this reads: a paragraph of purpose on top, declarations at the left
margin of namespace nibble, `///` lines right before what they are about, `//` lines as headings or remarks.
"""
import re
from pathlib import Path

HEAD = re.compile(r"^(?:template <.*>\s*)?(?:(enum class|class|struct) (\w+)|.*?\b(operator\S+|\w+)\()")


def declarations(lines: list[str]) -> list[tuple[str, str]]:
    """(comment, code) of each declaration at the outer level."""
    found, comment, code, depth = [], [], [], 0
    for line in lines:
        stripped = line.strip()
        if not code and not stripped:
            comment = []
            continue
        if not code and stripped.startswith("//"):
            comment.append(stripped.lstrip("/").removeprefix(" "))
            continue
        code.append(line)
        bare = re.sub(r"//.*", "", line)
        depth += bare.count("{") + bare.count("(") - bare.count("}") - bare.count(")")
        if depth == 0 and bare.rstrip().endswith((";", "}")):
            found.append(("\n".join(comment), "\n".join(code)))
            comment, code = [], []
    return found


def title_of(code: str) -> str:
    flat = " ".join(code.split())
    match = HEAD.match(flat)
    if match:
        return match[2] or match[3]
    match = re.search(r"(\w+)(?:<[^>]*>)?\s*(?:=|;|\{)", flat)
    return match[1] if match else flat[:40]


def page(header: Path) -> str:
    lines = header.read_text().splitlines()
    purpose = []
    for line in lines:
        if not line.startswith("//"):
            break
        purpose.append(line[2:].strip())
    begin = next(i for i, line in enumerate(lines) if line.startswith("namespace nibble"))
    end = max(i for i, line in enumerate(lines) if line.startswith("}"))
    text = f"# nibble/{header.name}\n\n{escape(' '.join(purpose))}\n\n```cpp\n#include <nibble/{header.name}>\n```\n\n"
    previous = None
    for comment, code in declarations(lines[begin + 1 : end]):
        title = title_of(code)
        if title != previous or comment:
            text += f"## {escape(title)}\n\n" if title != previous else ""
            text += f"{escape(comment)}\n\n" if comment else ""
        text += f"```cpp\n{code}\n```\n\n"
        previous = title
    return text


def escape(text: str) -> str:
    for character in "\\`*_[]<>#":
        text = text.replace(character, {"<": "&lt;", ">": "&gt;"}.get(character, "\\" + character))
    return text
