"""`untrain report`: write the page of a run or of a record again, also in another language."""

from pathlib import Path
from typing import Annotated

import tyro

from untrain.cli.options import Language, OptionalFile, option
from untrain.cli.tables import print_tables
from untrain.cli.terminal import print_text


def report(
    directory: tyro.conf.Positional[Annotated[Path, option("DIR")]],
    language: Language = "en",
    out: OptionalFile = None,
) -> None:
    """Write the page of a finished run, or of a record, again.

    A record holds the digest of its own page, so a new page of it is written beside the directory.

    Examples:
        untrain report runs/digits
        untrain report runs/digits --language ja
        untrain report forgotten --language ja --out forgotten.ja.html

    Args:
        directory: directory of a run, or of a record that `untrain forget` wrote
        language: language of the page: en or ja
        out: file of the page; default report.html in the directory of a run, DIR.LANGUAGE.html beside that of a record
    """
    if (directory / "record.json").is_file():
        place = directory.resolve()
        path = out or place.with_name(f"{place.name}.{language}.html")
        _write_record_page(directory, path, language)
    else:
        from untrain.report import read_results, write_report

        path = write_report(directory, out=out, language=language)
        print_tables(read_results(directory))
    print_text(f"report: {path}")


def _write_record_page(directory: Path, path: Path, language: Language) -> None:
    from untrain.core.files import write_file
    from untrain.errors import ConfigError
    from untrain.records import read_record
    from untrain.records.directory import RECORD, page

    if path.absolute().parent == directory.absolute():
        raise ConfigError(f"{directory} holds nothing but what its record lists; choose an --out elsewhere.")
    write_file(path, page(read_record(directory / RECORD), language))
