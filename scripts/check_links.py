#!/usr/bin/env python3
"""Every relative link, picture and anchor in every document of the repository leads somewhere. Usage: check_links.py"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1`*$", re.M | re.S)
CODE = re.compile(r"(`+)[^\n]+?\1")
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=\"([^\"]+)\"")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.M)
NAMED = re.compile(r"<[^>]*\b(?:id|name)=\"([^\"]+)\"")


def anchors_of(path: Path) -> set[str]:
    """What `#...` may name in a document: its headings, as code hosts and MkDocs name them, and elements with an id."""
    text = FENCE.sub("", path.read_text())
    found: set[str] = set(NAMED.findall(text))
    for heading in HEADING.findall(text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", plain.replace("`", "").lower()).strip().replace(" ", "-")
        number = 0
        while (candidate := f"{name}-{number}" if number else name) in found:
            number += 1
        found.add(candidate)
    return found


def documents() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        names = [ROOT / name for name in listed.stdout.split("\n") if name]
        return sorted({path for path in names if path.exists()})
    return sorted(path for path in ROOT.rglob("*.md") if not re.match(r"\.|build", str(path.relative_to(ROOT))))


def mistakes_in(document: Path) -> list[str]:
    text = FENCE.sub(lambda match: "\n" * match[0].count("\n"), document.read_text())
    text = CODE.sub(lambda match: "" if "](" in match[0] else match[0], text)
    found = []
    for match in LINK.finditer(text):
        target = match[1] or match[2]
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        where = f"{document.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}"
        if not file.exists():
            found.append(f"{where}: '{target}' leads nowhere")
        elif ROOT not in file.parents and file != ROOT:
            found.append(f"{where}: '{target}' leads out of the repository")
        elif anchor and file.suffix == ".md" and anchor not in anchors_of(file):
            found.append(f"{where}: {file.name} has no heading '#{anchor}'")
    return found


def main() -> int:
    found = [mistake for document in documents() for mistake in mistakes_in(document)]
    print("\n".join(found), end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
