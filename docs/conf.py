"""The documentation site: `make docs` builds it in docs/_build/html, without the network."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent / "src"), str(DOCS)]

from untrain import __version__  # noqa: E402

project = "untrain"
author = "The untrain developers"
copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_design",
    "generated",
]
exclude_patterns = ["_build", "locale"]
nitpicky = False
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist", "linkify"]
myst_linkify_fuzzy_links = False
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # a changelog repeats its headings

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_attr_annotations = False

language = "en"
locale_dirs = ["locale"]
gettext_compact = False
gettext_uuid = False
figure_language_filename = "{root}{ext}"

html_theme = "furo"
html_title = f"untrain {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "sidebar_hide_name": True,
    "light_logo": "logo-light.svg",
    "dark_logo": "logo-dark.svg",
    "light_css_variables": {"color-brand-primary": "#0b6e4f", "color-brand-content": "#0b6e4f"},
    "dark_css_variables": {"color-brand-primary": "#63d2a5", "color-brand-content": "#63d2a5"},
    "source_repository": "https://github.com/untrain/untrain/",
    "source_branch": "main",
    "source_directory": "docs/",
}
