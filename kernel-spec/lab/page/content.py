"""What a page holds: files become part of it, links lead somewhere or say where they would."""

import base64
import mimetypes
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {
    "img": "src",
    "audio": "src",
    "video": "src",
    "source": "src",
    "track": "src",
    "embed": "src",
    "object": "data",
}
# Figures are drawn for this share of their width at least; on a phone they move sideways rather than becoming illegible.
LEAST_SHARE = 0.75
LEAST_WIDTH = 300


class Unreadable(Exception):
    """A file that the notebook shows is not there."""


def is_inside(address):
    """Whether this needs nothing beside the page."""
    return address.startswith(("data:", "blob:", "#")) or not address


def embed(page, folder):
    """Everything that is shown becomes part of the page; what lies in the network becomes a link to it."""
    for name, attribute in LOADED.items():
        for element in page.find_all(name):
            address = element.get(attribute, "")
            if is_inside(address):
                continue
            if urlsplit(address).scheme in ("http", "https") or address.startswith("//"):
                replace_by_link(page, element, address)
            else:
                element[attribute] = data_address(folder / unquote(urlsplit(address).path), address)
    for element in page.select("img[srcset], source[srcset]"):
        del element["srcset"]
    for element in page.find_all("iframe", src=True):
        if not is_inside(element["src"]):
            replace_by_link(page, element, element["src"])
    for element in page.select("script[src], link[href]"):
        element.decompose()


def replace_by_link(page, element, address):
    link = page.new_tag("a", href=address)
    link.string = f"{element.get('alt') or element.get('title') or address} (in the network)"
    element.replace_with(link)


def data_address(file, address):
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Unreadable(f"it shows {address}, which cannot be opened ({error.strerror})") from None
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def explain_links(page, folder, target, pages):
    """Links to notebooks lead to their pages where these are made too; links to other files say which file is meant."""
    for link in page.find_all("a", href=True):
        parts = urlsplit(link["href"])
        if parts.scheme or parts.netloc or not parts.path:
            continue
        file = (folder / unquote(parts.path)).resolve()
        other = pages.get(file)
        if other is not None:
            address = Path(os.path.relpath(other.resolve(), target.resolve().parent)).as_posix()
            link["href"] = f"{address}#{parts.fragment}" if parts.fragment else address
            continue
        kind = "notebook" if file.suffix == ".ipynb" else "file"
        link.name = "span"
        link.attrs = {"title": f"The {kind} {parts.path} is part of the project, and no part of this page."}
        note = page.new_tag("span", **{"class": "elsewhere"})
        note.string = f" ({kind} {file.name} of the project)"
        link.append(note)


def frame(page):
    """Tables and figures move sideways in themselves, with the keyboard too; parts that look alike get names."""
    for table in page.find_all("table"):
        caption = table.find("caption")
        label = caption.get_text(" ").strip() if caption else "table"
        around = table.wrap(
            page.new_tag("div", **{"class": "scroll", "role": "region", "aria-label": label, "tabindex": "0"})
        )
        if caption:
            # In the table it would be as wide as that, and end behind the edge of a phone's screen.
            caption.name, caption.attrs = "div", {"class": "caption"}
            around.insert_before(caption.extract())
    for image in page.select(".output img[width]"):
        width = int(image["width"])
        if width > LEAST_WIDTH:
            image["style"] = f"max-width:100%;min-width:{max(int(width * LEAST_SHARE), LEAST_WIDTH)}px"
    for output in page.select(".output"):
        # A line of progress that was taken away at the end leaves its place empty.
        if not output.get_text().strip() and not output.find(["img", "audio", "video", "iframe", "svg", "canvas"]):
            output.decompose()
    for pre in page.select(".output > pre, .highlight"):
        pre["tabindex"] = "0"
    for inner in page.find_all("iframe"):
        inner.attrs.setdefault("title", "a page in the page")
    for heading in page.select("h1, h2, h3, h4"):
        heading.attrs.setdefault("id", "-".join(heading.get_text().lower().split()))
