"""What the server keeps of each visitor: as good as nothing, and of so many visitors and no more.

Of every session, and every call of a program is one, gradio 6.31 keeps a description of each component on the page with
the value that was typed or answered last (for deep links, which this demo does not offer), and of ten thousand sessions
at that. Here a session holds the components that its own page changed, such as a picker with other choices.
"""

from __future__ import annotations

from collections import ChainMap
from typing import Any

from gradio.blocks import BlocksConfig
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import LRUCache

#: Sessions that are remembered. Who is forgotten gets the components as they were built.
MOST_SESSIONS = 500
#: Sessions whose finished calls the queue remembers: as many as those that it keeps messages for.
_MOST_QUEUED = 2_000


class Session(SessionState):
    """A session without copies of what the page shows.

    Args:
        blocks: The page.
    """

    def __init__(self, blocks: Any) -> None:
        # Not that of SessionState: it describes every component, 0.7 MiB and 20 ms of a session.
        self.blocks_config = BlocksConfig(blocks)
        self._own: dict[int, Any] = {}
        self.blocks_config.blocks = ChainMap(self._own, blocks.default_config.blocks)
        self.blocks_config.fns = blocks.default_config.fns
        self.blocks_config.fn_id = blocks.default_config.fn_id
        self.config_values: dict[int, Any] = {}
        self.state_data: dict[int, Any] = {}
        self._state_ttl: dict[int, Any] = {}
        self.is_closed = False
        self.STATE_TTL_WHEN_CLOSED = 3600

    @property
    def changed(self) -> bool:
        """Whether it differs from a new one."""
        return bool(self._own or self.state_data)

    def __setitem__(self, key: int, value: Any) -> None:
        """Keep a component, or the value of a state, and no description of it."""
        block = self.blocks_config.blocks.get(key)
        if block is None:
            return  # what replaced a component of the page goes by that one's number; its own would only add up
        if block.stateful:
            self.state_data[key] = value
        else:
            self.blocks_config.blocks[key] = value

    def _update_config(self, key: int) -> None:
        """Keep no description."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Keep nothing of what was typed or answered."""


class Sessions(StateHolder):
    """The sessions, the newest `MOST_SESSIONS`; those without anything of their own are forgotten first.

    Args:
        blocks: The page.
        most: How many.
    """

    def __init__(self, blocks: Any, *, most: int = MOST_SESSIONS) -> None:
        super().__init__()
        self.set_blocks(blocks)
        self.capacity = most

    def __getitem__(self, session_id: str) -> SessionState:
        """Return a session, a new one where it is not known."""
        if session_id not in self.session_data:
            self._make_room()
            self.session_data[session_id] = Session(self.blocks)
        return super().__getitem__(session_id)

    def _make_room(self) -> None:
        with self.lock:
            while len(self.session_data) >= self.capacity:
                # Calls of programs leave sessions behind that nobody comes back to; people's pages change pickers.
                unchanged = (name for name, one in self.session_data.items() if not getattr(one, "changed", True))
                gone = next(unchanged, None) or next(iter(self.session_data))
                del self.session_data[gone]
                self.time_last_used.pop(gone, None)


def keep_little(page: Any, *, most: int = MOST_SESSIONS) -> None:
    """Bound what a page that is served keeps of its visitors. Called once, right after its launch.

    Args:
        page: A launched ``gradio.Blocks``.
        most: Sessions that are remembered.
    """
    page.app.state_holder = Sessions(page, most=most)
    # One entry a session that ever called, and gradio takes none away.
    page._queue.pending_event_ids_session = LRUCache(_MOST_QUEUED)
