"""The exact text of an episode, as the template makes it, with what a model learns to say marked.

    rendered(Episode("dogs?", media=["b.png"], answer="one"))
    [("<image>User:dogs? GPT:<answer>", False), ("one<|endofchunk|>", True)]

No tokenizer is needed: text that a tokenizer would put first is left out.
"""

import secrets
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from otter.prompt import CHAT_TEMPLATE, Episode

# Around what is learned, until the text is cut there; no text of a dataset can contain it.
_FENCE = secrets.token_hex(16)


class _Generation(Extension):
    """The block that marks what a model learns to say; Jinja does not know it by itself."""

    tags = {"generation"}  # noqa: RUF012  (as Jinja declares it)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_fenced")
        return nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _fenced(self, caller: Any) -> str:
        return f"{_FENCE}{caller()}{_FENCE}"


def _raise(message: str) -> None:
    raise TemplateError(message)


_ENVIRONMENT = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[_Generation]
)
_ENVIRONMENT.globals["raise_exception"] = _raise


def rendered(episode: Episode, template: str = CHAT_TEMPLATE) -> list[tuple[str, bool]]:
    """Pieces of the text in order, each with whether a model learns to say it.

    Args:
        episode: only how many media there are counts, not what they are.
        template: a chat template of :func:`otter.prompt.chat_template`.
    """
    messages = episode.messages(with_answer=episode.answer is not None)
    text = _ENVIRONMENT.from_string(template).render(messages=messages, bos_token=None)
    pieces = [(piece, place % 2 == 1) for place, piece in enumerate(text.split(_FENCE))]
    return [piece for piece in pieces if piece[0]]
