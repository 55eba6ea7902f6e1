"""Builds the documentation site: `make docs`. Nothing is downloaded while it builds."""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))  # for reference_pages

import reference_pages  # noqa: E402

import jaxgan  # noqa: E402

project = "jaxgan"
author = "The jaxgan authors"
copyright = author
version = release = jaxgan.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
]
root_doc = "index"
exclude_patterns = ["_build"]
suppress_warnings = ["toc.not_included"]  # until the pages that are being written are in the index
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["attrs_inline", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = True

default_role = "code"  # docstrings write `name`
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_maximum_signature_line_length = 88
add_module_names = False

html_theme = "sphinx_book_theme"
html_title = "jaxgan"
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["jaxgan.css"]
html_theme_options = {
    "show_toc_level": 2,
    "home_page_in_toc": True,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_repository_button": False,
}
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True


def setup(app):
    reference_pages.write(DOCS / "reference")
