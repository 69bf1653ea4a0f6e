"""Makes an HTML page of a notebook. Called by `metamers-kernel export`."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from jinja2 import DictLoader
from nbconvert import HTMLExporter

# nbconvert's own template leaves out what a picture shows to those who cannot see it.
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- macro described(html, output, mime) -%}
{%- set alt = output | get_metadata('alt', mime) or output.data.get('text/plain', '') -%}
{{ html | replace('<img ', '<img alt="' ~ (alt | escape_html | replace('"', '&quot;')) ~ '" ', 1) }}
{%- endmacro -%}
{% block data_png scoped %}{{ described(super(), output, 'image/png') }}{% endblock data_png %}
{% block data_jpg scoped %}{{ described(super(), output, 'image/jpeg') }}{% endblock data_jpg %}
"""


def main():
    parser = argparse.ArgumentParser(prog="metamers-kernel export")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("page", type=Path)
    arguments = parser.parse_args()
    try:
        notebook = nbformat.read(arguments.notebook, as_version=4)
    except Exception as error:
        print(f"error: {arguments.notebook} is not a notebook ({error})", file=sys.stderr)
        return 1
    exporter = HTMLExporter(extra_loaders=[DictLoader({"described.html.j2": TEMPLATE})], template_file="described.html.j2")
    resources = {"metadata": {"name": arguments.notebook.stem.replace("_", " ")}}
    html, _ = exporter.from_notebook_node(notebook, resources)
    try:
        write(arguments.page, html)
    except OSError as error:
        print(f"error: {arguments.page} cannot be written ({error.strerror})", file=sys.stderr)
        return 1
    print(f"{arguments.page}: {len(html.encode()) / 1e6:.1f} MB")
    return 0


def write(path, text):
    """All of it or nothing."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.resolve().parent, suffix=".tmp", delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


if __name__ == "__main__":
    sys.exit(main())
