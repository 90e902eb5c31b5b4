"""Runs the Autobahn|Testsuite, which is written for Python 2, under Python 3.

The sources stay as they were published. They are translated while they are imported, by the few rules below, and what
they expect of Python 2 and of packages nobody needs here is put in their way as small stand-ins.

One idea carries the rest: a source file is read as Latin-1, so a byte string of Python 2 becomes a text with one
character for each byte, and every text is turned back into those bytes where it goes to the wire.
"""

import binascii
import builtins
import importlib.machinery
import os
import re
import sys
import types

# What is written differently, wherever it stands.
EVERYWHERE = [
    (r"^(\s*)print (?!\()(.+)$", r"\1print(\2)"),
    (r"([\w.\[\]]+)\.has_key\(", r"python2_has(\1, "),
    (r"^from (case\w*|caseset|report) import", r"from .\1 import"),
    (r"\bbinascii\.b2a_hex\(", "python2_hex("),
    (r"\(object, Case, \)", "(Case, )"),
    (r"\A#.*coding[:=].*\n", "\n"),
]

# What is written differently in one place. A rule that does not fit any more is an error, not a guess.
IN_PLACES = {
    "autobahn/websocket/protocol.py": [("range(payload_len / len(payload))", "range(payload_len // len(payload))")],
    "autobahntestsuite/fuzzing.py": [("''.join(payload)", "b''.join(payload)")],
    "autobahntestsuite/case/case10_1_1.py": [
        ("len(self.payload) / self.p", "len(self.payload) // self.p"),
    ],
    "autobahntestsuite/case/case6_x_x.py": [
        ("v.validate(vss[:i])", "v.validate(python2_bytes(vss[:i]))"),
    ],
    "autobahntestsuite/case/case12_x_x.py": [
        ("msg = ''", "msg = b'' if self.TESTDATA['binary'] else ''"),
    ],
}

# Packages whose own beginnings load what is not needed.
REPLACED = {"autobahntestsuite/__init__.py": "version = '25.10.1'\n"}


def to_bytes(value):
    """A text of Python 2 as the bytes it stands for; anything else as it is."""
    return value.encode("latin-1") if isinstance(value, str) else value


def to_text(value):
    """Bytes, also those inside lists and tuples, as texts, so that both sides of a comparison look alike."""
    if isinstance(value, (list, tuple)):
        return [to_text(item) for item in value]
    return value.decode("latin-1") if isinstance(value, (bytes, bytearray)) else value


class Translated(importlib.machinery.SourceFileLoader):
    """Loads one file of the suite."""

    root = ""

    def source_to_code(self, data, path, **options):
        name = os.path.relpath(path, self.root).split(os.sep, 1)[1]
        text = REPLACED.get(name) or data.decode("latin-1").replace("\r\n", "\n")
        for old, new in IN_PLACES.get(name, []):
            if text.count(old) != 1:
                raise ImportError(f"{name}: {old!r} stands there {text.count(old)} times, not once")
            text = text.replace(old, new)
        for pattern, new in EVERYWHERE:
            text = re.sub(pattern, new, text, flags=re.MULTILINE)
        return compile(text, path, "exec", dont_inherit=True)

    def set_data(self, path, data, **options):
        """Nothing is cached: a change of the rules must have its effect."""


def stand_in(name, **contents):
    """A module that is not installed; what is not given is an empty class."""
    module = types.ModuleType(name)
    module.__getattr__ = lambda what: type(what, (), {})
    module.__dict__.update(contents)
    sys.modules[name] = module
    return module


def install(root):
    """Makes `autobahntestsuite` importable from the unpacked sources under `root`."""
    Translated.root = root
    finder = importlib.machinery.FileFinder.path_hook((Translated, [".py"]))

    def only_here(path):
        if not os.path.abspath(path).startswith(root):
            raise ImportError
        return finder(path)

    sys.path_hooks.insert(0, only_here)
    sources = [os.path.join(root, folder) for folder in sorted(os.listdir(root))]
    sys.path[:0] = sources
    suite = next(path for path in sources if "autobahntestsuite" in path)

    builtins.xrange = range
    builtins.python2_has = lambda table, key: key in table
    builtins.python2_hex = lambda data: binascii.b2a_hex(to_bytes(data)).decode("ascii")
    builtins.python2_bytes = to_bytes
    stand_in("pkg_resources", resource_filename=lambda package, name: os.path.join(suite, package, name))
    stand_in("twisted.internet.ssl")
    stand_in("autobahn.wamp", websocket=stand_in("autobahn.wamp.websocket"))
    stand_in("autobahntestsuite.report")
    # Not among the suite's cases, and written for an interface library of another age.
    stand_in("autobahntestsuite.case.case9_9_1", __all__=[])


def mend():
    """Gives the loaded suite its two borders between texts and bytes: sending and comparing."""
    from autobahn.websocket.protocol import WebSocketProtocol
    from autobahntestsuite import fuzzing
    from autobahntestsuite.case import Case

    def sends(name):
        plain = getattr(WebSocketProtocol, name)

        def method(self, *arguments, **named):
            arguments = [to_bytes(argument) for argument in arguments]
            return plain(self, *arguments, **{key: to_bytes(value) for key, value in named.items()})

        setattr(fuzzing.FuzzingProtocol, name, method)

    for name in ("sendFrame", "sendMessage", "sendMessageFrameData"):
        sends(name)

    def send_close_frame(self, code=None, reasonUtf8=None, isReply=False):
        if isReply and isinstance(reasonUtf8, str):
            # The library has decoded the peer's reason as UTF-8, so it goes back as that.
            reasonUtf8 = reasonUtf8.encode("utf-8")
        return WebSocketProtocol.sendCloseFrame(self, code, to_bytes(reasonUtf8), isReply)

    fuzzing.FuzzingProtocol.sendCloseFrame = send_close_frame
    Case.compare = lambda self, one, other: to_text(one) == to_text(other)
    return fuzzing
