"""The report page in a real browser: Debian's headless Chromium, driven by playwright, judged by axe-core.

Usage: check_page.py PAGE.html... [--shots FOLDER]
Fails on a finding of axe-core that is serious or critical, on a page wider than its window, on a request to the network, on an
error of the script, and on a keyboard that does not reach what can be opened. --shots leaves screenshots at 400, 800 and 1600
pixels, light and dark, and the print as PDF. Needs what scripts/setup.sh --checks installs.
"""
import argparse
import pathlib
import sys

from playwright.sync_api import sync_playwright

HERE = pathlib.Path(__file__).resolve().parents[2]
AXE = HERE / ".venv-page/node_modules/axe-core/axe.min.js"
WIDTHS = (400, 800, 1600)


def findings_of(page):
    """What axe-core finds serious, as text."""
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    page.evaluate(AXE.read_text())
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    lines = []
    for violation in result["violations"]:
        text = f"{violation['impact']}: {violation['id']}: {violation['help']} ({len(violation['nodes'])} places)"
        first = violation["nodes"][0]
        print("  axe:", text, first["target"])
        if violation["impact"] in ("serious", "critical"):
            lines.append(f"{text}: {first['failureSummary']}")
    return lines


def keyboard_reaches(page):
    """Every link, button, summary and scrolling region, by Tab alone."""
    wanted = page.evaluate(
        "[...document.querySelectorAll('a[href], button, summary, [tabindex=\"0\"]')]"
        ".filter(e => e.checkVisibility() && !e.matches('details:not([open]) > :not(summary) *')).length")
    page.evaluate("document.activeElement.blur()")
    seen = 0
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        seen += 1
    return wanted, seen


def check(browser, path, shots):
    wrong = []
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page = context.new_page()
            requests, errors = [], []
            page.on("request", lambda request: requests.append(request.url))
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
            page.goto(path.resolve().as_uri())
            where = f"{path.name} at {width}, {scheme}"
            if shots:
                page.screenshot(path=shots / f"{path.stem}-{width}-{scheme}.png", full_page=True)
            wide = page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                wrong.append(f"{where}: {wide} pixels wide")
            wanted, seen = keyboard_reaches(page)
            if seen < wanted:
                wrong.append(f"{where}: Tab reaches {seen} of {wanted} elements")
            wrong += [f"{where}: {line}" for line in findings_of(page)]
            wide = page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                wrong.append(f"{where}, all opened: {wide} pixels wide")
            wrong += [f"{where}: asks for {url}" for url in requests if not url.startswith("file:")]
            if len(requests) != 1:
                wrong.append(f"{where}: loads {len(requests)} files")
            wrong += [f"{where}: {error}" for error in errors]
            context.close()
    # Without JavaScript everything is there; on paper too.
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.resolve().as_uri())
    if page.locator("main section").count() == 0:
        wrong.append(f"{path.name}: nothing to read without JavaScript")
    context.close()
    if shots:
        page = browser.new_page()
        page.goto(path.resolve().as_uri())
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.pdf(path=shots / f"{path.stem}.pdf", format="A4")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="+", type=pathlib.Path)
    parser.add_argument("--shots", type=pathlib.Path)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    arguments = parser.parse_args()
    if arguments.shots:
        arguments.shots.mkdir(parents=True, exist_ok=True)
    wrong = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.browser, args=["--no-sandbox"])
        for path in arguments.pages:
            wrong += check(browser, path, arguments.shots)
        browser.close()
    for line in wrong:
        print("check_page:", line, file=sys.stderr)
    print(f"{len(arguments.pages)} pages, {len(wrong)} findings")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
