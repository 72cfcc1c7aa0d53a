"""Evaluates constant integer expressions in configurations without executing code."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

_EXPRESSION = re.compile(r"[\w\s+\-*/%()]{1,200}")


def evaluate(expression: str, names: Mapping[str, str], depth: int = 0) -> int | None:
    """The integer value of an expression of numbers, names and + - * / %, or ``None``.

    Args:
        expression: as written in C++.
        names: name -> expression, for the names in it.
    """
    if depth > 16 or not _EXPRESSION.fullmatch(expression):
        return None
    try:
        tree = ast.parse(re.sub(r"\b(\d+)[uUlL]+\b", r"\1", expression.strip()), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return _value(tree, names, depth)


def _value(node: ast.expr, names: Mapping[str, str], depth: int) -> int | None:
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is int and abs(node.value) < 2**40 else None
    if isinstance(node, ast.Name):
        inner = names.get(node.id)
        return None if inner is None else evaluate(inner, names, depth + 1)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _value(node.operand, names, depth)
        return None if value is None else -value
    if not isinstance(node, ast.BinOp):
        return None
    left, right = _value(node.left, names, depth), _value(node.right, names, depth)
    if left is None or right is None:
        return None
    if isinstance(node.op, ast.Add):
        result = left + right
    elif isinstance(node.op, ast.Sub):
        result = left - right
    elif isinstance(node.op, ast.Mult):
        result = left * right
    elif isinstance(node.op, ast.Div | ast.FloorDiv) and right:
        result = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    elif isinstance(node.op, ast.Mod) and right > 0 <= left:
        result = left % right
    else:
        return None
    return result if abs(result) < 2**40 else None
