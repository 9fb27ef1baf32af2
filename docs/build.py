"""Builds the documentation site, in English and what is translated of it in Japanese; any warning is an error.

python docs/build.py              the site, in docs/_build/html
python docs/build.py --translate  brings the catalogs in docs/locale up to date with the English text

No network is used. Links inside the site are checked by the build; links to elsewhere are checked for their form.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from babel.messages.pofile import read_po

DOCS = Path(__file__).parent
BUILD = DOCS / "_build"
TRANSLATED = ("index", "start-labels")
"""Pages that have a Japanese form."""


def main() -> None:
    """Build, or bring the catalogs up to date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--translate", action="store_true")
    if parser.parse_args().translate:
        _sphinx("gettext", BUILD / "gettext")
        _run("sphinx_intl", "update", "-p", str(BUILD / "gettext"), "-d", str(DOCS / "locale"), "-l", "ja", "-w", "0")
        catalogs = DOCS / "locale" / "ja" / "LC_MESSAGES"
        for catalog in catalogs.rglob("*.po"):
            if catalog not in [catalogs / f"{name}.po" for name in TRANSLATED]:
                catalog.unlink()
    else:
        _sphinx("html", BUILD / "html")
        _sphinx("html", BUILD / "html" / "ja", "-D", "language=ja")
        _check_links()
    _tell_stale()


def _sphinx(builder: str, out: Path, *options: str) -> None:
    trees = BUILD / "doctrees" / out.name
    _run("sphinx", "-q", "-W", "--keep-going", "-b", builder, "-d", str(trees), *options, str(DOCS), str(out))


def _run(module: str, *words: str) -> None:
    if code := subprocess.run([sys.executable, "-m", module, *words], check=False).returncode:
        raise SystemExit(code)


def _check_links() -> None:
    """End if a link to elsewhere cannot be an address, or a page would fetch something from elsewhere."""
    wrong = set()
    for page in (BUILD / "html").rglob("*.html"):
        text = page.read_text()
        for link in re.findall(r'<a [^>]*href="([a-z]+:[^"]*)"', text):
            parts = urlsplit(link)
            if parts.scheme == "http" or (parts.scheme == "https" and "." not in parts.netloc) or " " in link:
                wrong.add(f"{page.name}: the link {link} is no https address")
        fetched = re.findall(r'<(?:script|img|link|iframe)[^>]* (?:src|href)="((?:https?:)?//[^"]*)"', text)
        wrong |= {f"{page.name} fetches {address}" for address in fetched}
    if wrong:
        raise SystemExit("\n".join(sorted(wrong)))


def _tell_stale() -> None:
    """Print what share of each Japanese catalog has no translation, or one of an older English text."""
    for name in TRANSLATED:
        path = DOCS / "locale" / "ja" / "LC_MESSAGES" / f"{name}.po"
        if not path.is_file():
            continue
        messages = [message for message in read_po(path.open("rb"), locale="ja") if message.id]
        stale = sum(not message.string or message.fuzzy for message in messages)
        print(f"{name}: {stale} of {len(messages)} passages have no current Japanese translation")


if __name__ == "__main__":
    main()
