"""Reads ROOT files: the branches of one tree that hold one number per row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, ToolMissing, UserError
from hwnas_hls_plugins.tasks.file_task.table import (
    Table,
    check_file,
    check_size,
    listed,
    plain_column,
    unreadable,
)


def read_root(path: Path, name: str = "", ignore: Sequence[str] = ()) -> Table:
    """The branches of a tree (TTree or RNTuple), by uproot.

    Branches of vectors and of objects are left out, with a remark.

    Args:
        name: of the tree; needed if the file has several.
        ignore: branches to skip.

    Raises:
        UserError: not a ROOT file, no or several trees, or no branch of numbers.
        ToolMissing: uproot is not installed.
    """
    check_file(path)
    try:
        import uproot
    except ImportError as error:
        raise ToolMissing("ROOT files need the package uproot: pip install 'hwnas-hls[data]'") from error
    where = str(path)
    try:
        with uproot.open(path) as file:
            tree = file[_tree(file, name, where)]
            branches = [key for key in tree.keys() if key not in ignore]  # noqa: SIM118 (not a mapping)
            flat = [key for key in branches if _is_flat(tree[key])]
            if not flat:
                raise UserError(
                    "the tree has no branch with one number per row",
                    kind=ErrorKind.WRONG_FORMAT,
                    where=where,
                    found=listed(branches) or "no branches",
                    remedy="flatten vectors to one branch per number",
                )
            check_size(int(tree.num_entries), len(flat), where)
            columns = {key: plain_column(key, tree[key].array(library="np"), where) for key in flat}
    except UserError:
        raise
    except Exception as error:  # uproot raises errors of many kinds for damaged files
        raise unreadable("ROOT file", where, error) from error
    rest = [key for key in branches if key not in flat]
    remark = f"{len(rest)} branches of vectors or objects left out: {', '.join(rest[:5])}"
    return Table(where, columns, remarks=(remark + (", ..." if len(rest) > 5 else ""),) if rest else ())


def _tree(file: Any, name: str, where: str) -> str:
    kinds = file.classnames()
    trees = sorted({key.partition(";")[0] for key, kind in kinds.items() if kind in _TREES})
    if name:
        if name.partition(";")[0] not in trees:
            raise UserError("the file has no such tree", where=f"{where}: table", found=name, choices=trees)
        return name
    if len(trees) == 1:
        return str(trees[0])
    raise UserError(
        "the file has several trees" if trees else "the file has no tree",
        kind=ErrorKind.AMBIGUOUS if trees else ErrorKind.MISSING,
        where=where,
        found=listed(trees) or listed(kinds) or "an empty file",
        remedy="name one: --set task.table=NAME" if trees else "write the rows as a TTree or an RNTuple",
    )


_TREES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple", "ROOT::Experimental::RNTuple")


def _is_flat(branch: Any) -> bool:
    """Whether a branch holds one number or text per row."""
    kind = getattr(getattr(branch, "interpretation", None), "numpy_dtype", None)
    if kind is None:  # a field of an RNTuple
        return str(getattr(branch, "typename", "")) in _FIELDS
    return kind.kind in "biuf" and kind.shape == ()


_INTEGERS = (f"std::{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64))
_FIELDS = frozenset(("bool", "float", "double", *_INTEGERS))
