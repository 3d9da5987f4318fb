"""The definitions in a real host's source file, read from its syntax tree, and how live objects differ from them."""

import ast
import dataclasses
import inspect


class Source:
    """The definitions of one real file."""

    def __init__(self, path):
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.definitions = {}
        for node in self.tree.body:
            for name in names(node):
                self.definitions[name] = node

    def methods(self, class_name):
        node = self.definitions[class_name]
        methods = {}
        for child in node.body:
            if isinstance(child, ast.FunctionDef):
                methods.setdefault(child.name, child)  # the getter of a property comes before its setter
        return methods

    def bases(self, class_name):
        return [ast.unparse(base).rpartition(".")[2] for base in self.definitions[class_name].bases]

    def attributes(self, class_name):
        """Names that the class's `__init__` puts on self."""
        init = self.methods(class_name).get("__init__")
        targets = [target for node in ast.walk(init) for target in _targets(node)]
        return {
            target.attr
            for target in targets
            if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self"
        }

    def value(self, name):
        return self.definitions[name].value


def _targets(node):
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, ast.AnnAssign) else []


def names(node):
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    return [target.id for target in _targets(node) if isinstance(target, ast.Name)]


def parameters_of(function):
    """[(name, kind, default or None)]; a default that is no literal is left out of the comparison."""
    args = function.args
    positional = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(positional) - len(args.defaults)) + args.defaults
    parameters = [(arg.arg, "positional", default) for arg, default in zip(positional, defaults)]
    if args.vararg:
        parameters.append((args.vararg.arg, "*", None))
    parameters += [(arg.arg, "keyword", default) for arg, default in zip(args.kwonlyargs, args.kw_defaults)]
    if args.kwarg:
        parameters.append((args.kwarg.arg, "**", None))
    return parameters


KINDS = {
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional",
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_KEYWORD: "**",
}


def differences(function, real, where):
    ours = list(inspect.signature(function).parameters.values())
    theirs = parameters_of(real)
    if [(p.name, KINDS[p.kind]) for p in ours] != [(name, kind) for name, kind, _ in theirs]:
        return [f"{where}{inspect.signature(function)} is {where}({ast.unparse(real.args)})"]
    found = []
    for parameter, (name, _, default) in zip(ours, theirs):
        try:
            wanted = inspect.Parameter.empty if default is None else ast.literal_eval(default)
        except ValueError:
            continue
        if parameter.default != wanted:
            found.append(f"{where}: default of {name} is {parameter.default!r}, not {wanted!r}")
    return found


def class_differences(cls, source, sources, own, where):
    real = {}
    pending = [(source, cls.__name__)]
    while pending:
        current, name = pending.pop(0)
        real = {**current.methods(name), **real}
        for base in current.bases(name):
            home = next((s for s in sources if isinstance(s.definitions.get(base), ast.ClassDef)), None)
            if home is not None:
                pending.append((home, base))
    found = []
    for name, member in vars(cls).items():
        if name.startswith("_") and name != "__init__":
            continue
        function = member.fget if isinstance(member, property) else inspect.unwrap(member) if callable(member) else None
        if not inspect.isfunction(function) or f"{cls.__name__}.{name}" in own:
            continue
        if dataclasses.is_dataclass(cls) and name == "__init__":
            continue
        if name not in real:
            found.append(f"{where}.{name} does not exist")
        else:
            found += differences(function, real[name], f"{where}.{name}")
    return found
