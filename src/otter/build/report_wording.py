"""How instructions are worded: the verb or question word that leads, and the noun it is about.

    leading_pair("Please describe the main differences.")   ("describe", "difference")
    leading_pair("How many red cars are there?")             ("how many", "car")

An approximation for English without a parser: a list of verbs, of question words and of the small
words between them and a noun. The head of the first noun phrase is taken to be its last word. What
fits no rule is counted as not understood, so the share that was understood belongs to the figures.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_VERBS = _set(
    """add analyse analyze answer ask assess calculate caption categorize check choose classify
    compare complete compose compute construct continue convert count create decide deduce define
    depict describe design detail detect determine differentiate discuss distinguish draft draw
    elaborate enumerate estimate evaluate examine explain explore express extract fill find follow
    generate give guess highlight identify illustrate imagine infer inspect interpret label list
    locate look make mark match mention name narrate note observe offer organize outline paraphrase
    point predict present propose provide rank rate read recognize recommend recount rephrase report
    review rewrite say select share show sketch solve sort specify spot state suggest summarize
    summarise take tell think transcribe translate use verify view watch write"""
)
_QUESTION = _set("what which who whom whose where when why how")
_AUXILIARY = _set(
    """is are was were be been being am do does did has have had can could will would shall should
    may might must"""
)
_AFTER_HOW = _set("many much long old often far big large tall high fast wide deep")
_POLITE = re.compile(
    r"^(?:(?:please|kindly|now|then|so|ok|okay|hi|hello|hey|also|first|next|finally|and|but)[ ,]+"
    r"|(?:can|could|would|will) you (?:please |kindly )?(?:try to |help me )?(?:to )?"
    r"|(?:i (?:want|need|would like|'d like) you to|i want to|help me(?: to)?|let'?s|try to) )+"
)
_SKIPPED = _set(
    """the a an this that these those they he she we i my your his her its our their some any all
    each every no both either neither me us you him them it there here in on at of for to from with
    by about into between among within over under through during using as if and or so very most
    more main following given two three four five several many different possible brief short
    detailed concise one provided first second third last next new good best own"""
)
_ENDS = _set(
    """in on at of for to from with by about into between among within over under through during
    using as if and or but so that which who whose where when while because than then like without
    based is are was were be do does did has have had can could will would shall should may might
    must not"""
)
_DETERMINERS = _set("the a an this that these those my your his her its our their")
_MORE_VERBS = _set("see sees seen call called go goes going gone fit fits happen happens happening")
_ADVERBS = _set("now please here there again together just only also not")
_KINDS = _set("kind kinds type types sort sorts number amount list lot couple pair")
_WORD = re.compile(r"[a-z]+(?:[’'-][a-z]+)*")
_SENTENCE = re.compile(r"[.?!;:\n]")


def leading_pair(instruction: str) -> tuple[str, str] | None:
    """The leading verb or question word of an instruction with its noun; None where none is found.

    The noun is empty where there is a verb and no noun ("Describe!").
    """
    text = _POLITE.sub("", instruction.lower().replace("’", "'").strip(" \"'«»-*#"))
    words = _WORD.findall(_SENTENCE.split(text, maxsplit=1)[0])
    if not words:
        return None
    first, rest = words[0].removesuffix("'s"), words[1:]
    if first in _QUESTION:
        if first == "how" and rest and rest[0] in _AFTER_HOW:
            return f"how {rest[0]}", _noun(rest[1:])
        return first, _noun(rest)
    if first in _AUXILIARY:
        return f"{first} …?", _noun(rest)
    if first in _VERBS:
        return first, _noun(rest)
    return None


def wording(instructions: Sequence[str], *, verbs: int = 20, nouns: int = 4) -> dict[str, Any]:
    """Counts of leading pairs.

    Args:
        instructions: distinct ones.
        verbs: how many leading words are listed.
        nouns: how many nouns of each.
    """
    pairs = Counter(pair for text in instructions if (pair := leading_pair(text)) is not None)
    leads: Counter[str] = Counter()
    for (lead, _), count in pairs.items():
        leads[lead] += count
    listed = []
    for lead, count in leads.most_common(verbs):
        own = Counter({noun: n for (verb, noun), n in pairs.items() if verb == lead and noun})
        top = [{"noun": noun, "count": n} for noun, n in own.most_common(nouns)]
        listed.append({"verb": lead, "count": count, "nouns": top, "different_nouns": len(own)})
    return {
        "instructions": len(instructions),
        "understood": sum(pairs.values()) / (len(instructions) or 1),
        "different_pairs": len(pairs),
        "different_verbs": len(leads),
        "verbs": listed,
    }


def _noun(words: Iterable[str]) -> str:
    """The last word of the first noun phrase: ``["the", "red", "cars", "in", "it"]`` gives car."""
    phrase: list[str] = []
    previous = ""
    for word in (word.removesuffix("'s") for word in words):
        before, previous = previous, word
        # "What shapes do you see?" and "which way goes it?" have a verb where a noun may stand;
        # behind "the", a name or a list is a noun.
        if word in _ADVERBS | _MORE_VERBS or (
            not phrase and before not in _DETERMINERS and word in _VERBS
        ):
            continue
        if phrase and (word in _ENDS or word in _SKIPPED or word in _QUESTION):
            if phrase[-1] in _KINDS and word == "of":
                phrase.clear()  # "what kind of animal" asks about the animal
                continue
            break
        if word in _SKIPPED or word in _AUXILIARY or word in _QUESTION or word in _ENDS:
            continue
        phrase.append(word)
        if len(phrase) == 4:
            break
    # A word in -ing behind the noun says what it does: "the man holding".
    while len(phrase) > 1 and phrase[-1].endswith(("ing", "ly", "ed")):
        phrase.pop()
    return _singular(phrase[-1]) if phrase else ""


def _singular(noun: str) -> str:
    if len(noun) > 4 and noun.endswith("ies"):
        return f"{noun[:-3]}y"
    if len(noun) > 4 and noun.endswith(("ches", "shes", "sses", "xes")):
        return noun[:-2]
    if len(noun) > 3 and noun.endswith("s") and not noun.endswith(("ss", "us", "is")):
        return noun[:-1]
    return noun
