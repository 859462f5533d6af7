"""Finds the source text that defines each case of sglang's test suites. Nothing of it is run or evaluated.

The text of a case is the call that makes it, and after it the constants and functions that this names, each from the
file that defines it: whoever changes one of them changes the case.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

TESTS = PurePosixPath("python/sglang/multimodal_gen/test/server")
SUITES = TESTS / "gpu_cases.py"
SUITES_OF_NPUS = TESTS / "ascend" / "testcase_configs_npu.py"
CONFIGS = TESTS / "testcase_configs.py"
WORKFLOW = PurePosixPath(".github/workflows/diffusion-ci-gt-gen.yml")
CASE_CLASS = "DiffusionTestCase"
DEFAULTS = "get_default_sampling_params_for_model_task"  # what a case without parameters of its own takes
LINE_END = b"\n"
CASE_ID = r"[A-Za-z0-9][A-Za-z0-9._-]*"

ReadFile = Callable[[PurePosixPath], bytes | None]
Tasks = Mapping[str, Collection[str]]  # of the model of each case that has no parameters of its own


@dataclass(frozen=True)
class Definition:
    """What defines a case: the name of the list or function that it stands in, and its text."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"# in {self.place}\n{self.text}"


@dataclass
class _Module:
    """A parsed file: what it defines at its top level, and what it imports from where."""

    path: PurePosixPath
    source: str
    statements: list[ast.stmt]
    lines: list[bytes] = field(init=False)
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, tuple[PurePosixPath, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lines = re.sub("\r\n?", "\n", self.source).encode().split(LINE_END)
        for statement in self.statements:
            match statement:
                case ast.ImportFrom(module=str(module), level=0):
                    path = PurePosixPath("python", *module.split(".")).with_suffix(".py")
                    self.imports |= {each.asname or each.name: (path, each.name) for each in statement.names}
                case ast.FunctionDef(name=name):
                    self.definitions.setdefault(name, []).append(statement)
                case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                    self.definitions.setdefault(name, []).append(statement)

    def text(self, node: ast.stmt | ast.expr) -> str:
        """A piece of the file, under the file's name; as `ast.get_source_segment`, which splits the file each time."""
        lines = self.lines[node.lineno - 1 : node.end_lineno]
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = b" " * node.col_offset + lines[0][node.col_offset :]
        return f"# {self.path}\n{textwrap.dedent(LINE_END.join(lines).decode())}\n"


def definitions(read: ReadFile, tasks: Tasks) -> dict[str, Definition]:
    """The definition of each case by its id; none where the file of the suites is not there or is no Python."""
    return _Checkout(read, tasks).definitions()


def official_ids(read: ReadFile) -> set[str] | None:
    """The ids in the matrix of official cases; None where the checkout holds no workflow with one."""
    text = (read(WORKFLOW) or b"").decode("utf-8", "replace")
    groups = re.search(r"^\s*groups\s*=\s*\{(.*?)\}\s*$", text, re.DOTALL | re.MULTILINE)
    lists = re.findall(r"\[(.*?)\]", groups[1], re.DOTALL) if groups else []
    return {name for each in lists for name in re.findall(rf"""["']({CASE_ID})["']""", each)} or None


class _Checkout:
    def __init__(self, read: ReadFile, tasks: Tasks) -> None:
        self._read, self._tasks = read, tasks
        self._modules: dict[PurePosixPath, _Module | None] = {}

    def definitions(self) -> dict[str, Definition]:
        places: dict[str, str] = {}
        pieces: dict[str, dict[str, None]] = {}  # in their order; a dictionary holds each of them once
        for suites, statement in self._statements():
            for name, call in _cases(statement):
                whole = statement if isinstance(statement, ast.FunctionDef) else call
                first = getattr(statement, "name", None) or next(iter(_names(statement)), "")
                places.setdefault(name, first)
                pieces.setdefault(name, {}).update(dict.fromkeys(self._pieces(suites, name, call, whole)))
        return {name: Definition(places[name], "".join(pieces[name])) for name in places}

    def _statements(self) -> Iterator[tuple[_Module, ast.stmt]]:
        """What may define a case: the statements of the suites' files; without that of all GPUs there is no suite."""
        for suites in (self._module(SUITES), self._module(SUITES_OF_NPUS)):
            if suites is None:
                return
            for statement in suites.statements:
                if not isinstance(statement, ast.ClassDef | ast.ImportFrom | ast.Import):
                    yield suites, statement

    def _pieces(self, suites: _Module, case: str, call: ast.Call, whole: ast.stmt | ast.expr) -> Iterator[str]:
        """The texts that define a case: its own, and those of the names that these lead to."""
        yield suites.text(whole)
        queue = [(suites, name) for name in _names(whole)]
        configs = self._module(CONFIGS)
        if _callee(call) == CASE_CLASS and not _has_parameters(call) and configs is not None:
            for part in _of_tasks(configs, self._tasks.get(case, ())):
                yield configs.text(part)
                queue += [(configs, name) for name in _names(part)]
        ids: set[int] = {id(whole)}
        while queue:
            for module, node in self._definitions(*queue.pop(0)):
                if id(node) not in ids and not any(True for _ in _cases(node)):
                    ids.add(id(node))
                    yield module.text(node)
                    queue += [(module, name) for name in _names(node)]

    def _definitions(self, module: _Module | None, name: str) -> Iterator[tuple[_Module, ast.stmt]]:
        """The statements that define a name, in this module or where it is imported from."""
        places = set()
        while module is not None and (module.path, name) not in places:
            places.add((module.path, name))
            if name in module.definitions or name not in module.imports:
                yield from ((module, statement) for statement in module.definitions.get(name, ()))
                return
            path, name = module.imports[name]
            module = self._module(path)

    def _module(self, path: PurePosixPath) -> _Module | None:
        if path not in self._modules:
            self._modules[path] = None
            data = self._read(path)
            try:
                source = (data or b"").decode("utf-8")
                statements = list(_statements(ast.parse(source).body))
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return None
            self._modules[path] = _Module(path, source, statements) if data else None
        return self._modules[path]


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a file's top level, those under a condition included."""
    for statement in body:
        if isinstance(statement, ast.If):
            yield from _statements([*statement.body, *statement.orelse])
        else:
            yield statement


def _cases(node: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """The calls that make a case, with its id: that is the first argument, or named."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and re.search(r"case$|^replace$", _callee(call), re.IGNORECASE):
            keywords = [word.value for word in call.keywords if word.arg in ("id", "case_id")]
            first = call.args[:1] if _callee(call) != "replace" else []
            for value in [*first, *keywords]:
                match value:
                    case ast.Constant(value=str(name)) if re.fullmatch(CASE_ID, name):
                        yield name, call


def _callee(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _has_parameters(call: ast.Call) -> bool:
    count = 3  # id, server arguments, sampling parameters
    return len(call.args) >= count or any(word.arg in ("sampling_params", None) for word in call.keywords)


def _of_tasks(configs: _Module, tasks: Collection[str]) -> Iterator[ast.stmt]:
    """What the function of the defaults says of some tasks; all of it, where that cannot be told apart."""
    for function in configs.definitions.get(DEFAULTS, ()):
        conditions = [part for part in getattr(function, "body", []) if isinstance(part, ast.If)]
        parts: list[ast.stmt] = [part for part in conditions if _attributes(part.test) & set(tasks)]
        yield from parts or [function]


def _attributes(node: ast.AST) -> set[str]:
    return {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}


def _names(node: ast.AST) -> list[str]:
    """The names that a piece of source uses, each once, in their order."""
    return list(dict.fromkeys(each.id for each in ast.walk(node) if isinstance(each, ast.Name)))
