"""What the stores must do, in dictionaries: `InMemorySaver` plus the three methods it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver

KEEP_LATEST = "keep_latest"
DELETE_STRATEGIES = ("delete", "delete_all")

Key = tuple[str, str, str]  # thread id, checkpoint ns, checkpoint id


class ModelSaver(InMemorySaver):
    """`InMemorySaver` with `copy_thread`, `prune` and `delete_for_runs`."""

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        if source_thread_id == target_thread_id or source_thread_id not in self.storage:
            return
        for ns, checkpoints in list(self.storage[source_thread_id].items()):
            self.storage[target_thread_id][ns].update(checkpoints)
        for table in (self.writes, self.blobs):
            for key in [k for k in table if k[0] == source_thread_id]:
                table[(target_thread_id, *key[1:])] = _detached(table[key])  # type: ignore[index]

    def prune(self, thread_ids: Sequence[str], *, strategy: str = KEEP_LATEST) -> None:
        if strategy in DELETE_STRATEGIES:
            for thread_id in thread_ids:
                self.delete_thread(thread_id)
        elif strategy == KEEP_LATEST:
            for thread_id in thread_ids:
                self._keep_latest(thread_id)
        else:
            choices = ", ".join((KEEP_LATEST, *DELETE_STRATEGIES))
            raise ValueError(f"unknown prune strategy {strategy!r}; choose one of {choices}")

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        wanted = set(run_ids)
        for key in list(self._checkpoint_keys()):
            if self._metadata(key).get("run_id") in wanted:
                self._forget(key)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self.copy_thread(source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = KEEP_LATEST) -> None:
        self.prune(thread_ids, strategy=strategy)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        self.delete_for_runs(run_ids)

    def has_checkpoint(self, thread_id: str, ns: str, checkpoint_id: str) -> bool:
        return checkpoint_id in self.storage.get(thread_id, {}).get(ns, {})

    def _keep_latest(self, thread_id: str) -> None:
        kept = {
            (thread_id, ns, checkpoint_id)
            for ns, checkpoints in self.storage.get(thread_id, {}).items()
            if checkpoints
            for checkpoint_id in self._delta_chain(thread_id, ns, max(checkpoints))
        }
        for key in list(self._checkpoint_keys()):
            if key[0] == thread_id and key not in kept:
                self._forget(key)

    def _delta_chain(self, thread_id: str, ns: str, head: str) -> list[str]:
        """The head and the ancestors its delta channels are rebuilt from."""
        chain = [head]
        missing = self._unseeded(thread_id, ns, head, self._delta_channels((thread_id, ns, head)))
        while missing:
            parent = self.storage[thread_id][ns][chain[-1]][2]
            if parent is None or not self.has_checkpoint(thread_id, ns, parent):
                break
            chain.append(parent)
            missing = self._unseeded(thread_id, ns, parent, missing)
        return chain

    def _unseeded(self, thread_id: str, ns: str, checkpoint_id: str, channels: set[str]) -> set[str]:
        versions = self.serde.loads_typed(self.storage[thread_id][ns][checkpoint_id][0])["channel_versions"]
        return channels - set(self._load_blobs(thread_id, ns, versions))

    def _delta_channels(self, key: Key) -> set[str]:
        return set(self._metadata(key).get("counters_since_delta_snapshot") or ())

    def _checkpoint_keys(self) -> Iterator[Key]:
        for thread_id, namespaces in self.storage.items():
            for ns, checkpoints in namespaces.items():
                for checkpoint_id in checkpoints:
                    yield thread_id, ns, checkpoint_id

    def _metadata(self, key: Key) -> dict[str, Any]:
        thread_id, ns, checkpoint_id = key
        return self.serde.loads_typed(self.storage[thread_id][ns][checkpoint_id][1])

    def _forget(self, key: Key) -> None:
        thread_id, ns, checkpoint_id = key
        del self.storage[thread_id][ns][checkpoint_id]
        self.writes.pop(key, None)


def _detached(entry: Any) -> Any:
    return dict(entry) if isinstance(entry, dict) else entry
