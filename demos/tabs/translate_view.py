"""How translations are shown: cards, the list of hypotheses, alignments, and scores against a reference."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nlpladder.views.heat_table import heat_table_html
from shell.bars import Card, note_html
from shell.bars import cards_html as bar_cards
from shell.limits import DemoError, check_text
from tabs.translate_search import MOST_CHARACTERS, Answer, check_lengths

if TYPE_CHECKING:
    import pandas as pd

#: References of one sentence.
MOST_REFERENCES = 8
HEADER = ("model", "search", "translation", "score", "tokens")
SCORES_HEADER = ("model", "search", "BLEU", "chrF", "references")
ONE_SENTENCE = (
    "One sentence says little: BLEU counts shared runs of one to four words, and of a single sentence it jumps with "
    "every word. Compare systems on hundreds of sentences, with an interval: metrics.json of a run has both."
)
_NONE = (
    "No model here translates. Make one: `accelerate launch recipes/climb_ladder.py --task translation --dataset "
    "world:phrasebook`, or `make demo` for a tiny set of everything."
)


def cards_html(answers: Sequence[Answer]) -> str:
    """Return what each model said, as cards side by side; nothing where nothing was asked.

    Args:
        answers: Of the models.
    """
    return bar_cards([_card(one) for one in answers])


def _card(answer: Answer) -> Card:
    about = note_html(" · ".join(part for part in (direction_text(answer.direction), answer.title) if part))
    if not answer.hypotheses:
        return Card(answer.model, f"{about}<p>No answer: {html.escape(answer.problem)}</p>")
    best = answer.hypotheses[0]
    said = html.escape(best.text) or "<em>(an empty translation)</em>"
    counted = f"score {best.score:.3f} · {len(best.target_tokens)} tokens · {answer.seconds:.2f} s"
    hint = f"<p><strong>{html.escape(answer.hint)}</strong></p>" if answer.hint else ""
    return Card(
        answer.model,
        f'{about}{hint}<p dir="auto" style="font-size:1.15rem;margin:.5rem 0">{said}</p>',
        note=note_html(counted) + note_html(best.note),
    )


def direction_text(direction: tuple[str, str] | None) -> str:
    """Return what a model reads and writes, in words.

    Args:
        direction: Names of source and target; None where they are not known.
    """
    return "languages not known" if direction is None else f"reads {direction[0]}, writes {direction[1]}"


def directions_text(directions: dict[str, tuple[str, str] | None]) -> str:
    """Return a sentence about what the chosen models read, with a warning where they read different things.

    Args:
        directions: By name of the model.
    """
    if not directions:
        return _NONE
    told = " · ".join(f"{name}: {direction_text(one)}" for name, one in directions.items())
    known = [one for one in directions.values() if one is not None]
    if len({source for source, _ in known}) > 1:
        told += " — they read different languages, so one sentence cannot suit all of them."
    elif len({target for _, target in known}) > 1:
        told += " — they write different languages, so a right translation suits only some of them."
    return told


def hypotheses_table(answers: Sequence[Answer]) -> pd.DataFrame:
    """Return every hypothesis with its score, best first, then what greedy search found.

    Args:
        answers: Of the models.
    """
    import pandas as pd

    rows = []
    for answer in answers:
        found = [(f"beam, rank {rank}", one) for rank, one in enumerate(answer.hypotheses, 1)]
        if answer.greedy is not None:
            found.append(("greedy", answer.greedy))
        rows += [
            (answer.model, how, one.text, round(float(one.score), 4), len(one.target_tokens)) for how, one in found
        ]
    return pd.DataFrame(rows, columns=list(HEADER))


def greedy_text(answers: Sequence[Answer]) -> str:
    """Return a sentence a model on whether beam search found a better translation than greedy search.

    Args:
        answers: Of the models.
    """
    told = []
    for answer in answers:
        if answer.greedy is None or not answer.hypotheses:
            continue
        best, greedy = answer.hypotheses[0], answer.greedy
        if greedy.target_tokens == best.target_tokens:
            told.append(f"{answer.model}: greedy search and beam search found the same translation.")
        else:
            than = "lower" if greedy.score < best.score else "higher"
            told.append(
                f"{answer.model}: greedy search found another one, with a {than} score ({greedy.score:.3f} against "
                f"{best.score:.3f}). A higher score means more probable for the model, not better for a reader."
            )
    return "\n\n".join(told)


def alignments_html(answers: Sequence[Answer]) -> str:
    """Return the alignment of each model's best translation as a heat table, or why there is none.

    Args:
        answers: Of the models.
    """
    parts = []
    # One scale for all maps, up to the largest weight there is: weights of long sentences are small, and would be pale.
    found = [answer.hypotheses[0].alignment for answer in answers if answer.hypotheses]
    strongest = max((float(one.max()) for one in found if one is not None and one.size), default=0.0)
    for answer in answers:
        if not answer.hypotheses:
            continue
        best = answer.hypotheses[0]
        name = html.escape(answer.model)
        if best.alignment is None:
            parts.append(f"<p>{name} has no attention: it reads the whole sentence into one vector.</p>")
            continue
        try:
            check_lengths(best)
        except DemoError as error:
            parts.append(f"<p>{name}: {html.escape(str(error))}</p>")
            continue
        if not best.target_tokens:
            continue
        parts.append(
            heat_table_html(
                best.alignment,
                best.target_tokens,
                best.source_tokens,
                caption=f"{answer.model}: where it looked in the source for each token it wrote",
                row_name="Written",
                column_name="Read",
                strongest=strongest or 1.0,
            )
        )
    return "".join(parts)


def references_of(value: str) -> list[str]:
    """Return the reference translations of a box, one a line.

    Args:
        value: What was typed; may be empty.

    Raises:
        DemoError: If there are more than `MOST_REFERENCES`, or the box holds too much.
    """
    text = check_text(value, "The reference", most=MOST_CHARACTERS * 2, empty=True)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > MOST_REFERENCES:
        raise DemoError(f"There are {len(lines)} references, one a line; at most {MOST_REFERENCES} are read.")
    return lines


def reference_scores(answers: Sequence[Answer], references: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """Return BLEU and chrF of each translation, and how they were computed.

    BLEU of Papineni et al. 2002 and chrF of Popović 2015 by sacreBLEU (Post 2018). Of a single sentence BLEU takes
    only the orders that the sentence has (effective order), as sacreBLEU's own ``sentence_bleu`` does.

    Args:
        answers: Of the models.
        references: Right translations; none gives an empty table.
    """
    import pandas as pd

    rows: list[tuple[str, str, float, float, int]] = []
    if not references:
        return pd.DataFrame(rows, columns=list(SCORES_HEADER)), ""
    from sacrebleu.metrics import BLEU, CHRF

    bleu, chrf = BLEU(effective_order=True), CHRF()
    listed = list(references)
    for answer in answers:
        found = [("beam, rank 1", answer.hypotheses[0])] if answer.hypotheses else []
        found += [("greedy", answer.greedy)] if answer.greedy is not None else []
        for how, one in found:
            scores = [round(metric.sentence_score(one.text, listed).score, 1) for metric in (bleu, chrf)]
            rows.append((answer.model, how, scores[0], scores[1], len(listed)))
    table = pd.DataFrame(rows, columns=list(SCORES_HEADER))
    if not rows:
        return table, ""
    told = f"BLEU ({bleu.get_signature()}) and chrF ({chrf.get_signature()}): 0 to 100, n = 1 sentence, no interval."
    return table, f"{told} {ONE_SENTENCE}"
