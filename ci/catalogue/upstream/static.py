"""Reads values out of Python source without running any of it: it is parsed, and only what is understood is followed.

Understood are constants, lists and dicts, names and imports within the source tree, dataclasses and `replace`, small
functions, comprehensions, and conditions on the platform. Whatever else stands there is kept as its text.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .static_values import Open, Record, Source, added, as_constant, as_key, as_truth, compared, dumped, few, item_of

DEEPEST = 25  # calls of functions within each other
LONGEST = 1_000  # characters of a text that is put in place of a name
GROWING = frozenset(("append", "extend", "insert", "remove", "pop", "clear", "update", "setdefault", "sort", "reverse"))
UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
COPIES = {"list": list, "tuple": list, "dict": dict}


@dataclass(frozen=True, eq=False)
class Class:
    """A dataclass: its fields in order, with the expressions of their defaults."""

    name: str
    defaults: dict[str, ast.expr | None]
    scope: Scope


@dataclass(frozen=True, eq=False)
class Function:
    """A function, and the values of its parameters that a call may leave out."""

    node: ast.FunctionDef
    scope: Scope
    defaults: dict[str, Any]


@dataclass(frozen=True)
class _Imported:
    module: str
    name: str


class _Return(Exception):  # noqa: N818  # how a function's statements end
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


@dataclass
class Tree:
    """Python files below a folder, by the names of their modules."""

    root: Path
    answers: Mapping[str, bool]  # what a platform says of itself, by the text of the question
    modules: dict[str, Scope | None] = field(default_factory=dict)

    def module(self, name: str) -> Scope | None:
        """What a module defines at its top level; None where the tree holds no such file, or it is no Python."""
        if name not in self.modules:
            self.modules[name] = None  # until it is read: what it imports may import it
            try:
                text = self.root.joinpath(*name.split(".")).with_suffix(".py").read_bytes()
            except (OSError, ValueError):
                return None
            self.read(text, name)
        return self.modules[name]

    def read(self, text: str | bytes, name: str) -> Scope | None:
        """The same of a text, as the module of that name."""
        try:
            parsed = ast.parse(text)
        except UNPARSABLE:
            return None
        scope = self.modules[name] = Scope(self, name)
        scope.read(parsed.body)
        return scope


@dataclass
class Scope:
    """Names and their values, in a module, a function or a comprehension."""

    tree: Tree
    package: str
    outer: Scope | None = None
    names: dict[str, Any] = field(default_factory=dict)
    depth: int = 0

    def inner(self, names: dict[str, Any], deeper: int = 0) -> Scope:
        """A scope within this one."""
        return Scope(self.tree, self.package, self, names, self.depth + deeper)

    def get(self, name: str) -> Any:
        """What a name stands for; the name as text, where that is not known."""
        return self.value(ast.Name(name, ast.Load()))

    # Statements

    def read(self, statements: Iterable[ast.stmt]) -> None:
        """Read statements in their order. One that is not understood leaves a mark in every name that it may change."""
        for statement in statements:
            try:
                self._follow(statement, self.read)
            except (Open, RecursionError):
                self._mark(statement)

    def _run(self, statements: Iterable[ast.stmt]) -> None:
        """A function's statements: all of them are understood, or none counts."""
        for statement in statements:
            self._follow(statement, self._run)

    def _follow(  # noqa: C901, PLR0912  # one case a kind of statement
        self, statement: ast.stmt, block: Callable[[list[ast.stmt]], None]
    ) -> None:
        match statement:
            case ast.Assign(targets=targets, value=value) if all(isinstance(target, ast.Name) for target in targets):
                resolved = self.value(value)
                self.names.update((target.id, resolved) for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
                self.names[name] = self.value(value)
            case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value):
                self.names[name] = added(self._named(name), self._resolved(value), in_place=True)
            case ast.Expr(value=ast.Call(func=ast.Attribute(ast.Name(id=name), "append"), args=[item], keywords=[])):
                added(self._named(name), [self.value(item)], in_place=True)
            case ast.Expr(value=ast.Call(func=ast.Attribute(ast.Name(id=name), "extend"), args=[items], keywords=[])):
                added(self._named(name), self._resolved(items), in_place=True)
            case ast.Expr(value=ast.Call() as call):
                self._resolved(call)
            case ast.If(test=test, body=body, orelse=orelse):
                block(body if self._truth(test) else orelse)
            case ast.Return(value=value):
                raise _Return(self.value(value) if value is not None else None)
            case ast.ImportFrom(names=names):
                module = self._absolute(statement)
                self.names.update((alias.asname or alias.name, _Imported(module, alias.name)) for alias in names)
            case ast.FunctionDef(name=name):
                self.names[name] = Function(statement, self, dict(self._defaults(statement.args)))
            case ast.ClassDef(name=name) if any(_called(each) == "dataclass" for each in statement.decorator_list):
                self.names[name] = Class(name, dict(self._fields(statement)), self)
            case ast.Expr(value=ast.Constant()) | ast.Pass() | ast.Import():
                pass
            case _:
                raise Open

    def _mark(self, node: ast.stmt | ast.expr) -> None:
        """Mark what a piece of source may change; lists, dicts and records are marked for whoever has them."""
        text = Source(ast.unparse(node))
        for name, bound in dict(_changed(node)).items():
            match self._known(name):
                case list() as known:
                    known.append(text)  # what it holds still stands, but it may not be all
                case dict() as known:
                    known["…"] = text
                case Record(fields=known):
                    known["…"] = text
                case _ if bound:
                    self.names[name] = text

    def _known(self, name: str) -> Any:
        try:
            return self._named(name)
        except (Open, RecursionError):
            return None

    def _absolute(self, statement: ast.ImportFrom) -> str:
        above = self.package.split(".")[: -statement.level] if statement.level else []
        return ".".join([*above, *([statement.module] if statement.module else [])])

    def _defaults(self, given: ast.arguments) -> Iterator[tuple[str, Any]]:
        places = [*given.posonlyargs, *given.args]
        late = [*zip(places[len(places) - len(given.defaults) :], given.defaults, strict=True)]
        late += [(place, value) for place, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value]
        yield from ((place.arg, self.value(value)) for place, value in late)

    def _fields(self, statement: ast.ClassDef) -> Iterator[tuple[str, ast.expr | None]]:
        for base in statement.bases:
            parent = self.value(base)
            if isinstance(parent, Class):
                yield from parent.defaults.items()
        for line in statement.body:
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                yield line.target.id, line.value

    # Expressions

    def value(self, node: ast.expr) -> Any:
        """What an expression is; its text, where that is not resolved."""
        try:
            return self._evaluate(node)
        except (Open, RecursionError):
            self._mark(node)
            return Source(self._text(node))

    def _resolved(self, node: ast.expr) -> Any:
        found = self._evaluate(node)
        if isinstance(found, Source):
            raise Open
        return found

    def _evaluate(self, node: ast.expr) -> Any:  # noqa: C901, PLR0911, PLR0912  # one case a kind of expression
        match node:
            case ast.Constant(value=constant):
                return as_constant(constant)
            case ast.Name(id=name):
                return self._named(name)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return few(self._items(items))
            case ast.Dict():
                return dict(self._entries(node))
            case ast.JoinedStr(values=parts):
                return as_constant("".join(self._part(part) for part in parts))
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return added(self._resolved(left), self._resolved(right))
            case ast.BoolOp(op=op, values=values):
                return self._either(values, isinstance(op, ast.Or))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self._truth(operand)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return -as_constant(number)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return compared(self._resolved(left), op, self._resolved(right))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._evaluate(body if self._truth(test) else orelse)
            case ast.Attribute(value=owner, attr=name):
                return self._field(self._resolved(owner), name)
            case ast.Subscript(value=owner, slice=key):
                return item_of(self._resolved(owner), self._resolved(key))
            case ast.ListComp(elt=item, generators=[loop]) | ast.GeneratorExp(elt=item, generators=[loop]):
                return [scope.value(item) for scope in self._each(loop)]
            case ast.DictComp(key=key, value=value, generators=[loop]):
                return {as_key(scope._resolved(key)): scope.value(value) for scope in self._each(loop)}
            case ast.Call():
                return self._called(node)
        raise Open

    def _named(self, name: str) -> Any:
        scope: Scope | None = self
        while scope is not None and name not in scope.names:
            scope = scope.outer
        if scope is None:
            raise Open
        found = scope.names[name]
        if not isinstance(found, _Imported):
            return found
        module = self.tree.module(found.module)
        if module is None:
            raise Open
        return module._named(found.name)

    def _items(self, nodes: Iterable[ast.expr]) -> Iterator[Any]:
        for node in nodes:
            if not isinstance(node, ast.Starred):
                yield self.value(node)
                continue
            spread = self.value(node.value)
            yield from spread if isinstance(spread, list) else [Source(f"*{self._text(node.value)}")]

    def _entries(self, node: ast.Dict) -> Iterator[tuple[str, Any]]:
        for key, value in zip(node.keys, node.values, strict=True):
            if key is not None:
                yield as_key(self._resolved(key)), self.value(value)
                continue
            spread = self._resolved(value)
            if not isinstance(spread, dict):
                raise Open
            yield from spread.items()

    def _part(self, node: ast.expr) -> str:
        if isinstance(node, ast.FormattedValue) and node.format_spec is None and node.conversion == -1:
            node = node.value
        found = self._resolved(node)
        if not isinstance(found, str | int):
            raise Open
        return str(found)

    def _either(self, values: Iterable[ast.expr], wanted: bool) -> Any:
        found: Any = None
        for node in values:
            found = self._resolved(node)
            if as_truth(found) == wanted:
                break
        return found

    def _truth(self, node: ast.expr) -> bool:
        return as_truth(self._resolved(node))

    def _field(self, owner: Any, name: str) -> Any:
        if not isinstance(owner, Record):
            raise Open
        if name in owner.fields:
            return owner.fields[name]
        default = owner.of.defaults.get(name)
        if default is None:
            raise Open
        return owner.of.scope.value(default)

    def _each(self, loop: ast.comprehension) -> Iterator[Scope]:
        over = self._resolved(loop.iter)
        if not isinstance(over, list) or not isinstance(loop.target, ast.Name):
            raise Open
        for item in over:
            scope = self.inner({loop.target.id: item})
            if all(scope._truth(condition) for condition in loop.ifs):
                yield scope

    # Calls

    def _called(self, node: ast.Call) -> Any:
        name = _called(node)
        if name in self.tree.answers and not node.args and not node.keywords:
            return self.tree.answers[name]
        arguments = few(self._items(node.args))
        named = dict(self._keywords(node))
        if any(isinstance(given, Source) and given.text.startswith("*") for given in arguments):
            raise Open  # it is not known how many there are
        match name, arguments:
            case (("replace" | "dataclasses.replace"), [Record() as record]):
                return Record(record.of, record.fields | named)
            case "json.dumps", [document]:
                return dumped(document, named)
            case "str", [str() | int() as scalar]:
                return str(scalar)
            case (("list" | "tuple" | "dict"), [given]) if isinstance(given, COPIES[name]) and not named:
                return COPIES[name](given)
        return self._made(self._resolved(node.func), arguments, named)

    def _keywords(self, node: ast.Call) -> Iterator[tuple[str, Any]]:
        for keyword in node.keywords:
            if keyword.arg is not None:
                yield keyword.arg, self.value(keyword.value)
                continue
            spread = self._resolved(keyword.value)
            if not isinstance(spread, dict):
                raise Open
            yield from spread.items()

    def _made(self, target: Any, arguments: list[Any], named: dict[str, Any]) -> Any:
        if isinstance(target, Class):
            if len(arguments) > len(target.defaults):
                raise Open
            return Record(target, dict(zip(target.defaults, arguments, strict=False)) | named)
        if not isinstance(target, Function) or self.depth >= DEEPEST:
            raise Open
        scope = target.scope.inner(_bound(target, arguments, named), self.depth - target.scope.depth + 1)
        try:
            scope._run(target.node.body)
        except _Return as end:
            return end.value
        return None

    def _text(self, node: ast.expr) -> str:
        """The text of an expression, with what is known in place of names that mean nothing elsewhere."""
        try:
            return ast.unparse(_Filled(self).visit(copy.deepcopy(node)))
        except RecursionError:
            return "…"


class _Filled(ast.NodeTransformer):
    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if not isinstance(node.ctx, ast.Load):
            return node
        found = self.scope._known(node.id)
        if isinstance(found, Source) and len(found.text) <= LONGEST:
            return _expression(found.text) or node
        return ast.Constant(found) if isinstance(found, str | int | float) else node


def _expression(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except UNPARSABLE:
        return None


def _bound(function: Function, arguments: list[Any], named: dict[str, Any]) -> dict[str, Any]:
    """A function's parameters, with what a call gives them."""
    given = function.node.args
    places = [parameter.arg for parameter in (*given.posonlyargs, *given.args)]
    names = [*places, *(parameter.arg for parameter in given.kwonlyargs)]
    if given.vararg or given.kwarg or len(arguments) > len(places) or not named.keys() <= set(names):
        raise Open
    bound = function.defaults | dict(zip(places, arguments, strict=False)) | named
    if not set(names) <= bound.keys():
        raise Open
    return bound


def _called(node: ast.expr) -> str:
    """The dotted name of what is called, or that stands there without a call."""
    target = node.func if isinstance(node, ast.Call) else node
    return ast.unparse(target) if isinstance(target, ast.Name | ast.Attribute) else ""


def _changed(source: ast.stmt | ast.expr) -> Iterator[tuple[str, bool]]:
    """The names whose values a piece of source may change, and whether it may bind them to others."""
    loops = [node.target for node in ast.walk(source) if isinstance(node, ast.comprehension)]
    within = {id(node) for target in loops for node in ast.walk(target)}  # names that mean nothing outside
    for node in ast.walk(source):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) if id(node) not in within:
                yield name, True
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, True
            case ast.Subscript(value=owner, ctx=ast.Store() | ast.Del()):
                yield from _named_in(owner)
            case ast.Attribute(value=owner, ctx=ast.Store() | ast.Del()):
                yield from _named_in(owner)
            case ast.Call(func=ast.Attribute(value=owner, attr=method)) if method in GROWING:
                yield from _named_in(owner)
    if isinstance(source, ast.Expr) and isinstance(source.value, ast.Call):  # it is there for what it does
        for given in source.value.args:
            yield from _named_in(given)


def _named_in(node: ast.expr) -> Iterator[tuple[str, bool]]:
    yield from ((each.id, False) for each in ast.walk(node) if isinstance(each, ast.Name))
