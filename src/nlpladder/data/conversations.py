"""Conversations: messages of a system, a user and an assistant, read from the forms in which data sets hold them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

Role = Literal["system", "user", "assistant"]

#: What data sets call the three roles.
ROLE_NAMES: Mapping[str, Role] = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user", "customer": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "bot": "assistant", "chatgpt": "assistant",
    "chatbot": "assistant", "bing": "assistant", "bard": "assistant", "ai": "assistant",
}  # fmt: skip
#: Keys of a message: who speaks, and what.
MESSAGE_KEYS = (("role", "content"), ("from", "value"), ("speaker", "text"))
#: What data sets write where an instruction has no input.
NO_INPUT = frozenset({"", "<noinput>", "<no input>"})
_HH_TURN = re.compile(r"\n\n(Human|Assistant):")


class Message(TypedDict):
    """One turn: who speaks, and what."""

    role: Role
    content: str


Conversation = list[Message]


class UnusableRow(Exception):
    """Why a row is no conversation; loaders name the rows of each reason, or count them."""


def messages_of(value: Any, *, role: Role | None = None) -> Conversation:
    """Read a cell of a table as messages.

    Args:
        value: A list of messages (``role``/``content`` or ``from``/``value``), one such message, JSON of either (as csv
            files hold it), a text with the turns of Anthropic's HH data, or, with `role`, a plain text.
        role: Who says a plain text; None takes only messages.

    Raises:
        UnusableRow: It is none of these.
    """
    if value is None:
        return []
    if isinstance(value, str):
        return _from_text(value, role)
    if isinstance(value, Mapping):
        return [_message(value)]
    if isinstance(value, Sequence):
        return [_message(item) for item in value if item is not None]
    if role is not None and isinstance(value, (int, float)):
        return [{"role": role, "content": json.dumps(value)}]
    raise UnusableRow(f"a {type(value).__name__} where messages belong")


def checked_turns(messages: Conversation, *, answered: bool = True) -> Conversation:
    """Check that user and assistant take turns, and return the messages without an empty system message.

    Args:
        messages: A conversation.
        answered: Whether the assistant must have the last word; else the user must.

    Raises:
        UnusableRow: Says what is wrong.
    """
    turns = [message for message in messages if message["role"] != "system" or message["content"].strip()]
    if not turns:
        raise UnusableRow("no message")
    talk = turns[1:] if turns[0]["role"] == "system" else turns
    for number, message in enumerate(talk):
        if message["role"] == "system":
            raise UnusableRow("a system message that is not the first message")
        expected = ("user", "assistant")[number % 2]
        if message["role"] != expected:
            if number == 0:
                raise UnusableRow("a conversation that begins with the assistant")
            raise UnusableRow(f"roles that do not alternate ({message['role']} after {message['role']})")
        if not message["content"].strip():
            raise UnusableRow(f"an empty {message['role']} turn")
    if not talk:
        raise UnusableRow("a system message alone")
    if answered and talk[-1]["role"] == "user":
        raise UnusableRow("a prompt without completion" if len(talk) == 1 else "a conversation that ends with the user")
    if not answered and talk[-1]["role"] == "assistant":
        raise UnusableRow("a prompt that ends with the assistant")
    return turns


def prompt_key(messages: Conversation) -> str:
    """Return what two conversations share that begin with the same question: the user's first words, folded."""
    first = next((message["content"] for message in messages if message["role"] == "user"), "")
    return " ".join(first.casefold().split())


def with_input(instruction: str, given: Any) -> str:
    """Put what an instruction is about (Alpaca's `input`) under the instruction, after an empty line.

    Raises:
        UnusableRow: The input is no text.
    """
    if given is None:
        return instruction
    if isinstance(given, (Mapping, list)):
        raise UnusableRow("an input that is not text")
    text = str(given)
    return instruction if text.strip().lower() in NO_INPUT else f"{instruction}\n\n{text}"


def _from_text(text: str, role: Role | None) -> Conversation:
    if text.lstrip()[:1] in ("[", "{"):
        try:
            found = json.loads(text)
        except json.JSONDecodeError:
            found = None
        if _looks_like_messages(found):
            return messages_of(found)
    if text.startswith("\n\nHuman:") and "\n\nAssistant:" in text:
        return _from_hh_text(text)
    if role is None:
        if not text.strip():
            return []
        raise UnusableRow("a text where messages belong")
    return [{"role": role, "content": text}] if text.strip() else []


def _from_hh_text(text: str) -> Conversation:
    """Read turns that begin with Human: and Assistant:, each after an empty line; a prompt may end with the latter."""
    _, *parts = _HH_TURN.split(text)  # "", "Human", " …", "Assistant", " …"
    turns: Conversation = [
        {"role": "user" if who == "Human" else "assistant", "content": said.strip()}
        for who, said in zip(parts[::2], parts[1::2], strict=True)
    ]
    return turns if turns[-1]["content"] or turns[-1]["role"] == "user" else turns[:-1]


def _looks_like_messages(found: Any) -> bool:
    first = found[0] if isinstance(found, list) and found else found
    return isinstance(first, dict) and any(who in first and what in first for who, what in MESSAGE_KEYS)


def _message(item: Any) -> Message:
    if not isinstance(item, Mapping):
        raise UnusableRow("a message that is not an object with role and content (or from and value)")
    for who, what in MESSAGE_KEYS:
        if item.get(who) is not None and what in item:
            role = ROLE_NAMES.get(str(item[who]).strip().lower())
            if role is None:
                raise UnusableRow(f"the unknown role {str(item[who])!r} (known: {', '.join(ROLE_NAMES)})")
            return {"role": role, "content": _content(item[what])}
    keys = [str(key) for key, value in item.items() if value is not None]  # Arrow gives every row the keys of all rows
    raise UnusableRow(f"a message with the keys {', '.join(keys)} instead of role and content")


def _content(value: Any) -> str:
    """Return the text of a message, whose parts some data sets keep in a list (``{"type": "text", "text": …}``)."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in value]
        texts = [part for part in parts if isinstance(part, str)]
        if len(texts) == len(parts):
            return "\n".join(texts)
    raise UnusableRow("a message whose content is not text")
