"""
How `make docs` builds the site: the pages of this folder, and a page for each name that users import.

The pages of names are written to `docs/api/` when the build begins, and are kept out of git. Nothing is read from
the network.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

project = "airflow-provider-coveo"
author = "The authors of airflow-provider-coveo"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
html_theme = "furo"
html_title = "Airflow provider for Coveo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
default_role = "literal"
autodoc_typehints = "none"  # types and defaults stand with each argument
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
myst_heading_anchors = 4
myst_enable_extensions = ["strikethrough"]
copybutton_exclude = ".linenos, .gp"

# What has a page, by the page that lists it; names after a blank are the members that are shown.
PUBLIC: dict[str, dict[str, tuple[str, ...]]] = {
    "operators": {"coveo_provider.operators": ()},
    "task-groups": {"coveo_provider.task_groups": ()},
    "hook": {
        "coveo_provider.hooks.coveo": ("CoveoHook client push update delete load verify test_connection",),
        "coveo_provider.decorators.coveo": ("coveo_task", "CoveoDecoratedOperator"),
        "coveo_provider.notifications.report": ("CoveoReportNotifier",),
        "coveo_provider.triggers.source": ("CoveoItemsRefusedTrigger", "CoveoSourceRebuiltTrigger"),
        "coveo_provider.triggers.wait": ("CoveoWaitTrigger",),
        "coveo_provider.assets": ("coveo_asset",),
        "coveo_provider.api.client": ("CoveoClient *",),
    },
    "mapping-rules": {
        "coveo_provider.documents": (
            "DocumentMapping apply from_file from_dict",
            "Template",
            "Split",
            "Constant",
            "PermissionColumns",
            "PermissionLevels",
            "FolderPermissions",
            "PosixPermissions",
            "write_documents",
            "encode_document",
            "explain_access",
            "check_access",
        ),
    },
}


def _entries() -> dict[str, tuple[str, str, str]]:
    """Return home module, members and listing page of each public name."""
    found = {}
    for page, modules in PUBLIC.items():
        for module, names in modules.items():
            for entry in names or importlib.import_module(module).__all__:
                name, _, members = entry.partition(" ")
                found[name] = (module, members, page)
    return found


ENTRIES = _entries()


def write_pages(app: Any) -> None:
    """Write a page for each public name, leave alone those that are as they should be, and remove others."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    for file in folder.glob("*.rst"):  # of names that are no more
        if file.stem not in ENTRIES:
            file.unlink()
    for name, (module, members, _) in ENTRIES.items():
        thing = getattr(importlib.import_module(module), name)
        kind = "class" if inspect.isclass(thing) else "function"
        text = [
            name,
            "=" * len(name),
            "",
            ".. code-block:: python",
            "",
            f"   from {module} import {name}",
            "",
        ]
        text += [f".. auto{kind}:: {module}.{name}"]
        if members:
            text += ["   :members:" + (f" {', '.join(members.split())}" if members != "*" else "")]
            text += ["   :inherited-members:"] if members == "*" else []
        page = getattr(thing, "documentation", None)
        if isinstance(page, str):
            text += [
                "",
                f"Coveo's page on it: `{page} <{page}>`__. :doc:`Which error does what <../errors>`.",
            ]
        content = "\n".join(text) + "\n"
        file = folder / f"{name}.rst"
        if not file.exists() or file.read_text() != content:
            file.write_text(content)


def _defining(thing: Any) -> list[Any]:
    """Return what takes the arguments of a public name: a function, or a class with those it derives from."""
    if not inspect.isclass(thing):
        return [thing]
    return [one for one in thing.__mro__ if one.__module__.startswith("coveo_provider")]


def arguments(thing: Any) -> dict[str, inspect.Parameter]:
    """Return the arguments of a function or class, those of its bases in this package included."""
    found: dict[str, inspect.Parameter] = {}
    for one in _defining(thing):
        made = one.__dict__.get("__init__") if inspect.isclass(one) else one
        for name, parameter in inspect.signature(made).parameters.items() if made else ():
            fixed = (getattr(thing, "__name__", ""), name) in _FIXED
            if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD and not fixed:
                found.setdefault(name, parameter)
    return found


_FIXED = {("CoveoChooseLoadOperator", "on_doubt")}  # given to the base, and not to be given
_PAGE = re.compile(r"(?:``)?\bdocs/([\w-]+)\.md(?:``)?")
_OTHER = r":(?:returns?|raises|ivar)\b[^:\n]*:"
_PARAM = re.compile(r"^:param (\w+):(.*(?:\n(?![:\n]).*)*)", re.M)


def descriptions(thing: Any) -> dict[str, str]:
    """Return what docstrings say of the arguments: the own one, then those of bases or of the groups' module."""
    found: dict[str, str] = {}
    for one in _defining(thing):
        for name, text in _PARAM.findall(inspect.getdoc(one) or ""):
            found.setdefault(name, _PAGE.sub(r":doc:`/\1`", " ".join(text.split())))
    if thing.__module__.startswith("coveo_provider.task_groups"):
        module = inspect.getdoc(importlib.import_module("coveo_provider.task_groups")) or ""
        for name, text in re.findall(r"^\* ``(\w+)``: (.*(?:\n  .*)*)", module, re.M):
            found.setdefault(name, _PAGE.sub(r":doc:`/\1`", " ".join(text.split())))
    return found


def _spelled(value: Any) -> str:
    """Return a default as one would write it."""
    if inspect.isfunction(value) or inspect.isclass(value):
        return value.__name__
    return repr(value).removeprefix("datetime.")


def describe(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Put type and default to each argument, and those that bases take to the own ones."""
    lines[:] = [_PAGE.sub(r":doc:`/\1`", line) for line in lines]
    if what in ("class", "function", "method"):
        _type_fields(thing, descriptions(thing), lines)


def _type_fields(thing: Any, said: dict[str, str], lines: list[str]) -> None:
    """Put the arguments, with type and default, behind the text, and what else there is of fields behind these."""
    body: list[str] = []
    rest: list[str] = []
    for paragraph in re.split(rf"\n(?={_OTHER})|\n\n", _PARAM.sub("", "\n".join(lines))):
        (rest if re.match(_OTHER, paragraph) else body).append(paragraph.rstrip())
    fields = []
    for name, parameter in arguments(thing).items():
        if name not in said:
            continue
        default = (
            "" if parameter.default is parameter.empty else f" Default: ``{_spelled(parameter.default)}``."
        )
        fields.append(
            f":param {name}: {said[name].rstrip('.')}.{default}"
            if default
            else f":param {name}: {said[name]}"
        )
        if parameter.annotation is not parameter.empty:
            fields.append(f":type {name}: {_kind(parameter.annotation)}")
    lines[:] = "\n".join(["\n\n".join(body).rstrip(), "", *fields, *rest, ""]).split("\n")


def _kind(annotation: Any) -> str:
    """Return a type as the signature spells it."""
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def sign(app: Any, what: str, name: str, thing: Any, options: Any, signature: Any, returns: Any) -> Any:
    """Show the arguments of a class with those of its bases, without types, which stand below."""
    if what not in ("class", "function") or name.rpartition(".")[2] not in ENTRIES:
        return None
    words = []
    for argument, parameter in arguments(thing).items():
        default = "" if parameter.default is parameter.empty else f"={_spelled(parameter.default)}"
        words.append(f"{argument}{default}")
    return f"({', '.join(words)})", returns


def link_names(app: Any, doctree: Any, docname: str) -> None:
    """Make a link to its page of each name that stands as code in a text."""
    from docutils import nodes

    if docname.startswith("api/"):
        return
    for literal in list(doctree.findall(nodes.literal)):
        name = re.match(r"(?:@)?(\w+)", literal.astext())
        word = "coveo_task" if literal.astext().startswith("@task.coveo") else name and name[1]
        above = literal.parent
        inside = False
        while above is not None and not inside:
            inside = isinstance(above, (nodes.reference, nodes.title))
            above = above.parent
        if word in ENTRIES and not inside:
            address = app.builder.get_relative_uri(docname, f"api/{word}")
            link = nodes.reference("", "", refuri=address, internal=True)
            literal.replace_self(link)
            link += literal


# Texts of other folders that are pages of the site as well: the page, and the file.
_COPIES = {"changelog": "../CHANGELOG.md", "results": "../benchmarks/RESULTS.md"}
_ELSEWHERE = {**{file: f"{page}.md" for page, file in _COPIES.items()}, "../README.md": "index.md"}


def link_pages(app: Any, docname: str, content: list[str]) -> None:
    """Fill in the copies; lead links to other folders to them, and leave out those to folders."""
    if docname in _COPIES:
        file = _COPIES[docname]
        home = file.rpartition("/")[0]
        content[0] = re.sub(r"\]\((?!https?:|#)", f"]({home}/", (HERE / file).read_text()).replace(
            "](../docs/", "]("
        )

    def led(match: re.Match[str]) -> str:
        words, target, heading = match[1], match[2], match[3] or ""
        if target in _ELSEWHERE:
            return f"[{words}]({_ELSEWHERE[target]}{heading})"
        return words if (HERE / target).is_dir() else match[0]

    content[0] = re.sub(r"\[([^\]]*)\]\((\.\./[^)#\s]*)(#[^)]*)?\)", led, content[0])


def setup(app: Any) -> dict[str, Any]:
    """Hand the functions above to Sphinx."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", link_pages)
    app.connect("autodoc-process-docstring", describe)
    app.connect("autodoc-process-signature", sign)
    app.connect("doctree-resolved", link_names)
    return {"parallel_read_safe": True}
