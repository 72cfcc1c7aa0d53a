"""The answer to a second question, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas_hls.spec.notation import counted
from hwnas_hls.views.front_table import (
    KEY_DIGITS,
    front_table,
    legend,
    nearest_legend,
    nearest_table,
    records_table,
)

if TYPE_CHECKING:
    from rich.console import Console

    from hwnas_hls.run.second_question import Answer


def print_answer(console: Console, answer: Answer) -> None:
    """Print the exported designs, the candidates without a design, and how to export these."""
    from rich.text import Text

    front = answer.front

    def say(words: str, style: str = "", *, wrapped: bool = True) -> None:
        console.print(Text(words, style=style), soft_wrap=not wrapped)

    wanted = ", ".join(objective.metric for objective in front.goal.objectives)
    limits = ", ".join(
        str(limit) for limit in front.goal.limits if limit.bound != getattr(front.target, limit.metric, None)
    )
    say(f"objectives {wanted}; limits {limits or 'none'} ({front.goal.mode})")
    if front.members:
        say("Exported already (final numbers, scored on the test rows):", "bold")
        console.print(front_table(front))
    if answer.candidates:
        say("Not exported (numbers of the search, scored on the validation rows):", "bold")
        console.print(records_table(front, answer.candidates))
        for record in answer.candidates[:1]:
            say(f"  hwnas-hls export {answer.folder} {record.key[:KEY_DIGITS]}", wrapped=False)
    if front.members or answer.candidates:
        say(legend(front, answer.candidates), "dim")
    else:
        say("No candidate of this run meets these limits. The nearest:", "bold")
        console.print(nearest_table(front))
        say(nearest_legend(front), "dim")
    if answer.untrained:
        say(
            f"{counted(answer.untrained, 'candidate')} may meet these limits, but the search did not train "
            f"{'it' if answer.untrained == 1 else 'them'}. To go on from here:",
            "dim",
        )
        say(f"  hwnas-hls run --from {answer.folder} ... with these limits", "dim", wrapped=False)
