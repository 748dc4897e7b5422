"""Which questions are shown, and what of them."""

import base64
from io import BytesIO

from PIL import Image

from otter.evaluate.fewshot import evaluate
from otter.evaluate.results import join
from otter.evaluate.samples import choose_samples, selection_rule
from otter.evaluate.tasks import FewShotTask
from otter.prompt import Episode

from .conftest import Names, Rule, bind, copy_last


def test_the_first_questions_and_the_next_wrong_ones_are_shown(task: FewShotTask) -> None:
    def poor(episode: Episode) -> str:
        answer = bind(episode)
        return "?" if answer in ("dax1", "dax9", "wug5", "wug7") else answer

    results = join(
        [
            evaluate(Rule(poor), [task], model="poor", shots=(4,), limit=None),
            evaluate(Rule(copy_last), [task], model="copier", shots=(4,), limit=None),
        ]
    )
    samples = choose_samples(results, [task], shots=4)
    assert [sample.row for sample in samples] == [0, 1, 5, 7]
    assert [sample.answers[0].right for sample in samples] == [True, False, False, False]
    first = samples[0]
    assert first.task == "New names"
    assert [turn.answer for turn in first.examples] == ["dax0", "wug0", "dax0", "wug0"]
    assert first.question.answer == "dax0"
    poor_answer, copied = first.answers
    assert (poor_answer.text, poor_answer.swapped, poor_answer.follows) == ("dax0", "wug0", True)
    assert (copied.text, copied.right, copied.swapped) == ("wug0", False, "wug0")


def test_a_task_that_was_not_asked_at_that_number_gives_none(
    task: FewShotTask, binder: Rule
) -> None:
    results = evaluate(binder, [task], model="binder", shots=(2,))
    assert choose_samples(results, [task], shots=4) == ()


def test_pictures_travel_inside_the_page(task: FewShotTask, binder: Rule) -> None:
    results = evaluate(binder, [task], model="binder", shots=(1,), limit=1)
    shown = choose_samples(results, [task], shots=1)[0].question.media[0][0]
    head, _, body = shown.address.partition(",")
    assert (head, shown.width, shown.height) == ("data:image/png;base64", 4, 4)
    row = results.predictions[0].row
    image = Image.open(BytesIO(base64.b64decode(body)))
    original = Image.open(BytesIO(Names().episodes[row].media[0]))
    assert image.convert("RGB").tobytes() == original.tobytes()


def test_large_pictures_become_small_and_clips_keep_their_frames() -> None:
    class Source:
        def episode(self, row: int, shots: int | None = None) -> Episode:
            photo = Image.linear_gradient("L").resize((900, 600)).convert("RGB")
            return Episode("what?", [photo, [photo, photo]], answer="a slope")

    task = FewShotTask("photo", Source(), [0])
    results = evaluate(Rule(lambda e: "a slope"), [task], model="m", shots=(0,))
    media = choose_samples(results, [task], shots=0)[0].question.media
    assert [len(frames) for frames in media] == [1, 2]
    assert (media[0][0].width, media[0][0].height) == (320, 213)
    assert media[0][0].address.startswith("data:image/jpeg")


def test_the_rule_is_told() -> None:
    assert selection_rule("with") == (
        "Chosen by a rule, not by hand: of each task the first 2 in the order of the data, "
        "then the next that “with” answered wrongly (2 at most)."
    )
