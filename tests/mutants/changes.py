"""Small wrong changes to a program, each of which a test should notice."""

import ast
import dataclasses
import re
from collections.abc import Iterator

_COMPARISONS = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
_ARITHMETIC = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "+",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "//",
    ast.Pow: "*",
    ast.BitOr: "&",
    ast.BitAnd: "|",
}
_WORDS = {
    "channels_first": "channels_last",
    "channels_last": "channels_first",
    "same": "valid",
    "valid": "same",
    "float32": "float16",
    "inputs": "outputs",
    "outputs": "inputs",
}
# Calls that are replaced by their first argument, or by their object.
_WRAPPERS = re.compile(
    "abs|astype|cast|copy|deepcopy|flip|lower|max|min|moveaxis|pad|rev|"
    "reversed|set|sorted|stop_gradient|strip|transpose|wide"
)
# Decorators that are not removed: this would only make the code slower, or
# there would be no function.
_KEPT_DECORATORS = re.compile(
    "abstractmethod|cache|cached_property|classmethod|contextmanager|"
    "dataclass|lru_cache|overload|property|setter|staticmethod|wraps"
)
_DELETED = (ast.AugAssign, ast.Raise, ast.Delete, ast.Continue, ast.Break)


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A module with one change.

    Attributes:
        module: The path of the module.
        where: The function or class around the change.
        first: The number of the first changed line.
        last: The number of the last changed line.
        line: The text of the first line.
        change: A short description of the change.
        source: The whole changed module.
        scopes: The lines of the functions and classes around it, the innermost
            first.
    """

    module: str
    where: str
    first: int
    last: int
    line: str
    change: str
    source: str = dataclasses.field(repr=False)
    scopes: tuple[tuple[int, int], ...] = dataclasses.field(repr=False)


def mutants(module: str, source: str) -> list[Mutant]:
    """Returns all changes of a module, in the order of its lines."""
    encoded = source.encode()
    starts = [0]
    for line in encoded.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def span(node: ast.AST) -> tuple[int, int]:
        return (
            starts[node.lineno - 1] + node.col_offset,
            starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def text(node: ast.AST) -> str:
        first, last = span(node)
        return encoded[first:last].decode()

    found = []
    for node, scopes in _nodes(ast.parse(source), ()):
        for old, new in _changes(node, text):
            first, last = span(old)
            if encoded[first - 1 : first] == b"@":
                first -= 1
            changed = encoded[:first] + new.encode() + encoded[last:]
            found.append(
                Mutant(
                    module,
                    ".".join(scope.name for scope in reversed(scopes)),
                    old.lineno,
                    old.end_lineno,
                    encoded[starts[old.lineno - 1] : starts[old.lineno]]
                    .decode()
                    .strip(),
                    f"{_short(text(old))} -> {_short(new)}",
                    changed.decode(),
                    tuple((s.lineno, s.end_lineno) for s in scopes),
                )
            )
    return found


def _short(text: str) -> str:
    return " ".join(text.split())


def _nodes(node: ast.AST, scopes: tuple) -> Iterator[tuple[ast.AST, tuple]]:
    """Yields nodes that run, with the functions and classes around them."""
    yield node, scopes
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        scopes = (node, *scopes)
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "exc", "msg", "cause"):
            continue
        if isinstance(node, ast.keyword) and node.arg == "strict":
            continue
        for child in value if isinstance(value, list) else [value]:
            # Texts are for people; other tests check messages.
            is_words = isinstance(child, (ast.JoinedStr, ast.Assert))
            if not isinstance(child, ast.AST) or is_words or _is_alias(child):
                continue
            if _is_set(node, child):
                for item in child.elts:
                    yield from _nodes(item, scopes)
            else:
                yield from _nodes(child, scopes)


def _is_set(node: ast.AST, child: ast.AST) -> bool:
    """Tells whether a tuple only has members: their order does not matter."""
    if not isinstance(child, ast.Tuple):
        return False
    match node:
        case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[other]):
            return child is other
        case ast.Call(func=ast.Name(id="isinstance" | "issubclass")):
            return True
    return isinstance(node, ast.ExceptHandler)


def _is_alias(node: ast.AST) -> bool:
    """Tells whether a statement names a type."""
    match node:
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            return True
        case ast.Assign(value=ast.Subscript(value=ast.Name(id=name))):
            return name in ("Callable", "Sequence", "dict", "list", "tuple")
    return False


def _changes(node: ast.AST, text) -> Iterator[tuple[ast.AST, str]]:
    """Yields pairs of a node and its replacement."""
    match node:
        case ast.Compare():
            sides = [node.left, *node.comparators]
            for i, op in enumerate(node.ops):
                # What stands between, with its brackets.
                words = [text(sides[0])]
                for j, right in enumerate(node.comparators):
                    sign = _COMPARISONS[type(op)] if i == j else None
                    words += [sign or _sign(node.ops[j]), text(right)]
                yield node, f"({' '.join(words)})"
        case ast.BoolOp():
            both = isinstance(node.op, ast.And)
            values = [f"({text(value)})" for value in node.values]
            yield node, f"({(' or ' if both else ' and ').join(values)})"
            for i in range(len(values)):
                rest = values[:i] + values[i + 1 :]
                yield node, f"({(' and ' if both else ' or ').join(rest)})"
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node, f"({text(node.operand)})"
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            if not any(_is_words(side) for side in (node.left, node.right)):
                left, right = text(node.left), text(node.right)
                sign = _ARITHMETIC[type(node.op)]
                yield node, f"(({left}) {sign} ({right}))"
                yield node, f"({left})"
        case ast.Constant(value=bool()):
            yield node, str(not node.value)
        case ast.Constant(value=int() | float()):
            yield node, str(node.value + 1)
            if node.value:
                yield node, "0"
        case ast.Constant(value=str()) if node.value in _WORDS:
            yield node, f'"{_WORDS[node.value]}"'
        case ast.Call():
            yield from _changes_of_a_call(node, text)
        case ast.Dict():
            entries = [
                f"{text(key)}: {text(value)}" if key else f"**{text(value)}"
                for key, value in zip(node.keys, node.values, strict=True)
            ]
            for i in range(len(entries)):
                yield node, f"{{{', '.join(entries[:i] + entries[i + 1 :])}}}"
        case ast.Tuple(elts=[first, second], ctx=ast.Load()):
            if text(first) != text(second):
                yield node, f"({text(second)}, {text(first)})"
        case ast.IfExp():
            yield node, f"({text(node.body)})"
            yield node, f"({text(node.orelse)})"
        case ast.If():
            yield node.test, "True"
            yield node.test, "False"
        case ast.While():
            yield node.test, "False"
        case ast.comprehension():
            for test in node.ifs:
                yield test, "True"
        case ast.Slice():
            for part in (node.lower, node.upper, node.step):
                if part is not None:
                    yield part, ""
        case ast.ExceptHandler(type=ast.Tuple()):
            for i in range(len(node.type.elts)):
                rest = node.type.elts[:i] + node.type.elts[i + 1 :]
                yield node.type, f"({', '.join(map(text, rest))},)"
        case ast.FunctionDef():
            for decorator in node.decorator_list:
                name = text(decorator).split("(")[0].split(".")[-1]
                if not _KEPT_DECORATORS.fullmatch(name):
                    yield decorator, ""
        case (
            ast.Expr(value=ast.Call() | ast.Await())
            | ast.Assign(targets=[ast.Attribute() | ast.Subscript()])
        ):
            yield node, "pass"
        case _ if isinstance(node, _DELETED):
            yield node, "pass"


def _changes_of_a_call(node: ast.Call, text) -> Iterator[tuple[ast.AST, str]]:
    name = text(node.func).split(".")[-1]
    if name == "wrong":
        return
    arguments = [text(argument) for argument in node.args]
    keywords = [text(keyword) for keyword in node.keywords]

    def call(*words: str) -> str:
        return f"{text(node.func)}({', '.join(words)})"

    for i in range(len(keywords)):
        # Of `zip`, which guards against what does not happen.
        if keywords[i].startswith("strict="):
            continue
        yield node, call(*arguments, *keywords[:i], *keywords[i + 1 :])
    for i in range(len(arguments) - 1):
        a, b = arguments[i : i + 2]
        is_same = a == b or name in (
            *("max", "min", "add", "maximum", "transpose", "result_type"),
        )
        if not is_same and not any(word.startswith("*") for word in (a, b)):
            swapped = [*arguments[:i], b, a, *arguments[i + 2 :]]
            yield node, call(*swapped, *keywords)
    if _WRAPPERS.fullmatch(name):
        is_method = isinstance(node.func, ast.Attribute)
        if is_method and name in ("astype", "copy", "lower", "strip"):
            yield node, text(node.func.value)
        elif arguments and not arguments[0].startswith("*"):
            yield node, f"({arguments[0]})"


def _sign(op: ast.cmpop) -> str:
    a, b = ast.Name("a"), ast.Name("b")
    return ast.unparse(ast.Compare(a, [op], [b]))[2:-2]


def _is_words(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_words(node.left) or _is_words(node.right)
    is_words = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return is_words or isinstance(node, ast.JoinedStr)
