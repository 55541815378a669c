"""The tree back as text, in one layout. `parse` of the text gives the same tree again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from appliance.rules.tbel import ast

_UNPRINTABLE = re.compile(r'[\x00-\x1f"\\\x7f-\xa0\ud800-\udfff]')
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def print_script(block: ast.Block) -> str:
    """The text of a script."""
    return "\n".join(_statement(s, "") for s in block.statements)


def _quote(text: str) -> str:
    def escape(match: re.Match[str]) -> str:
        return _ESCAPES.get(match.group()) or f"\\u{ord(match.group()):04X}"

    return '"' + _UNPRINTABLE.sub(escape, text) + '"'


def _list(nodes: tuple[ast.Expression, ...]) -> str:
    return ", ".join(map(expression, nodes))


def _chain(node: ast.Chain) -> str:
    parts = [expression(node.operands[0])]
    for operator, operand in zip(node.operators, node.operands[1:], strict=True):
        parts += [operator, expression(operand)]
    return " ".join(parts)


def _element(node: ast.Expression) -> str:
    """An element of a literal; an omitted one stays empty."""
    return "null" if isinstance(node, ast.Constant) and node.name == "null" else expression(node)


def _map(node: ast.MapLiteral) -> str:
    pairs = [f"{t}: {_element(v)}" for t, v in zip(node.key_texts, node.values, strict=True)]
    return "{" + ", ".join(pairs) + "}" if pairs else "{}"


def _call(node: ast.Call) -> str:
    if node.target is None:
        return f"{node.name}({_list(node.arguments)})"
    point = ".?" if node.null_safe else "."
    return f"{expression(node.target)}{point}{node.name}({_list(node.arguments)})"


def _new_array(node: ast.NewArray) -> str:
    if node.size is not None:
        return f"new {node.type}[{expression(node.size)}]"
    return f"new {node.type}[] {{{_list(node.items)}}}"


def _projection(node: ast.Projection) -> str:
    condition = "" if node.condition is None else f" if {expression(node.condition)}"
    return f"({expression(node.item)} in {expression(node.source)}{condition})"


def _with(node: ast.With) -> str:
    pairs = [f"{n} = {expression(v)}" for n, v in zip(node.names, node.values, strict=True)]
    return f"{expression(node.target)}.{{ {', '.join(pairs)} }}"


def _step(node: ast.Step) -> str:
    mark = node.operator * 2
    target = expression(node.target)
    return f"{mark}{target}" if node.prefix else f"{target}{mark}"


_BRACKETS = {False: "[{0}]", True: "{{{0}}}"}
_EXPRESSIONS: dict[type, Callable[[Any], str]] = {
    ast.Number: lambda n: n.text,
    ast.Text: lambda n: _quote(n.value),
    ast.Constant: lambda n: n.name,
    ast.Name: lambda n: n.name,
    ast.Property: lambda n: f"{expression(n.target)}{'.?' if n.null_safe else '.'}{n.name}",
    ast.Index: lambda n: f"{expression(n.target)}[{expression(n.index)}]",
    ast.Call: _call,
    ast.Group: lambda n: f"({expression(n.inner)})",
    ast.ListLiteral: lambda n: _BRACKETS[n.array].format(", ".join(map(_element, n.items))),
    ast.MapLiteral: _map,
    ast.Unary: lambda n: f"{n.operator}{' ' if n.operator == '-' else ''}{expression(n.operand)}",
    ast.Cast: lambda n: f"({n.type}) {expression(n.operand)}",
    ast.New: lambda n: f"new {n.type}({_list(n.arguments)})",
    ast.NewArray: _new_array,
    ast.Chain: _chain,
    ast.Assign: lambda n: f"{expression(n.target)} {n.operator} {expression(n.value)}",
    ast.Step: _step,
    ast.IsDefined: lambda n: f"isdef {n.name}",
    ast.Projection: _projection,
    ast.With: _with,
}


def expression(node: ast.Expression) -> str:
    """The text of an expression."""
    return _EXPRESSIONS[type(node)](node)


def _block(block: ast.Block, indent: str) -> str:
    if not block.statements:
        return "{ }"
    inner = indent + "  "
    lines = [_statement(s, inner) for s in block.statements]
    return "{\n" + "\n".join(lines) + f"\n{indent}}}"


def _statement(node: ast.Statement, indent: str) -> str:
    return indent + _STATEMENTS[type(node)](node, indent)


def _declare(node: ast.Declare, indent: str) -> str:
    value = "" if node.value is None else f" = {expression(node.value)}"
    return f"{node.type or 'var'} {node.name}{value};"


def _if(node: ast.If, indent: str) -> str:
    text = f"if ({expression(node.condition)}) {_block(node.then, indent)}"
    return text if node.otherwise is None else f"{text} else {_block(node.otherwise, indent)}"


def _while(node: ast.While, indent: str) -> str:
    head = f"{'until' if node.until else 'while'} ({expression(node.condition)})"
    body = _block(node.body, indent)
    return f"do {body} {head};" if node.first_body else f"{head} {body}"


def _inline(block: ast.Block) -> str:
    return " ".join(_statement(s, "") for s in block.statements).removesuffix(";")


def _for(node: ast.For, indent: str) -> str:
    head = f"{_inline(node.start)}; {expression(node.condition)}; {_inline(node.after)}"
    return f"for ({head}) {_block(node.body, indent)}"


def _for_each(node: ast.ForEach, indent: str) -> str:
    return f"foreach ({node.name} : {expression(node.source)}) {_block(node.body, indent)}"


def _switch(node: ast.Switch, indent: str) -> str:
    lines = [f"switch ({expression(node.subject)}) {{"]
    for case in node.cases:
        lines += [f"{indent}  case {expression(label)}:" for label in case.labels]
        lines += [_statement(s, indent + "    ") for s in case.body.statements]
        if not any(isinstance(s, ast.Return) for s in case.body.statements):
            lines.append(f"{indent}    break;")
    if node.default is not None:
        lines.append(f"{indent}  default:")
        lines += [_statement(s, indent + "    ") for s in node.default.statements]
    return "\n".join([*lines, indent + "}"])


def _return(node: ast.Return, indent: str) -> str:
    return "return;" if node.value is None else f"return {expression(node.value)};"


def _function(node: ast.Function, indent: str) -> str:
    return f"function {node.name}({', '.join(node.parameters)}) {_block(node.body, indent)}"


_STATEMENTS: dict[type, Callable[[Any, str], str]] = {
    ast.Evaluate: lambda n, indent: expression(n.expression) + ";",
    ast.Declare: _declare,
    ast.If: _if,
    ast.While: _while,
    ast.For: _for,
    ast.ForEach: _for_each,
    ast.Switch: _switch,
    ast.Return: _return,
    ast.Break: lambda n, indent: "break;",
    ast.Assert: lambda n, indent: f"assert {expression(n.condition)};",
    ast.Function: _function,
}
