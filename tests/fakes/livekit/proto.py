"""proto3 JSON, both ways, as Go's protojson has it and LiveKit uses it: requests in snake_case or
camelCase, what is unknown dropped; answers in snake_case with every field; webhooks in camelCase
without zero values."""
import base64
import re

DURATION = re.compile(r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$")
TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$")
RANGES = {"int32": (-2**31, 2**31 - 1), "uint32": (0, 2**32 - 1), "int64": (-2**63, 2**63 - 1),
          "uint64": (0, 2**64 - 1)}


class Malformed(Exception):
    pass


def camel(name):
    return re.sub(r"_([a-z0-9])", lambda m: m.group(1).upper(), name)


class Enum:
    def __init__(self, *names, **numbered):
        self.numbers = {**{name: i for i, name in enumerate(names)}, **numbered}
        self.zero = next(iter(self.numbers))

    def read(self, value, where, complain):
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise Malformed(f"{where}: invalid value for enum field")
        if isinstance(value, int):
            for name, number in self.numbers.items():
                if number == value:
                    return name
        if value in self.numbers:
            return value
        complain(f"{where}: unknown enum value {value!r} (the server takes it for {self.zero})")
        return self.zero


class Message:
    """Fields by snake_case name; `required`: what the server can do without but callgate must not."""

    def __init__(self, name, /, **fields):
        self.name, self.fields = name, fields
        self.spellings = {}
        for field in fields:
            self.spellings[field] = self.spellings[camel(field)] = field


class List:
    def __init__(self, of):
        self.of = of


class Map:
    """string → string"""


class Optional:
    def __init__(self, of):
        self.of = of


def read_number(value, kind, where):
    if isinstance(value, bool):
        raise Malformed(f"{where}: invalid value for {kind} field")
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    low, high = RANGES[kind]
    if not isinstance(value, int) or not low <= value <= high:
        raise Malformed(f"{where}: invalid value for {kind} field: {value!r}")
    return value


def read_text(value, kind, where):
    if not isinstance(value, str):
        raise Malformed(f"{where}: invalid value for {kind} field: {value!r}")
    if kind == "duration" and not DURATION.match(value):
        raise Malformed(f"{where}: invalid google.protobuf.Duration value {value!r}")
    if kind == "timestamp" and not TIMESTAMP.match(value):
        raise Malformed(f"{where}: invalid google.protobuf.Timestamp value {value!r}")
    if kind == "bytes":
        return base64.b64decode(value)
    return value


def read(kind, value, where, complain):
    if isinstance(kind, Optional):
        return read(kind.of, value, where, complain)
    if isinstance(kind, Message):
        return read_message(kind, value, where, complain)
    if isinstance(kind, List):
        if not isinstance(value, list):
            raise Malformed(f"{where}: a list was expected")
        return [read(kind.of, one, f"{where}[{i}]", complain) for i, one in enumerate(value)]
    if isinstance(kind, Map):
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise Malformed(f"{where}: a map of strings was expected")
        return dict(value)
    if isinstance(kind, Enum):
        return kind.read(value, where, complain)
    if kind == "bool":
        if not isinstance(value, bool):
            raise Malformed(f"{where}: invalid value for bool field: {value!r}")
        return value
    return read_number(value, kind, where) if kind in RANGES else read_text(value, kind, where)


def read_message(message, value, where, complain):
    """Only the fields that were set, by snake_case name."""
    if not isinstance(value, dict):
        raise Malformed(f"{where}: an object was expected")
    found = {}
    for name, inner in value.items():
        field = message.spellings.get(name)
        if field is None:
            complain(f"{where}: {message.name} has no field {name!r} (the server ignores it)")
            continue
        if field in found:
            raise Malformed(f"{where}: duplicate field {name!r}")
        if inner is not None:
            found[field] = read(message.fields[field], inner, f"{where}.{field}", complain)
    return found


def zero(kind):
    if isinstance(kind, Message):
        return None
    if isinstance(kind, List):
        return []
    if isinstance(kind, Map):
        return {}
    if isinstance(kind, Enum):
        return kind.zero
    if kind == "bool":
        return False
    if kind in RANGES:
        return 0
    return None if kind in ("duration", "timestamp") else ""


def write(kind, value, name_of=lambda field: field, zeros=True):
    if value is None:
        return None
    if isinstance(kind, Optional):
        return write(kind.of, value, name_of, zeros)
    if isinstance(kind, Message):
        return write_message(kind, value, name_of, zeros)
    if isinstance(kind, List):
        return [write(kind.of, one, name_of, zeros) for one in value]
    if kind in ("int64", "uint64"):
        return str(value)
    if kind == "bytes":
        return base64.b64encode(value).decode()
    return value


def write_message(message, value, name_of=lambda field: field, zeros=True):
    unknown = set(value) - set(message.fields)
    assert not unknown, f"{message.name} has no {unknown}"
    out = {}
    for field, kind in message.fields.items():
        if isinstance(kind, Optional) and field not in value:
            continue
        inner = value.get(field, zero(kind))
        if zeros or inner not in (None, "", 0, False, [], {}) and not (isinstance(kind, Enum) and inner == kind.zero):
            out[name_of(field)] = write(kind, inner, name_of, zeros)
    return out


def answer(message, value):
    return write_message(message, value)


def webhook(message, value):
    return write_message(message, value, camel, zeros=False)
