"""Pages that show notebooks: text, code, and what it printed and drew when it was executed. Formulas become MathML."""
import html
import json
import re
from pathlib import Path

import latex2mathml.converter

FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\\$\w])\$([^\s$](?:[^$\n]*[^\s$])?)\$(?!\w)", re.S)
CODE = re.compile(r"(`{3,}.*?`{3,}|`[^`\n]+`)", re.S)


def mathml(match: re.Match) -> str:
    formula = re.sub(r"\\mathrm\{(\w\w+)\}", r"\\text{\1}", match[1] or match[2])
    if match[1]:
        return f'<div class="formula">{latex2mathml.converter.convert(formula, display="block")}</div>'
    return f"<span>{latex2mathml.converter.convert(formula)}</span>"  # a line that begins with <math> would be a block


def with_formulas(text: str) -> str:
    """The text with its formulas converted, but not in code."""
    parts = CODE.split(text)
    parts[::2] = [FORMULA.sub(mathml, part) for part in parts[::2]]
    return "".join(parts)


def demoted(parts: list[str]) -> list[str]:
    """One title for the page: what other cells of text have as titles become headings below it."""
    titles = [index for index, part in enumerate(parts) if re.search(r"^# ", CODE.sub("", part), re.M)]
    for index in range(titles[0] + 1 if titles else 0, len(parts)):
        pieces = CODE.split(parts[index])
        pieces[::2] = [re.sub(r"^(#{1,5}) ", r"#\1 ", piece, flags=re.M) for piece in pieces[::2]]
        parts[index] = "".join(pieces)
    return parts


def joined(value) -> str:
    return value if isinstance(value, str) else "".join(value)


def fenced(text: str, language: str) -> str:
    return f"````{language}\n{text.rstrip()}\n````\n"


def shown(output: dict) -> str:
    if output["output_type"] == "stream":
        return fenced(joined(output["text"]), "text")
    data = output.get("data", {})
    if "image/svg+xml" in data:
        return f"<div>{joined(data['image/svg+xml'])}</div>\n"
    if "image/png" in data:
        caption = html.escape(joined(data.get("text/plain", "picture")), quote=True)
        return f'<p><img alt="{caption}" src="data:image/png;base64,{joined(data["image/png"]).strip()}"></p>\n'
    if "text/html" in data:
        # Blank lines would end the block of HTML.
        return '<div class="output">' + re.sub(r"\n\s*\n", "\n", joined(data["text/html"])) + "</div>\n"
    if "text/markdown" in data:
        return with_formulas(joined(data["text/markdown"])) + "\n"
    return fenced(joined(data["text/plain"]), "text") if "text/plain" in data else ""


def page(path: Path) -> str:
    parts = []
    for cell in json.loads(path.read_text())["cells"]:
        source = joined(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(with_formulas(source).replace("<details>", '<details markdown="1">'))
            continue
        if cell["cell_type"] != "code" or not source.strip():
            continue
        code = fenced(source, "python")
        if cell["metadata"].get("jupyter", {}).get("source_hidden"):
            code = f'<details markdown="1"><summary>code</summary>\n\n{code}\n</details>\n'
        parts.append(code + "\n" + "\n".join(filter(None, map(shown, cell.get("outputs", [])))))
    return "\n\n".join(demoted(parts)) + "\n"
