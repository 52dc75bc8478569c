# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of Sphinx for the documentation site, which ``make docs`` builds. Nothing is fetched for it."""

from __future__ import annotations

import re
import typing as t

from docutils import nodes

project = "pve.provision"
project_copyright = "the pve.provision authors, GPL-3.0-or-later"

extensions = ["sphinx_antsibull_ext", "myst_parser"]
intersphinx_mapping: dict[str, t.Any] = {}
default_role = "any"
nitpicky = True
# Headings of docs/*.md are targets, as they are on a Git host.
myst_heading_anchors = 3

html_theme = "furo"
html_title = "pve.provision"
html_copy_source = False
html_show_sphinx = False
pygments_style = "ansible"
pygments_dark_style = "monokai"
highlight_language = "text"

# What the reference pages refer to in Ansible's own documentation, whose inventory would have to be fetched.
ANSIBLE = "https://docs.ansible.com/ansible/latest"
LABELS = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html#ansible-configuration-settings",
    "common_return_values": "reference_appendices/common_return_values.html",
}
PLUGIN = re.compile(r"ansible_collections\.(ansible\.builtin|community\.\w+)\.(\w+_(?:module|lookup|connection))")


def link_to_ansible(_app: t.Any, _env: t.Any, node: t.Any, content: t.Any) -> nodes.reference | None:
    """A reference to one of these pages. Any other that leads nowhere stays a warning."""
    target = str(node.get("reftarget", ""))
    page = LABELS.get(target)
    plugin = PLUGIN.fullmatch(target)
    if plugin:
        page = f"collections/{plugin[1].replace('.', '/')}/{plugin[2]}.html"
    return nodes.reference("", "", content, refuri=f"{ANSIBLE}/{page}", internal=False) if page else None


def without_contents(_app: t.Any, document: nodes.document) -> None:
    """Take the contents out of a reference page: the theme shows them beside it, and calls others an error."""
    for topic in list(document.findall(nodes.topic)):
        if "contents" in topic["classes"]:
            topic.parent.remove(topic)


def setup(app: t.Any) -> None:
    app.connect("doctree-read", without_contents)
    app.connect("missing-reference", link_to_ansible)
