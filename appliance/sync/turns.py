"""In which turns what a link brought at once is taken: batches together, but in an honest order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from appliance.sync.messages import Ack, Batch, Frame


def in_turns(frames: Iterable[Frame]) -> Iterator[list[Batch] | Frame]:
    """Batches that may share one commit, and by themselves all other frames.

    What was said of entities before an acknowledgement comes before it: it must not look as if it
    had been said by somebody who knew what the acknowledgement is of.
    """
    batches: list[Batch] = []
    for frame in frames:
        if isinstance(frame, Batch):
            batches.append(frame)
            continue
        if isinstance(frame, Ack) and any(batch.tells_of_entities for batch in batches):
            yield batches
            batches = []
        yield frame
    if batches:
        yield batches
