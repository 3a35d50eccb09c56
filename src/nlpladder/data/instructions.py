"""`load_instructions`: prompts with their completions, and whole conversations, from any source.

The columns are found by their names: ``messages`` or ``conversations``; ``instruction``, ``input`` and ``output`` as in
Alpaca; ``prompt`` and ``completion``; ``question`` and ``answer``. Every row becomes a conversation, whose assistant
turns are what a model learns to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nlpladder.data.chat_splits import (
    check_limits,
    convert_splits,
    fingerprint_of,
    limited,
    shared_prompts,
    with_missing_splits,
)
from nlpladder.data.columns import listing
from nlpladder.data.conversations import (
    Conversation,
    Message,
    UnusableRow,
    checked_turns,
    messages_of,
    prompt_key,
    with_input,
)
from nlpladder.data.reading import read_source
from nlpladder.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["InstructionText", "Message", "load_instructions"]

#: Names of columns, the likeliest first.
MESSAGES_NAMES = ("messages", "conversations", "conversation", "chat", "dialogue", "dialog")
PROMPT_NAMES = ("instruction", "prompt", "question", "query", "input", "user", "human")
COMPLETION_NAMES = ("output", "completion", "response", "answer", "assistant", "reply", "target")
INPUT_NAMES = ("input", "context")
SYSTEM_NAMES = ("system", "system_prompt")
KNOWN_LAYOUTS = (
    "Known layouts: messages (role, content) or conversations (from, value); instruction, input, output; prompt and "
    "completion; question and answer."
)


@dataclass(frozen=True)
class InstructionText:
    """Conversations with splits, ready for training, with the story of how they were read.

    Attributes:
        name: What the user asked for.
        splits: ``train``, ``validation`` and ``test``: conversations that end with the assistant.
        fingerprint: SHA-256 of all conversations and split names in order.
        notes: How columns and splits were found, and what was left out; in sentences.
    """

    name: str
    splits: dict[str, list[Conversation]]
    fingerprint: str
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return the text that is printed before training: sizes, lengths, notes and fingerprint."""
        sizes = ", ".join(f"{split} {len(found):,}" for split, found in self.splits.items())
        train = self.splits["train"]
        said: dict[str, list[int]] = {"user": [], "assistant": []}
        for conversation in train:
            for message in conversation:
                said.setdefault(message["role"], []).append(len(message["content"].split()))
        turns = len(said["assistant"]) / len(train)
        words = ", ".join(f"{role} {sum(said[role]) / len(said[role]):.1f}" for role in ("user", "assistant"))
        return "\n".join(
            [
                f"{self.name}: instructions",
                f"  conversations: {sizes}; answers a training conversation: {turns:.2f}",
                f"  words a turn: {words}",
                *(f"  - {note}" for note in self.notes),
                f"  fingerprint: {self.fingerprint[:16]}",
            ]
        )


def load_instructions(
    source: str, *, config: str | None = None, messages_column: str | None = None, prompt_column: str | None = None,
    input_column: str | None = None, completion_column: str | None = None, system_column: str | None = None,
    validation_fraction: float = 0.05, test_fraction: float = 0.05, split_seed: int = 42,
    max_train_samples: int | None = None, max_eval_samples: int | None = None, drop_bad_rows: bool = False,
    encoding: str = "utf-8", revision: str | None = None,
) -> InstructionText:  # fmt: skip
    """Load instructions with their answers from a file, a folder or the Hugging Face Hub.

    Args:
        source: A csv, tsv, json, jsonl or parquet file, plain or gzip; a folder of such files named by split; a Hub id.
        config: The configuration of a Hub data set.
        messages_column: The column with whole conversations.
        prompt_column: The column with the instruction or question.
        input_column: The column with what the instruction is about; it is put under the instruction.
        completion_column: The column with the answer.
        system_column: The column with the system message.
        validation_fraction: Share for validation where the source has no such split.
        test_fraction: Share for test where the source has neither.
        split_seed: Seed of the cut and of the subsets.
        max_train_samples: At most so many training conversations.
        max_eval_samples: At most so many conversations of each other split.
        drop_bad_rows: Whether rows that cannot be used are left out (and counted) instead of refused.
        encoding: The encoding of text files.
        revision: A branch, tag or commit of a Hub data set.

    Raises:
        DataError: The data cannot be used as they are; names the file, the rows and what to do.
        ConfigError: An argument makes no sense.
    """
    check_limits(max_train_samples, max_eval_samples)
    read = read_source(source, config=config, revision=revision, encoding=encoding)
    split = "train" if "train" in read.splits else next(iter(read.splits))
    columns = find_instruction_columns(
        read.splits[split].dataset.data.table,
        read.splits[split].places.name,
        messages=messages_column,
        prompt=prompt_column,
        given=input_column,
        completion=completion_column,
        system=system_column,
    )
    what = "conversations"
    found, dropped = convert_splits(read, columns.names, columns.conversation, what=what, drop_bad_rows=drop_bad_rows)
    splits, cut = with_missing_splits(
        source, found, prompt_key, validation_fraction=validation_fraction, test_fraction=test_fraction,
        seed=split_seed, what=what,
    )  # fmt: skip
    splits, limits = limited(splits, max_train_samples, max_eval_samples, split_seed, what)
    notes = (*read.notes, columns.note, *dropped, *cut, *limits, *shared_prompts(splits, prompt_key))
    return InstructionText(source, splits, fingerprint_of(splits), tuple(dict.fromkeys(notes)))


@dataclass(frozen=True)
class InstructionColumns:
    """Which column is what: one with whole conversations, or one each for prompt and completion."""

    messages: str | None = None
    prompt: str | None = None
    given: str | None = None
    completion: str | None = None
    system: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are read."""
        found = (self.messages, self.prompt, self.given, self.completion, self.system)
        return tuple(name for name in found if name is not None)

    @property
    def note(self) -> str:
        """Say in a sentence which column is what."""
        if self.messages is not None:
            text = f"The conversations are {self.messages!r}"
        else:
            under = f" with {self.given!r} under it" if self.given else ""
            text = f"The prompt is {self.prompt!r}{under}, the completion {self.completion!r}"
        return text + (f", the system message {self.system!r}." if self.system else ".")

    def conversation(self, row: dict[str, Any]) -> Conversation:
        """Return the conversation of a row.

        Raises:
            UnusableRow: Says what is wrong with it.
        """
        system = messages_of(row[self.system], role="system") if self.system else []
        if self.messages is not None:
            return checked_turns(_begun(system, messages_of(row[self.messages])))
        prompt = messages_of(row[str(self.prompt)], role="user")
        if self.given is not None and prompt and prompt[-1]["role"] == "user":
            said = with_input(prompt[-1]["content"], row[self.given])
            prompt = [*prompt[:-1], {"role": "user", "content": said}]
        completion = messages_of(row[str(self.completion)], role="assistant")
        if not prompt:
            raise UnusableRow("a completion without prompt")
        if not any(message["content"].strip() for message in completion):
            raise UnusableRow("a prompt without completion")
        return checked_turns(_begun(system, [*prompt, *completion]))


def _begun(system: Conversation, messages: Conversation) -> Conversation:
    """Put the system message of a column of its own before a conversation that has none."""
    return messages if messages and messages[0]["role"] == "system" else [*system, *messages]


def find_instruction_columns(
    table: pa.Table, place: str, *, messages: str | None = None, prompt: str | None = None, given: str | None = None,
    completion: str | None = None, system: str | None = None,
) -> InstructionColumns:  # fmt: skip
    """Find out which column is what: as asked for, else by name.

    Args:
        table: The training rows.
        place: The source, for errors.
        messages: As asked for; None looks for it. So for the others.
        prompt: The instruction.
        given: What is put under the instruction.
        completion: The answer.
        system: The system message.

    Raises:
        DataError: A column that was asked for is absent, or nothing fits; lists the columns and the known layouts.
    """
    names = {"messages": messages, "prompt": prompt, "input": given, "completion": completion, "system": system}
    for option, name in names.items():
        if name is not None and name not in table.column_names:
            hint = did_you_mean(name, table.column_names)
            raise DataError(f"{place} has no column {name!r} (--{option}_column).{hint} {listing(table)}")
    system = system or column_named(table, SYSTEM_NAMES)
    if messages is None and prompt is None and completion is None:
        messages = column_named(table, MESSAGES_NAMES)
        pairs = [column_named(table, (name,)) for name in ("chosen", "rejected")]
        if None not in pairs:
            raise DataError(
                f"{place} holds pairs of answers ({pairs[0]!r} and {pairs[1]!r}), which are for --task preferences. To "
                f"learn the better ones as instructions, name the columns: --completion_column {pairs[0]} and "
                f"--prompt_column. {listing(table)}"
            )
    if messages is not None:
        return InstructionColumns(messages=messages, system=system)
    completion = completion or column_named(table, COMPLETION_NAMES, without=(prompt,))
    prompt = prompt or column_named(table, PROMPT_NAMES, without=(completion,))
    if prompt is None or completion is None:
        lacking = "prompt" if prompt is None else "completion"
        raise DataError(
            f"{place}: found no column with the {lacking}; name it with --{lacking}_column. {listing(table)} "
            f"{KNOWN_LAYOUTS}"
        )
    if prompt == completion:
        raise DataError(f"{place}: the column {prompt!r} is asked for both as prompt and as completion.")
    given = given or column_named(table, INPUT_NAMES, without=(prompt, completion))
    return InstructionColumns(prompt=prompt, given=given, completion=completion, system=system)


def column_named(table: pa.Table, names: tuple[str, ...], *, without: tuple[str | None, ...] = ()) -> str | None:
    """Return the first column with one of some names, whatever its case."""
    by_lower = {name.lower(): name for name in reversed(table.column_names) if name not in without}
    return next((by_lower[name] for name in names if name in by_lower), None)
