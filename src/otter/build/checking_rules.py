"""What a store should keep to: every rule of ``otter data check``, in the words that it reports."""

from dataclasses import dataclass

from otter.prompt import SPECIAL_TOKENS

LONG_TEXT = 20_000
"""Characters of a text that a person should look at: few contexts of a model hold more."""

_COPY_AGAIN = "Copy the store again or build it again."
_CHOOSE_AGAIN = "Choose the examples again: otter data context."


@dataclass(frozen=True)
class Rule:
    """Something that should hold.

    Args:
        title: what is wrong where it does not, such as "an answer is blank".
        expected: what should stand there.
        next_step: what a person can do.
        is_problem: whether the store is unfit for use where it does not hold; else it is a remark.
    """

    title: str
    expected: str
    next_step: str
    is_problem: bool = True


def _remark(title: str, expected: str, next_step: str) -> Rule:
    return Rule(title, expected, next_step, is_problem=False)


# Files and manifest.
MANIFEST_UNFIT = Rule("the manifest cannot be used", "the manifest of a store", _COPY_AGAIN)
CHECKSUM = Rule(
    "a file has changed since it was written", "the checksum of the manifest", _COPY_AGAIN
)
FILE_UNREADABLE = Rule("a file cannot be read", "an Arrow file", _COPY_AGAIN)
BATCH_DAMAGED = Rule("a part of a file is damaged", "sound Arrow data", _COPY_AGAIN)
COLUMNS = Rule("a file has other columns", "the columns of a store of this version", _COPY_AGAIN)
COUNT = Rule("a count of the manifest is wrong", "what the files hold", _COPY_AGAIN)

# Texts.
ABSENT = Rule("a field is absent", "a value", _COPY_AGAIN)
BLANK_ID = Rule("an id is blank", "an id", "Give every record an id of its own.")
BLANK_SPLIT = Rule("a split is blank", "the name of a split", "Write split='train'.")
BLANK_ANSWER = Rule(
    "an answer is blank",
    "what the model should learn to say",
    "Leave the record out, or give the answer.",
)
NO_QUESTION = Rule(
    "neither a question nor media", "a question, or media to speak about", "Give either of them."
)
MARKER = Rule(
    "a marker of the prompt stands in a text",
    f"text without {', '.join(SPECIAL_TOKENS)}",
    "Take it out: the template writes a marker for each medium.",
)
LONG = _remark(
    "a text is very long", f"at most {LONG_TEXT:,} characters", "Shorten it or leave it out."
)
CONTROL = _remark("a text has control characters", "printable text", "Remove them.")
LOST = _remark(
    "a text has characters that were lost (\ufffd)",
    "the characters of the original",
    "Read the original in its own encoding.",
)
GARBLED = _remark(
    "a text was read in the wrong encoding", "é rather than Ã©", "Read the original as UTF-8."
)
NO_WORDS = _remark(
    "a text holds data instead of words",
    "words with spaces between them",
    "Look at it: it may be base64 or a long address.",
)
ECHO = _remark("an answer repeats its question", "an answer", "Look at it.")

# Numbers and references.
WEIGHT = Rule(
    "a weight is none", "a finite number of at least 0", "Write 1.0 for the usual weight."
)
EMPTY_MEDIUM = Rule("a medium has no frames", "one or more pictures", _COPY_AGAIN)
NO_IMAGE = Rule(
    "a picture or video that is not there", "a row of the store's pictures or videos", _COPY_AGAIN
)
VIDEO_FRAME = Rule(
    "a video is a frame of a clip", "a medium of its own for each video", "Split the medium."
)
NO_RECORD = Rule("a related record that is not there", "a row of the store's records", _COPY_AGAIN)
OWN_EXAMPLE = Rule("a question is its own example", "other records", _CHOOSE_AGAIN)
EXAMPLE_TWICE = _remark(
    "an example stands twice before a question", "different records", _CHOOSE_AGAIN
)
HELD_OUT_EXAMPLE = Rule(
    "a train record has an example of a held-out split", "a record of split 'train'", _CHOOSE_AGAIN
)
ID_TWICE = Rule("an id occurs twice", "an id of its own", "Rename or remove one of the two.")

# What only all records together show.
COPY = _remark(
    "a record repeats another: question, media and answer",
    "records that differ",
    "Leave copies out; to make a record count more, raise its weight.",
)
QUESTION_ACROSS = _remark(
    "a held-out question with its media stands in the train split as well",
    "questions that training does not see",
    "Leave it out of one of the splits.",
)
IMAGE_ACROSS = _remark(
    "a held-out record shows a picture of the train split",
    "pictures that training does not see",
    "Split by picture where figures shall tell of new pictures.",
)

# Pictures.
IMAGE_ID_TWICE = Rule("an id of a picture occurs twice", "an id of its own", _COPY_AGAIN)
ALIAS = Rule(
    "a further id of a picture points nowhere", "a row of the store's pictures", _COPY_AGAIN
)
NOT_A_PICTURE = Rule(
    "a picture cannot be decoded",
    "a picture that opens",
    "Leave it out, or import the original again.",
)
IMAGE_CHANGED = Rule("the bytes of a picture have changed", "those of its checksum", _COPY_AGAIN)
IMAGE_TWICE = _remark("a picture is stored twice", "each picture once", "Build the store again.")
TINY = _remark(
    "a picture is tiny", "at least 8 pixels on each side", "Look at it, or leave it out."
)
SLIM = _remark("a picture is a strip", "sides of at most 1 to 20", "Look at it, or cut it.")
UNUSED = _remark(
    "a picture is shown by no record", "pictures that are used", "Leave it out to save room."
)
VIDEO = Rule(
    "a video is not where it was, or not what it was",
    "the file that was imported",
    "Put it back; paths are relative to the store.",
)
