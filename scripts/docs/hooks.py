"""What MkDocs does besides: README, CONTRIBUTING and the like become pages, and so does every source that a page links to.

The documents are written for readers of the repository: their links are relative paths between files of it. Here each
such link is followed: to the page of that document, or to a page that shows the file or lists the folder. So a link
works in both places, and one that leads nowhere stops the build.
"""
import posixpath
import re
import sys
from pathlib import Path

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).resolve().parent))
import cpp_reference  # noqa: E402
import python_reference  # noqa: E402
import source_pages  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python/nibble"
# Documents outside of docs/, by their pages' names.
DOCUMENTS = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r"(\]\(|(?:src|href|srcset)=\")([^)\s\"#]+)?(#[^)\s\"]*)?(?=[)\"])")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)


def page_of(path: str) -> str | None:
    """The page of a file of the repository, if it is a document."""
    if path in DOCUMENTS:
        return DOCUMENTS[path]
    return path.removeprefix("docs/") if path.startswith("docs/") and not path.endswith((".cpp", ".1")) else None


def source_page(path: str) -> str:
    """Where a file or folder is shown."""
    if page := page_of(path):
        return page
    if path.startswith("include/nibble/") and path.endswith(".h"):
        return f"cpp/{Path(path).stem}.md"
    if path.startswith("python/nibble/") and (page := python_reference.page_of(Path(path).stem)) in python_reference.pages(PACKAGE):
        return page
    return source_pages.page_of(ROOT, path)


def has_page(path: str) -> bool:
    """It is a document, or the references have a page about it."""
    return page_of(path) is not None or source_page(path).startswith(("cpp/", "python/"))


def rewritten(text: str, document: str, wanted: set[str]) -> str:
    """The text with links between files made links between pages. Sources linked to are added to `wanted`."""
    here = page_of(document) or source_page(document)

    def link(match: re.Match) -> str:
        before, target, anchor = match[1], match[2] or "", match[3] or ""
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(document), target))
        page = page_of(path)
        if page is None and (ROOT / path).exists() and not path.startswith(".."):
            wanted.add(path)
            page = source_page(path)
        if page is None:
            return match[0]  # MkDocs says that it leads nowhere
        return before + posixpath.relpath(page, posixpath.dirname(here) or ".") + anchor

    kept, position = [], 0
    for fence in FENCE.finditer(text):
        kept += [LINK.sub(link, text[position : fence.start()]), fence[0]]
        position = fence.end()
    return "".join(kept) + LINK.sub(link, text[position:])


def shown_sources(wanted: set[str]) -> dict[str, str]:
    """By page: what shows the sources that documents link to, and those that notebooks among them link to in turn."""
    made: dict[str, str] = {}
    while wanted:
        linked: set[str] = set()
        for path, content in source_pages.pages(ROOT, wanted, source_page).items():
            if not has_page(path):
                made[source_page(path)] = rewritten(content, path, linked) if path.endswith(".ipynb") else content
        wanted = {path for path in linked if source_page(path) not in made and not has_page(path)}
    return made


def on_files(files: Files, config, **_) -> Files:
    for document, page in DOCUMENTS.items():
        if (ROOT / document).exists():
            files.append(File.generated(config, page, abs_src_path=str(ROOT / document)))
    wanted: set[str] = set()
    documents = [f"docs/{file.src_uri}" for file in files if file.is_documentation_page()]
    for document in [*DOCUMENTS, *(d for d in documents if (ROOT / d).exists())]:
        rewritten((ROOT / document).read_text(), document, wanted)
    for header in sorted((ROOT / "include/nibble").glob("*.h")):
        files.append(File.generated(config, f"cpp/{header.stem}.md", content=cpp_reference.page(header)))
    for page, content in python_reference.pages(PACKAGE).items():
        files.append(File.generated(config, page, content=content))
    for page, content in shown_sources(wanted).items():
        files.append(File.generated(config, page, content=content))
    for file in files:  # pages that need not be named in mkdocs.yml
        if file.generated_by and file.src_uri not in DOCUMENTS.values():
            file.inclusion = type(file.inclusion).NOT_IN_NAV
    return files


def on_page_markdown(markdown: str, page, **_) -> str:
    document = {page_name: name for name, page_name in DOCUMENTS.items()}.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    if not (ROOT / document).exists():
        return markdown  # a generated page
    return rewritten(markdown, document, set())
