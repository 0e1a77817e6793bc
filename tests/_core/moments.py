"""Moments at which the interpreter may call the handler of a signal, told as a block runs."""

from __future__ import annotations

import dis
import sys
import threading
from collections.abc import Container
from types import CodeType, FrameType
from typing import Any

IS_MONITORED = sys.version_info >= (3, 12)
"""Whether `sys.monitoring` is there. Unlike a trace it goes on where what it calls raises."""
_MOMENTS = ("CALL", "RESUME", "JUMP_BACKWARD")
_NO_MOMENTS = "CALL_INTRINSIC"
"""Calls of functions of the interpreter itself, without a look for signals."""
_TOOL = 4
_NAMES: dict[int, tuple[CodeType, list[str]]] = {}


class Moments:
    """Is called at each of the moments in some modules, in the thread in which it is active.

    The interpreter calls handlers at calls, at the beginning of a function and at jumps back; here both before and
    after those.
    """

    goes_on = False
    """Whether more moments are told after one that raised."""

    def __init__(self, files: Container[str]) -> None:
        self.files = files
        self._last = ("", "", "")

    def at_moment(self, code: CodeType, offset: int) -> None:
        raise NotImplementedError

    def instruction(self, code: CodeType, offset: int) -> None:
        """Look at an instruction that comes next."""
        name = _names(code)[offset // 2]
        if name != "PRECALL":
            is_moment = self._is_moment(name)
            self._last = (*self._last[1:], name)
            if is_moment:
                self.at_moment(code, offset)

    def leave(self) -> None:
        """Take note that a moment raises: nothing comes between that and its handler."""
        self._last = ("", "", "")

    def _is_moment(self, name: str) -> bool:
        last = self._last
        if last == ("LOAD_CONST",) * 3:  # the call that ends a `with` block, which nothing precedes
            return False
        # Where a value is returned out of a `with` block, nothing comes between the value and the end of the block; nor
        # does anything between what raises and its handler.
        is_leaving = name in {"LOAD_CONST", "SWAP", "PUSH_EXC_INFO"}
        return _is_one(name) or ((_is_one(last[-1]) or last[-1].startswith("RETURN")) and not is_leaving)

    def active(self) -> Active:
        return Active(self)


def _is_one(name: str) -> bool:
    return name.startswith(_MOMENTS) and not name.startswith(_NO_MOMENTS)


def _names(code: CodeType) -> list[str]:
    """Return the names of the instructions. By the code's id: its hash would take as long as all of them."""
    if id(code) not in _NAMES:
        _NAMES[id(code)] = code, [dis.opname[op] for op in code.co_code[::2]]
    return _NAMES[id(code)][1]


def place_of(code: CodeType, offset: int) -> str:
    """Return the module, the line and the function of an instruction."""
    lines = (line for start, end, line in code.co_lines() if start <= offset < end)
    return f"{code.co_filename}:{next(lines, None)} {code.co_qualname}"


class _Monitor:
    """Tells of the instructions in the modules of what is active; `sys.monitoring` knows no threads."""

    def __init__(self) -> None:
        self._active: dict[int, Moments] = {}
        self._watched: dict[int, CodeType] = {}
        self._lock = threading.Lock()

    def current(self) -> Moments | None:
        return self._active.get(threading.get_ident())

    def switch(self, moments: Moments | None) -> None:
        """Make it the one that is active in this thread, or none."""
        with self._lock:
            was_in_use = bool(self._active)
            self._active.pop(threading.get_ident(), None)
            if moments is not None:
                self._active[threading.get_ident()] = moments
            if not was_in_use and self._active:
                self._begin()
            elif was_in_use and not self._active:
                self._end()
            elif moments is not None:
                sys.monitoring.restart_events()  # functions that were in no module of the others

    def _begin(self) -> None:
        monitoring, events = sys.monitoring, sys.monitoring.events
        monitoring.use_tool_id(_TOOL, "strikes")
        for event, callback in (
            (events.INSTRUCTION, self._instruction),
            (events.PY_START, self._entered),
            (events.PY_RESUME, self._entered),
            (events.PY_THROW, self._thrown_into),
        ):
            monitoring.register_callback(_TOOL, event, callback)
        monitoring.restart_events()
        monitoring.set_events(_TOOL, events.PY_START | events.PY_RESUME | events.PY_THROW)

    def _end(self) -> None:
        sys.monitoring.set_events(_TOOL, 0)
        for code in self._watched.values():
            sys.monitoring.set_local_events(_TOOL, code, 0)
        self._watched.clear()
        sys.monitoring.free_tool_id(_TOOL)

    # A handler of a signal is known by the frame that it is given: here it stands among the first names likewise.

    def _instruction(self, _code: CodeType, offset: int) -> None:
        frame = sys._getframe(1)
        self._tell(frame, offset)

    def _entered(self, code: CodeType, offset: int) -> object:
        frame = sys._getframe(1)
        if self._is_watched_now(code):
            self._tell(frame, offset)  # the instruction that it begins with
        return sys.monitoring.DISABLE

    def _thrown_into(self, code: CodeType, _offset: int, _error: BaseException) -> None:
        self._is_watched_now(code)

    def _tell(self, frame: FrameType, offset: int) -> None:
        moments = self.current()
        if moments is not None and frame.f_code.co_filename in moments.files:
            moments.instruction(frame.f_code, offset)

    def _is_watched_now(self, code: CodeType) -> bool:
        """Have the instructions of a function told, if it is in a module of what is active; whether that is new."""
        is_one = any(code.co_filename in moments.files for moments in tuple(self._active.values()))
        if not is_one or id(code) in self._watched:
            return False
        self._watched[id(code)] = code
        sys.monitoring.set_local_events(_TOOL, code, sys.monitoring.events.INSTRUCTION)
        return True


class _Trace:
    """Tells of the instructions, as a trace function. The interpreter ends it where it raises."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments

    def __call__(self, frame: FrameType, event: str, _arg: object) -> Any:
        if frame.f_code.co_filename not in self._moments.files:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self._moments.instruction(frame.f_code, frame.f_lasti)
        return self

    def go_on(self, frame: FrameType | None, _event: str, _arg: object) -> None:
        """As a profile function, which is not ended: begin again, from a call or return on, in all frames."""
        if sys.gettrace() is not None:
            return
        while frame is not None:
            if frame.f_code.co_filename in self._moments.files:
                frame.f_trace, frame.f_trace_opcodes = self, True
            frame = frame.f_back
        sys.settrace(self)


_MONITOR = _Monitor()


class Inactive:
    """A block of which nothing is told in this thread."""

    def __enter__(self) -> None:
        self._before = _MONITOR.current(), sys.gettrace(), sys.getprofile()
        self._begin()

    def _begin(self) -> None:
        end()

    def __exit__(self, *_: object) -> None:
        moments, trace, profile = self._before
        if IS_MONITORED:
            _MONITOR.switch(moments)
        else:
            sys.setprofile(profile)  # first: it would begin the trace again
            sys.settrace(trace)


class Active(Inactive):
    """A block of which moments are told. No function of contextlib ends it: it would be struck after what is struck."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments

    def _begin(self) -> None:
        if IS_MONITORED:
            _MONITOR.switch(self._moments)
            return
        trace = _Trace(self._moments)
        if self._moments.goes_on:
            sys.setprofile(trace.go_on)
        sys.settrace(trace)


def end() -> None:
    """Tell nothing more in this thread, up to the end of the block."""
    if IS_MONITORED:
        _MONITOR.switch(None)
    else:
        sys.setprofile(None)
        sys.settrace(None)
