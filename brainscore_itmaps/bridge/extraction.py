"""Extract the definitions that some functions of this package need, as modules that import only each other.

A contribution to Brain-Score must not import this package. Its folder gets every function, class and constant that its
own code reaches, in their own words, and nothing else: definitions that are not reached are left out, imports between
modules become relative, and examples and cross-references in docstrings are left out.
"""

import ast
import re
import symtable
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from brainscore_itmaps.errors import ItMapsError

PACKAGE = "brainscore_itmaps"
HOME = Path(__file__).parents[1]
EXAMPLES = re.compile(r"\n*( *)Examples\n *-{8}\n.*?(?=\n*\Z)", re.DOTALL)
CROSS_REFERENCE = re.compile(rf":[a-z]+:`[~.]?(?:{PACKAGE}\.)?(?:\w+\.)*(\w+)(?:\(\))?`")
WIDTH = 120
Entries = tuple[tuple[str, tuple[str, ...]], ...]
"""Names of dicts with the keys that are kept of them."""


class ExtractionError(ItMapsError):
    """Code of this package that cannot be extracted, for example an import of a whole module."""


@dataclass(frozen=True)
class Statement:
    """A statement at the top level of a module, with the comments before it and the docstring after it.

    Attributes
    ----------
    lines : (int, int)
        First and last line, from 1.
    needs : frozenset of str
        Names of the module that it uses.
    imports : frozenset of (str, str)
        Modules of this package, and names there, that it imports inside a function.
    """

    lines: tuple[int, int]
    needs: frozenset[str]
    imports: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Module:
    """A module of this package, split into its statements.

    Attributes
    ----------
    name : str
        Dotted name below the package, such as ``metrics.folds``.
    text : list of str
        Lines of the file.
    docstring : str
    statements : dict of str to Statement
        The statement that defines each name.
    imports : dict of str to (str, str, int)
        Module, name there and level of each imported name; an empty name imports the module.
    """

    name: str
    text: list[str]
    docstring: str
    statements: dict[str, Statement] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)

    def import_of(self, name: str) -> tuple[str, str] | None:
        """Return the module and the name that a name is imported from; None if it is not imported."""
        return self.imports.get(name)


@cache
def read_module(name: str, entries: Entries = ()) -> Module:
    """Read a module of this package.

    Parameters
    ----------
    name : str
        Dotted name below the package.
    entries : tuple of (str, tuple of str)
        Names of dicts, such as ``metrics.folds.SOLVERS``, and the keys that are kept.

    Examples
    --------
    >>> module = read_module("text")
    >>> module.imports["Repr"], sorted(module.statements)[0]
    (('reprlib', 'Repr'), 'ABSENT')
    """
    path = HOME / name.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    source = file.read_text(encoding="utf-8")
    for table, keys in entries:
        if table.rpartition(".")[0] == name:
            source = _with_entries(source, table.rpartition(".")[2], keys)
    tree = ast.parse(source)
    module = Module(name, source.splitlines(), ast.get_docstring(tree) or "")
    tables = {table.get_lineno(): table for table in symtable.symtable(source, str(file.name), "exec").get_children()}
    body = tree.body
    for number, statement in enumerate(body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                origin = (alias.name, "") if isinstance(statement, ast.Import) else (statement.module or "", alias.name)
                module.imports[alias.asname or alias.name] = origin
            continue
        following = body[number + 1] if number + 1 < len(body) else None
        defined = Statement(
            _lines(statement, following, module.text), frozenset(_needs(statement, tables)), _inner(statement)
        )
        for defined_name in _defines(statement):
            earlier = module.statements.get(defined_name)  # overloads of a function come before it
            module.statements[defined_name] = defined if earlier is None else _joined(earlier, defined)
    return module


def _with_entries(source: str, name: str, keys: tuple[str, ...]) -> str:
    """Keep only some entries of a dict, each of which has lines of its own."""
    lines = source.splitlines()
    for statement in ast.parse(source).body:
        table = getattr(statement, "value", None)
        if name in _defines(statement) and isinstance(table, ast.Dict):
            for key, value in zip(table.keys, table.values, strict=True):
                assert isinstance(key, ast.Constant)
                assert value.end_lineno is not None
                if key.value not in keys:
                    lines[key.lineno - 1 : value.end_lineno] = [""] * (value.end_lineno - key.lineno + 1)
            assert statement.end_lineno is not None
            kept = [line for line in lines[statement.lineno - 1 : statement.end_lineno] if line]
            lines[statement.lineno - 1 : statement.end_lineno] = kept
    return "\n".join(lines) + "\n"


def _joined(first: Statement, second: Statement) -> Statement:
    return Statement((first.lines[0], second.lines[1]), first.needs | second.needs, first.imports | second.imports)


def _inner(statement: ast.stmt) -> frozenset[tuple[str, str]]:
    """Return what a statement imports from this package inside functions."""
    return frozenset(
        (node.module.removeprefix(f"{PACKAGE}."), alias.name)
        for node in ast.walk(statement)
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith(f"{PACKAGE}.")
        for alias in node.names
    )


def _defines(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id


def _lines(statement: ast.stmt, following: ast.stmt | None, text: list[str]) -> tuple[int, int]:
    """Return the first and last line of a statement with its decorators, comments before it and docstring after it."""
    first = min([statement.lineno, *(node.lineno for node in getattr(statement, "decorator_list", []))])
    while first > 1 and text[first - 2].startswith("#"):
        first -= 1
    documented = (
        isinstance(statement, ast.Assign | ast.AnnAssign)
        and isinstance(following, ast.Expr)
        and isinstance(following.value, ast.Constant)
        and isinstance(following.value.value, str)
    )
    assert statement.end_lineno is not None
    last = statement.end_lineno
    if documented and following is not None and following.end_lineno is not None:
        last = following.end_lineno
    return first, last


def _needs(statement: ast.stmt, tables: Mapping[int, symtable.SymbolTable]) -> set[str]:
    """Return the names of the module that a statement uses, also in annotations that are strings."""
    if not isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return _names(statement)
    outside = [*statement.decorator_list]
    if isinstance(statement, ast.ClassDef):
        outside += [*statement.bases, *(keyword.value for keyword in statement.keywords)]
    names = {name for node in outside for name in _names(node)} | _annotated(statement)
    for function in (node for node in ast.walk(statement) if isinstance(node, ast.FunctionDef | ast.Lambda)):
        defaults = [*function.args.defaults, *filter(None, function.args.kw_defaults)]
        names |= {name for node in defaults for name in _names(node)}
    return names | _globals(tables[statement.lineno])


def _names(node: ast.AST) -> set[str]:
    bound = {
        argument.arg
        for function in ast.walk(node)
        if isinstance(function, ast.Lambda)
        for argument in [*function.args.args, *function.args.kwonlyargs]
    }
    found = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)} - bound
    return found | _annotated(node)


def _annotated(node: ast.AST) -> set[str]:
    """Return the names in annotations, which may be strings."""
    names: set[str] = set()
    for child in ast.walk(node):
        annotations = [getattr(child, "annotation", None), getattr(child, "returns", None)]
        for annotation in filter(None, annotations):
            for part in ast.walk(annotation):
                if isinstance(part, ast.Name):
                    names.add(part.id)
                elif isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value.isidentifier():
                    names.add(part.value)
    return names


def _globals(table: symtable.SymbolTable) -> set[str]:
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
    for child in table.get_children():
        names |= _globals(child)
    return names


def reached(roots: Mapping[str, Iterable[str]], entries: Entries = ()) -> dict[str, set[str]]:
    """Find all definitions that some definitions need, by module.

    Parameters
    ----------
    roots : mapping of str to iterable of str
        Names of definitions, by module.
    entries : tuple
        As for :func:`read_module`.

    Raises
    ------
    ExtractionError
        When a module of this package is imported as a whole.

    Examples
    --------
    >>> sorted(reached({"metrics.repeats": ["fewest_repeats"]})["metrics.repeats"])
    ['fewest_repeats', 'recorded_repeats']
    """
    found: dict[str, set[str]] = {}
    waiting = [(module, name) for module, names in roots.items() for name in names]
    while waiting:
        module_name, name = waiting.pop()
        module = read_module(module_name, entries)
        if name in found.get(module_name, ()) or not (name in module.statements or name in module.imports):
            continue  # a builtin
        if (origin := module.import_of(name)) is not None and name not in module.statements:
            if origin[0].split(".")[0] == PACKAGE:
                if (
                    not origin[1]
                    or not (HOME / origin[0].removeprefix(PACKAGE)[1:].replace(".", "/")).with_suffix(".py").is_file()
                ):
                    raise ExtractionError(f"{module_name} imports {origin[0]} as a whole.", "Import its names.")
                waiting.append((origin[0].removeprefix(f"{PACKAGE}."), origin[1]))
            continue
        found.setdefault(module_name, set()).add(name)
        waiting += [(module_name, needed) for needed in module.statements[name].needs]
        waiting += module.statements[name].imports
    return {module: found[module] for module in sorted(found)}


def file_names(modules: Iterable[str]) -> dict[str, str]:
    """Name the file of each module: its last part, after its room where two modules share that.

    Examples
    --------
    >>> file_names(["metrics.folds", "benchmark.folds", "errors"])
    {'metrics.folds': 'metrics_folds', 'benchmark.folds': 'benchmark_folds', 'errors': 'errors'}
    """
    names = list(modules)
    last = [name.split(".")[-1] for name in names]
    return {
        name: name.replace(".", "_") if last.count(short) > 1 else short
        for name, short in zip(names, last, strict=True)
    }


def extract(roots: Mapping[str, Iterable[str]], entries: Entries = ()) -> dict[str, str]:
    """Write the definitions that some definitions need as modules of one folder, by file name without ``.py``.

    Parameters
    ----------
    roots : mapping of str to iterable of str
        Names of definitions, by module.
    entries : tuple
        As for :func:`read_module`: entries of tables that the definitions do not use are left out.

    Raises
    ------
    ExtractionError
        When a module of this package is imported as a whole.

    Examples
    --------
    >>> files = extract({"metrics.repeats": ["fewest_repeats"]})
    >>> list(files), "def recorded_repeats" in files["repeats"], "brainscore_itmaps" in files["repeats"]
    (['repeats'], True, False)
    """
    definitions = reached(roots, entries)
    files = file_names(definitions)
    return {files[name]: _written(read_module(name, entries), kept, files) for name, kept in definitions.items()}


def _written(module: Module, kept: set[str], files: Mapping[str, str]) -> str:
    blocks = sorted({module.statements[name].lines for name in kept})
    needed = {name for kept_name in kept for name in module.statements[kept_name].needs}
    imports = {name: origin for name, origin in module.imports.items() if name in needed and name not in kept}
    body = ""
    for first, last in blocks:
        text = "\n".join(module.text[first - 1 : last])
        definition = re.match(r"(?:#.*\n)*(?:@|def |class )", text)
        body += ("\n\n\n" if definition or body.endswith("\x00") else "\n") + text + ("\x00" if definition else "")
    body = re.sub("\x00\n?\n?\n?", "\n\n\n", body).replace("\x00", "").strip("\n")
    body = _inner_imports(_without_references(re.sub(r"\n{4,}", "\n\n\n", body)), files)
    docstring = f'"""{module.docstring}\n"""' if "\n" in module.docstring else f'"""{module.docstring}"""'
    parts = [_without_references(docstring), _import_lines(imports, files)]
    gap = "\n\n\n" if re.match(r"(?:#.*\n)*(?:@|def |class )", body) else "\n\n"
    return "\n\n".join(filter(None, parts)) + gap + body + "\n"


def _inner_imports(body: str, files: Mapping[str, str]) -> str:
    """Make the imports inside functions relative."""

    def relative(match: re.Match[str]) -> str:
        return f"from .{files[match[1]]} import"

    return re.sub(rf"from {PACKAGE}\.([\w.]+) import", relative, body)


def _import_lines(imports: Mapping[str, tuple[str, str]], files: Mapping[str, str]) -> str:
    """Write imports: of Python, of other packages, of the other modules."""
    groups: list[dict[tuple[str, bool], list[str]]] = [{}, {}, {}]
    for name, (origin, original) in imports.items():
        top = origin.split(".")[0]
        group = 2 if top == PACKAGE else 0 if top in sys.stdlib_module_names else 1
        source = f".{files[origin.removeprefix(f'{PACKAGE}.')]}" if group == 2 else origin
        shown = (original or origin) + (f" as {name}" if name != (original or origin) else "")
        groups[group].setdefault((source, bool(original)), []).append(shown)
    blocks = []
    for members in groups:
        lines = []
        for (source, from_import), names in sorted(
            members.items(), key=lambda entry: (entry[0][1], entry[0][0].lower())
        ):
            if not from_import:
                lines += [f"import {name}" for name in sorted(names)]
                continue
            line = f"from {source} import {', '.join(sorted(names, key=_isort))}"
            if len(line) > WIDTH:
                line = f"from {source} import (\n    " + ",\n    ".join(sorted(names, key=_isort)) + ",\n)"
            lines.append(line)
        blocks.append("\n".join(lines))
    return "\n\n".join(filter(None, blocks))


def _isort(name: str) -> tuple[int, str]:
    """Sort constants before classes before functions, as ruff does."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2, name)


def _without_references(text: str) -> str:
    """Leave out the examples of docstrings, and make cross-references plain names."""
    for docstring in dict.fromkeys(re.findall(r'r?"""(.*?)"""', text, re.DOTALL)):
        plain = CROSS_REFERENCE.sub(r"``\1``", docstring)
        shorter = EXAMPLES.sub("", plain)
        if shorter != plain:
            indent = re.search(r"\n( *)Examples\n", plain)
            shorter = shorter.rstrip() + ("\n" + indent[1] if indent and "\n" in shorter.strip() else "")
        text = text.replace(docstring, shorter)
    return text
