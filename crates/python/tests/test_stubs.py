"""The stubs say what is there: every public name, and every argument."""

import ast
import inspect
import pathlib

import minutebook
from minutebook import _native

STUB = pathlib.Path(_native.__file__).with_name("_native.pyi")
AIO = STUB.with_name("aio.pyi")
PROTOCOLS = {
    "__enter__", "__exit__", "__aenter__", "__aexit__", "__iter__", "__next__", "__aiter__", "__anext__", "__len__", "__getitem__",
    "__contains__", "__arrow_c_schema__", "__arrow_c_stream__", "__arrow_c_array__",
}


def stub(path=STUB):
    tree = ast.parse(path.read_text())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    return classes, functions


def told(node):
    return {item.name: item for item in node.body if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))}


def there(cls):
    return {name for name in vars(cls) if not name.startswith("_") or name in PROTOCOLS}


def arguments(function):
    spec = function.args
    names = [arg.arg for arg in [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]]
    return [name for name in names if name not in ("self", "cls")]


def test_every_public_name_is_in_the_stub_and_the_reverse():
    classes, functions = stub()
    awaited, _ = stub(AIO)
    native = {name for name in vars(_native) if not name.startswith("_")}
    assert native == set(classes) | set(functions)
    for name, node in classes.items():
        names = {name for name in told(node) if name not in ("__new__", "__init__")}
        if "__getitem__" in names:
            names.discard("__iter__")  # a sequence can be iterated over as it is
        if name in awaited:
            names |= {name for name in told(awaited[name]) if name.startswith("__a")}
        assert names == there(getattr(_native, name)), name


def test_arguments_are_those_of_the_stub():
    classes, _ = stub()
    for name, node in classes.items():
        for method, function in told(node).items():
            found = getattr(_native, name).__dict__.get(method)
            if method.startswith("_") or found is None or not callable(found):
                continue
            names = [parameter.name for parameter in inspect.signature(found).parameters.values() if parameter.name != "self"]
            if "filter" in names:
                # The conditions are spelled out in the stub.
                names.remove("filter")
                assert arguments(function)[: len(names)] == names, f"{name}.{method}"
            else:
                assert arguments(function) == names, f"{name}.{method}"


def test_what_is_awaited_is_what_is_answered_at_once():
    """Each class of the one stub that does anything is in the other, with the same calls."""
    classes, _ = stub()
    awaited, _ = stub(AIO)
    at_once = {"watch", "follow", "appender", "new_id", "take_unwritten", "to_arrow", "to_pandas", "to_polars"}
    refused = {"__enter__", "__exit__", "__iter__", "__next__", "__aenter__", "__aexit__", "__aiter__", "__anext__"}
    for name, node in awaited.items():
        plain, other = told(classes[name]), told(node)
        assert plain.keys() - refused == other.keys() - refused, name
        for method in plain.keys() - refused - {"__new__"}:
            before, after = plain[method], other[method]
            assert ast.dump(before.args) == ast.dump(after.args), f"{name}.{method}"
            answer, given = ast.unparse(before.returns), ast.unparse(after.returns)
            is_call = not before.decorator_list and not method.startswith("__")
            expected = f"Awaitable[{answer}]" if is_call and method not in at_once else answer
            assert given == expected, f"{name}.{method}"
    values = {
        name
        for name, node in classes.items()
        if not any(not method.decorator_list and not method.name.startswith("__") for method in told(node).values())
    }
    inner = {"FileLock", "LineLog", "DecisionFiles", "Walk", "StoredDecision", "StoredEntry"}
    assert set(classes) - set(awaited) <= values | inner


def test_what_is_public_is_exported_and_has_documentation():
    for name in minutebook.__all__:
        found = getattr(minutebook, name)
        if inspect.isclass(found) or callable(found):
            assert (found.__doc__ or "").strip(), name
    for cls in (getattr(minutebook, name) for name in minutebook.__all__):
        for method, found in vars(cls).items() if inspect.isclass(cls) else ():
            if callable(found) and not method.startswith("_") and not issubclass(cls, BaseException):
                assert (found.__doc__ or "").strip(), f"{cls.__name__}.{method}"
    assert pathlib.Path(_native.__file__).with_name("py.typed").exists()
