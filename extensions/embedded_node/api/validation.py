# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check parameters against PVE's own API schema (fakepve's data) and word what is wrong as PVE 9.1 does.

The walk is ours, because fakepve words an unknown key of a property string as older versions did; the named formats
(``dns-name``, ``pve-storage-id``, ...) are fakepve's.
"""

from __future__ import annotations

import functools
import re
import typing as t
import zoneinfo
from collections.abc import Mapping

from fakepve import formats as named_formats
from fakepve import schema as pve_schema

from ..state.propstring import parse_boolean, split_list

Schema = Mapping[str, t.Any]

UNKNOWN = "property is not defined in schema and the schema does not allow additional properties"
MISSING = "property is missing and it is not optional"
#: Keys of property strings by their option, and the release of PVE that they came with. The schema is the newest.
NEWER: Mapping[str, Mapping[str, tuple[int, ...]]] = {"mp": {"idmap": (9, 2)}, "rootfs": {"idmap": (9, 2)}}
INDEX_LIMITS = {
    "net": 32, "ipconfig": 32, "ide": 4, "sata": 6, "scsi": 31, "virtio": 16, "unused": 256, "numa": 8,
    "hostpci": 16, "usb": 14, "virtiofs": 10, "serial": 4, "parallel": 3, "mp": 256, "dev": 256, "link": 8,
    "acmedomain": 6,
}  # fmt: skip


def paths() -> Mapping[str, Mapping[str, Schema]]:
    """The API: path template -> method -> description."""
    return t.cast(Mapping[str, Mapping[str, Schema]], pve_schema.load().paths)


def find(path: str) -> tuple[str, dict[str, str]] | None:
    """The template that a path matches and the values of its variables. A volume's name may hold slashes."""
    volume = re.fullmatch(r"/nodes/([^/]+)/storage/([^/]+)/content/(.+)", path)
    if volume:
        names = dict(zip(("node", "storage", "volume"), volume.groups(), strict=True))
        return "/nodes/{node}/storage/{storage}/content/{volume}", names
    match = pve_schema.load().match(path)
    return (match.template, dict(match.params)) if match else None


def children(template: str) -> list[str]:
    """The names right below a path of the API."""
    return t.cast(list[str], pve_schema.load().children(template))


def property_schema(properties: Mapping[str, Schema], name: str) -> Schema | None:
    """A parameter's schema; ``net0`` is found as ``net[n]``."""
    if name in properties:
        return properties[name]
    base = name.rstrip("0123456789")
    index = name[len(base) :]
    indexed = properties.get(f"{base}[n]")
    if indexed is None or not index or index != str(int(index)) or int(index) >= INDEX_LIMITS.get(base, 1000):
        return None
    return indexed


def check(spec: Schema, values: Mapping[str, t.Any]) -> tuple[dict[str, t.Any], dict[str, str]]:
    """Values coerced to the schema's types, and what is wrong by parameter."""
    properties: Mapping[str, Schema] = spec.get("properties") or {}
    errors: dict[str, str] = {}
    result: dict[str, t.Any] = {}
    for name, value in values.items():
        schema = property_schema(properties, name)
        if schema is None:
            errors[name] = UNKNOWN
        else:
            result[name] = _check(schema, value, name, errors)
            required = schema.get("requires")
            if required and required not in values:
                errors[required] = f"missing property required by '{name}'"
    for name, schema in properties.items():
        if name not in values and not schema.get("optional") and not name.endswith("[n]"):
            errors.setdefault(name, MISSING)
    return result, errors


def unknown_yet(values: Mapping[str, t.Any], release: tuple[int, ...]) -> dict[str, str]:
    """What is wrong with keys of property strings that the schema has, and this release of PVE has not."""
    errors = {}
    for name, value in values.items():
        base = name.rstrip("0123456789")
        for key, since in NEWER.get(base, {}).items():
            if release < since and re.search(rf"(^|,){key}=", str(value)):
                errors[name] = f"invalid format - format error\n{name}.{key}: {UNKNOWN}\n"
    return errors


def _check(schema: Schema, value: t.Any, where: str, errors: dict[str, str]) -> t.Any:
    kind = schema.get("type", "string")
    if kind == "array":
        items = value if isinstance(value, list) else [value]
        return [_check(schema.get("items") or {}, item, f"{where}[{n}]", errors) for n, item in enumerate(items)]
    if isinstance(value, (list, dict)):
        errors[where] = f"type check ('{kind}') failed - got '{'ARRAY' if isinstance(value, list) else 'HASH'}'"
        return value
    text = ("1" if value else "0") if isinstance(value, bool) else str(value)
    typed = _typed(kind, text)
    if typed is None:
        errors[where] = f"type check ('{kind}') failed - got '{text}'"
        return value
    wrong = _wrong_format(schema.get("format"), text, where) or _out_of_bounds(schema, text, typed)
    if wrong:
        errors[where] = wrong
    return text if kind == "number" else typed


def _typed(kind: str, text: str) -> t.Any:
    if kind == "integer":
        return int(text) if re.fullmatch(r"[+-]?\d+", text) else None
    if kind == "number":
        if not re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", text, re.IGNORECASE):
            return None
        return int(float(text)) if float(text).is_integer() else float(text)
    return parse_boolean(text) if kind == "boolean" else text


def _out_of_bounds(schema: Schema, text: str, typed: t.Any) -> str:
    pattern = compiled(schema["pattern"]) if schema.get("pattern") else None
    if pattern and not pattern.fullmatch(text[:4096]):
        return "value does not match the regex pattern"
    if isinstance(typed, str):
        if len(typed) > int(schema.get("maxLength", len(typed))):
            return f"value may only be {schema['maxLength']} characters long"
        if len(typed) < int(schema.get("minLength", 0)):
            return f"value must be at least {schema['minLength']} characters long"
    elif "maximum" in schema and typed > float(schema["maximum"]):
        return f"value must have a maximum value of {schema['maximum']}"
    elif "minimum" in schema and typed < float(schema["minimum"]):
        return f"value must have a minimum value of {schema['minimum']}"
    if "enum" in schema and text not in map(str, schema["enum"]):
        return f"value '{text}' does not have a value in the enumeration '{', '.join(map(str, schema['enum']))}'"
    return ""


@functools.cache
def compiled(pattern: str) -> re.Pattern[str] | None:
    """A Perl pattern of the schema, None when Python cannot read it."""
    flags = re.IGNORECASE if "(?^i:" in pattern else 0
    python = pattern.replace("(?^:", "(?:").replace("(?^i:", "(?:").replace(r"\z", r"\Z")
    for slow, linear in pve_schema.LINEAR_FORMS:
        python = python.replace(slow, linear)
    try:
        return re.compile(python, flags | re.ASCII)
    except re.error:
        return None


# -- formats -----------------------------------------------------------------------------------------------------------


def _wrong_format(form: t.Any, text: str, where: str) -> str:
    if not form:
        return ""
    sub = _sub_schema(form)
    why = _wrong_property_string(sub, text, where) if sub else _wrong_named(str(form), text)
    return f"invalid format - {why}" if why else ""


def _wrong_named(name: str, text: str) -> str:
    ours = OWN_FORMATS.get(name)
    why = ours(text) if ours else named_formats.check(name, text)
    return f"{why}\n" if why else ""


def _time_zone(text: str) -> str | None:
    known = text in ("UTC", "host") or text in zoneinfo.available_timezones()
    return None if known else f"invalid time zone '{text}'"


def _mount_point(text: str) -> str | None:
    climbs = re.search(r"/\.\.?(/|$)|^\.\./", text)
    return f"{text} contains illegal character sequences" if climbs else None


def _device(text: str) -> str | None:
    good = text.startswith("/dev/") and not re.search(r"/\.\.?(/|$)", text)
    return None if good else f"{text} is not a valid device path"


def _name_servers(text: str) -> str | None:
    for item in split_list(text):
        address, _sep, interface = item.partition("%")
        scoped = interface and address.startswith("fe80:")
        if not (named_formats.is_ipv6(address) if scoped else named_formats.check("ip", item) is None):
            return "value does not look like a valid IP address"
    return None


def _storage_content(text: str) -> str | None:
    known = ("images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none")
    wrong = [item for item in split_list(text) if item not in known]
    return f"invalid content type '{wrong[0]}'" if wrong else None


def _task_states(text: str) -> str | None:
    wrong = [item for item in split_list(text) if item.lower() not in ("ok", "error", "warning", "unknown")]
    return f"invalid status '{wrong[0]}'" if wrong else None


def _volume_group(text: str) -> str | None:
    return (
        None
        if re.fullmatch(r"[\w.+\-]+", text, re.ASCII)
        else f"lvm volume group name '{text}' contains illegal characters"
    )


OWN_FORMATS: dict[str, t.Callable[[str], str | None]] = {
    "pve-ct-timezone": _time_zone,
    "pve-lxc-mp-string": _mount_point,
    "pve-lxc-dev-string": _device,
    "lxc-ip-with-ll-iface-list": _name_servers,
    "pve-storage-vgname": _volume_group,
    "pve-storage-content": _storage_content,
    "pve-storage-content-list": _storage_content,
    "pve-task-status-type-list": _task_states,
}
KEEP = {"type": "integer", "minimum": 0, "optional": 1}
OWN_STRINGS: dict[str, Mapping[str, Schema]] = {
    "prune-backups": {
        "keep-all": {"type": "boolean", "optional": 1},
        **{f"keep-{span}": KEEP for span in ("last", "hourly", "daily", "weekly", "monthly", "yearly")},
    },
}


def _sub_schema(form: t.Any) -> Mapping[str, Schema] | None:
    if isinstance(form, Mapping):
        return form
    return OWN_STRINGS.get(form) or t.cast("Mapping[str, Schema] | None", pve_schema.registered(form))


def _wrong_property_string(sub: Mapping[str, Schema], text: str, where: str) -> str:
    values: dict[str, str] = {}
    default = next((key for key, entry in sub.items() if entry.get("default_key")), None)
    for part in text.split(","):
        if not part.strip():
            continue
        key, found, value = part.partition("=")
        if not found:
            if default is None:
                return "value without key, but schema does not define a default key\n"
            key, value = default, part
        elif not key or not value:
            return "missing key in comma-separated list property\n"
        entry = sub.get(key, {})
        if entry.get("alias"):
            if entry.get("keyAlias"):
                values[entry["keyAlias"]] = key
            key = entry["alias"]
        if key in values:
            return f"duplicate key in comma-separated list property: {key}\n"
        values[key] = value
    errors: dict[str, str] = {}
    for key, value in values.items():
        inner = f"{where}.{key}"
        if key not in sub:
            errors[inner] = UNKNOWN
            continue
        _check(sub[key], value, inner, errors)
        required = sub[key].get("requires")
        if required and required not in values:
            errors[f"{where}.{required}"] = f"missing property required by '{inner}'"
    for key, entry in sub.items():
        if key not in values and not entry.get("optional") and not entry.get("alias"):
            errors[f"{where}.{key}"] = MISSING
    return "format error\n" + "".join(f"{key}: {errors[key]}\n" for key in sorted(errors)) if errors else ""


def guest_properties(kind: str) -> Mapping[str, Schema]:
    """The options that a guest's config may hold."""
    found = paths()[f"/nodes/{{node}}/{kind}/{{vmid}}/config"]["GET"]["returns"]["properties"]
    return t.cast(Mapping[str, Schema], found)


@functools.cache
def option_format(kind: str, option: str) -> Mapping[str, Schema]:
    """The property-string format of a guest option, empty when it is none."""
    schema = property_schema(paths()[f"/nodes/{{node}}/{kind}"]["POST"]["parameters"]["properties"], option) or {}
    form = schema.get("format")
    return (_sub_schema(form) if form else None) or {}
