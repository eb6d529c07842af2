"""Pages that show a file, or list the files of a folder, for the links that lead to them."""
import posixpath
import subprocess
from pathlib import Path

LANGUAGES = {".py": "python", ".cpp": "cpp", ".h": "cpp", ".sh": "sh", ".cmake": "cmake", ".json": "json", ".yml": "yaml", ".md": "markdown"}


def files_below(root: Path, folder: str) -> list[str]:
    """The files of the repository in a folder: those that git keeps, or all where there is no git."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", folder], cwd=root, capture_output=True, text=True)
    if listed.returncode == 0:
        return sorted(set(listed.stdout.split("\n")) - {""})
    return sorted(str(path.relative_to(root)) for path in (root / folder).rglob("*") if path.is_file())


def text_of(path: Path) -> str | None:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return None


def file_page(root: Path, path: str) -> str:
    text = text_of(root / path)
    if text is None:
        return f"# {path}\n\n{(root / path).stat().st_size:,} bytes of data.\n"
    fence = "`````"
    language = LANGUAGES.get(posixpath.splitext(path)[1], "sh" if text.startswith("#!") else "text")
    return f"# {path}\n\n{fence}{language}\n{text}\n{fence}\n"


def folder_page(root: Path, folder: str) -> str:
    lines = [f"# {folder}/\n"]
    for path in files_below(root, folder):
        relative = posixpath.relpath(path, folder)
        lines.append(f"- [{relative}]({relative}.md)")
    return "\n".join(lines) + "\n"


def pages(root: Path, wanted: set[str]) -> dict[str, str]:
    """By page: its Markdown. A folder brings the pages of its files along."""
    made = {}
    for path in sorted(wanted):
        if (root / path).is_dir():
            made[f"source/{path}/index.md"] = folder_page(root, path)
            for file in files_below(root, path):
                made[f"source/{file}.md"] = file_page(root, file)
        else:
            made[f"source/{path}.md"] = file_page(root, path)
    return made
