"""What ``otter quickstart`` shows: the page, and the tables in the terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table as RichTable

from otter.evaluate.charts import Point
from otter.evaluate.report import (
    Arm,
    Curve,
    CurveLine,
    Headline,
    NextStep,
    ReportData,
    write_report,
)
from otter.evaluate.results import Results
from otter.evaluate.samples import choose_samples, selection_rule
from otter.evaluate.tables import Table, accuracy_table, controls_table
from otter.evaluate.tasks import FewShotTask

if TYPE_CHECKING:
    from otter.cli.comparison import ArmPlan

BASE = "nano-base"
BASE_LABEL = "before tuning"
EXAMPLES = 4
"""At so many the page leads with the accuracy, and shows questions to look at."""
HEADLINE = Headline(
    "names that were never trained", ("name_glyph", "name_digit", "name_kind_held_out"), EXAMPLES
)
SAMPLE_TASKS = (*HEADLINE.tasks, "rule")
COMPARED = (
    "Three copies of one small vision-language model were tuned for the same number of steps: on "
    "episodes of worked examples, on the very same question-answer pairs one by one, and one by "
    "one on pairs that can be answered from the picture alone. Then all were asked about pictures, "
    "words and combinations that none of them had seen."
)
REMARKS = (
    "Names are made up for each question and spelled by the model piece by piece; an answer counts "
    "only when every letter is right.",
    "With two names, repeating one of them blindly scores about 50 %. With one example the other "
    "name was not shown yet, so about half of the questions cannot be answered.",
    "Training losses of the arms do not say which is better: without examples the meaning of a "
    "made-up name cannot be known.",
)


def write_page(
    out: Path,
    results: Results,
    arms: "Sequence[ArmPlan]",
    curves: dict[str, Any],
    measured: dict[str, Any],
    tasks: Sequence[FewShotTask],
) -> None:
    """Write ``report.html``.

    Args:
        out: the folder of the run.
        results: of all arms and of the model they started from.
        arms: in the order of the page.
        curves: by arm, points of loss and accuracy; see ``Comparison``.
        measured: where the figures come from.
        tasks: those that were asked; from some of them questions are shown.
    """
    shown = [Arm(arm.name, arm.label, arm.description) for arm in arms]
    shown.append(Arm(BASE, BASE_LABEL, "the model that all three started from"))
    shown_tasks = [task for task in tasks if task.name in SAMPLE_TASKS]
    data = ReportData(
        title="Does a model learn more from examples?",
        compared=COMPARED,
        arms=shown,
        results=results,
        headline=HEADLINE,
        curves=_curves(curves),
        samples=choose_samples(results, shown_tasks, shots=EXAMPLES),
        samples_rule=selection_rule(arms[0].label),
        run=_run(measured),
        next_steps=_next_steps(out, arms[0].name),
        remarks=REMARKS,
    )
    partial = out / ".report.html.partial"
    write_report(partial, data)
    partial.replace(out / "report.html")


def print_tables(results: Results, arms: "Sequence[ArmPlan]", out: Path, console: Console) -> None:
    """The k-shot table, the controls, and what to type next."""
    labels = {**{arm.name: arm.label for arm in arms}, BASE: BASE_LABEL}
    for table in (accuracy_table(results, labels), controls_table(results, labels)):
        console.print(_rich(table))
    # Not wrapped: a path or a command should be copied in one piece.
    lines = [f"\nThe page with curves and pictures: {out / 'report.html'}"]
    lines += [f"  {step.command}\n      {step.what}" for step in _next_steps(out, arms[0].name)]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _curves(curves: dict[str, Any]) -> tuple[Curve, ...]:
    loss = tuple(
        CurveLine(arm, tuple(Point(p["pairs"], p["loss"]) for p in values["loss"]))
        for arm, values in curves.items()
    )
    accuracy = tuple(
        CurveLine(
            arm,
            tuple(
                Point(p["pairs"], p["accuracy"], p["low"], p["high"]) for p in values["accuracy"]
            ),
        )
        for arm, values in curves.items()
    )
    pairs = "question-answer pairs learned from"
    return (
        Curve(
            f"Accuracy at {EXAMPLES} examples, unseen glyphs",
            pairs,
            "right answers, %",
            accuracy,
            percent=True,
        ),
        Curve("Training loss", pairs, "loss per token", loss, note="each arm on its own data"),
    )


def _run(measured: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    seconds = "; ".join(f"{name} {value:.0f} s" for name, value in measured["seconds"].items())
    machine = measured["machine"]
    arms = measured["arms"]
    steps = "; ".join(
        f"{name.replace('_', ' ')}: {arm['steps']:,} steps, {arm['pairs']:,} pairs, "
        f"{arm['seconds']:.0f} s"
        for name, arm in arms.items()
    )
    return (
        ("command", measured["command"]),
        ("date", measured["date"]),
        ("time", seconds),
        ("training", steps),
        ("peak memory", f"{measured['peak_memory_bytes'] / 2**30:.2f} GiB"),
        ("machine", f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"),
        ("versions", ", ".join(f"{name} {v}" for name, v in measured["versions"].items())),
    )


def _next_steps(out: Path, arm: str) -> tuple[NextStep, ...]:
    return (
        NextStep(
            'otter ask PICTURE "what is this?" --example CAT "what is this?" "cat" '
            '--example DOG "what is this?" "dog"',
            "ask the shipped model about pictures of your own",
        ),
        NextStep(
            f'otter ask PICTURE "what is this?" --model {out / arm / "model"}',
            "ask the model that you have just tuned",
        ),
        NextStep("otter nano tune", "make the shipped model again, from its recipe"),
    )


def _rich(table: Table) -> RichTable:
    drawn = RichTable(title=table.title, title_justify="left")
    for number, column in enumerate(table.columns):
        drawn.add_column(column, justify="left" if number < 2 else "right")
    for row in table.rows:
        drawn.add_row(*row)
    return drawn
