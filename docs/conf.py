"""Builds the documentation site: `make docs`. Nothing is downloaded while it builds."""

import re
from pathlib import Path

import jaxgan
from jaxgan.config import reference

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
    """Writes the configuration reference, but only where it has changed, so that Sphinx reads it again only then."""
    page, text = Path(app.srcdir) / "reference" / "configuration.md", reference.markdown()
    if not page.exists() or page.read_text() != text:
        page.write_text(text)
    app.connect("autodoc-process-docstring", as_restructured_text, priority=400)  # before napoleon reads sections


def as_restructured_text(app, what, name, obj, options, lines):
    """Makes a plain docstring reStructuredText: indented paragraphs are code, and only `names` are marked up."""
    result, code, doctest = [], False, False
    for i, line in enumerate(lines):
        indented = line.startswith("    ")
        if indented and i and not lines[i - 1].strip() and not code:  # the first line after an empty one
            before = next(filter(str.strip, lines[i - 1 :: -1]), " ")
            code = not before.startswith(" ")
            if code and not before.endswith("::"):
                result += ["::", ""]
        code = code and (indented or not line.strip())
        doctest = line.lstrip().startswith(">>>") or (doctest and bool(line.strip()))
        result.append(line if code or doctest else _escaped(line))
    lines[:] = result


def _escaped(line):
    parts = re.split(r"(`[^`]*`)", line)
    return "".join(part if part.startswith("`") else re.sub(r"[*|]|(?<=\w)_\b", r"\\\g<0>", part) for part in parts)
