"""What LangChain and LangGraph tell a callback handler: every row that the recorder relies on, on real graphs.

A row that fails here names what an update changed. The recorder has to follow before anything else of it is believed.
"""

from __future__ import annotations

import pytest

from . import contract_handlers, contract_runs, contract_tools
from .contract_rows import ROWS

CASES = [
    pytest.param(sentence, mode, id=f"{sentence} [{mode}]") for sentence, (_, modes) in ROWS.items() for mode in modes
]


def test_all_parts_of_the_table_are_there() -> None:
    modules = {function.__module__ for function, _ in ROWS.values()}
    assert modules == {part.__name__ for part in (contract_handlers, contract_runs, contract_tools)}


@pytest.mark.parametrize(("sentence", "mode"), CASES)
async def test_the_contract_holds(sentence: str, mode: str) -> None:
    function, _ = ROWS[sentence]
    await function(mode)
