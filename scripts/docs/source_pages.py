"""Pages that show a file, or list the files of a folder, for the links that lead to them."""
import posixpath
import subprocess
from pathlib import Path

import notebook_page

LANGUAGES = {".py": "python", ".cpp": "cpp", ".h": "cpp", ".sh": "sh", ".cmake": "cmake", ".json": "json", ".yml": "yaml", ".md": "markdown"}


def page_of(root: Path, path: str) -> str:
    """Where a file or folder of the repository is shown."""
    if path.endswith(".ipynb"):
        return f"{posixpath.splitext(posixpath.basename(path))[0].lower().replace('_', '-')}.md"
    return f"source/{path}.md" if (root / path).is_file() else f"source/{path}/index.md"


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
    if path.endswith(".ipynb"):
        return notebook_page.page(root / path)
    text = text_of(root / path)
    if text is None:
        return f"# {path}\n\n{(root / path).stat().st_size:,} bytes of data.\n"
    fence = "`````"
    language = LANGUAGES.get(posixpath.splitext(path)[1], "sh" if text.startswith("#!") else "text")
    return f"# {path}\n\n{fence}{language}\n{text}\n{fence}\n"


def folder_page(root: Path, folder: str, place) -> str:
    lines = [f"# {folder}/\n"]
    for path in files_below(root, folder):
        relative = posixpath.relpath(path, folder)
        lines.append(f"- [{relative}]({posixpath.relpath(place(path), f'source/{folder}')})")
    return "\n".join(lines) + "\n"


def pages(root: Path, wanted: set[str], place) -> dict[str, str]:
    """By file or folder: its page. A folder brings its files along. `place` says at which page a file is shown."""
    made = {}
    for path in sorted(wanted):
        if (root / path).is_dir():
            made[path] = folder_page(root, path, place)
        for file in files_below(root, path) if (root / path).is_dir() else [path]:
            made[file] = file_page(root, file)
    return made
