"""`demo`: shows what the demo does while it does it, and a table of what it found."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from langgraph_session_bridge.cli.output import Debug, ExitCode, Json, command, emit, out, plain
from langgraph_session_bridge.demo import DemoEvent, DemoOptions, DemoReport, Kill, run_demo

_SEEN_BY = {
    "servers": ("dim", "·"),
    "reference": ("dim", "·"),
    "step": ("", " "),
    "kill": ("bold red", "✗"),
    "resume": ("bold green", "▶"),
}


@command
def demo(
    *,
    path: Annotated[
        str | None, typer.Option(help="Directory that the assistant looks at; this project by default.")
    ] = None,
    kills: Annotated[int, typer.Option(help="How often to kill it.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Chooses the steps; random by default.")] = None,
    model: Annotated[
        str, typer.Option(help="`scripted`, or `provider:name` for a model of LangChain (needs its package and key).")
    ] = "scripted",
    mongodb_uri: Annotated[
        str | None,
        typer.Option(envvar="LSB_MONGODB_URI", help="MongoDB of your own, not an embedded one.", show_envvar=True),
    ] = None,
    redis_url: Annotated[
        str | None, typer.Option(envvar="LSB_REDIS_URL", help="Redis of your own.", show_envvar=True)
    ] = None,
    durability: Annotated[Literal["sync", "async", "exit"], typer.Option(help="LangGraph's mode.")] = "async",
    ack: Annotated[Literal["cache", "aof", "majority", "auto"], typer.Option(help="What a put waits for.")] = "auto",
    pace: Annotated[float, typer.Option(help="Seconds that a step takes at least.", min=0.02, max=10)] = 0.15,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Watch an agent be killed in the middle of a step and go on in a new process."""
    options = DemoOptions(
        path=path,
        kills=kills,
        seed=seed,
        model=model,
        mongodb_uri=mongodb_uri or None,
        redis_url=redis_url or None,
        durability=durability,
        ack=ack,
        pace_s=pace,
    )
    report = run_demo(options) if json else run_demo(options, _show_event)
    if json:
        emit(plain(report))
    else:
        _show(report)
    return ExitCode.OK if report.ok else ExitCode.PROBLEM


def _show_event(event: DemoEvent) -> None:
    style, mark = _SEEN_BY[event.kind]
    text = f"step {event.step:>2}  {event.text}" if event.kind == "step" else event.text
    out().print(f"{mark} {escape(text)}", style=style, soft_wrap=True)


def _show(report: DemoReport) -> None:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 3, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in _rows(report):
        table.add_row(name, value)
    console = out()
    console.print()
    console.print(table)
    console.print()
    for line in report.answer.splitlines():
        console.print(f"  {escape(line)}", style="italic", soft_wrap=True)
    if report.answer:
        console.print()
    for problem in report.problems:
        console.print(f"[red]✗[/] {escape(problem)}", soft_wrap=True)
    if report.ok:
        console.print(f"[green]✔[/] {escape(_verdict(report))}", soft_wrap=True)


def _rows(report: DemoReport) -> list[tuple[str, str]]:
    rows = [
        ("servers", escape(report.servers)),
        ("agent", escape(f"{report.model} model over {report.path}")),
        ("promise", f"durability={report.durability}, ack={report.ack}"),
        ("steps", str(report.steps)),
    ]
    for kill in report.kills:
        rows += _kill_rows(kill)
    rows.append(("put", f"p50 {report.put_p50_ms:.1f} ms, p99 {report.put_p99_ms:.1f} ms ({report.puts} puts)"))
    rows.append(("took", f"{report.seconds:.1f} s; again with --seed {report.seed}"))
    return rows


def _kill_rows(kill: Kill) -> list[tuple[str, str]]:
    redis = "-" if kill.redis_entries is None else f"{kill.redis_entries} entries, {kill.redis_bytes:,} bytes"
    doing = ", ".join(call.partition("(")[0] for call in kill.doing)
    again = ", ".join(map(str, kill.repeated_steps)) or "none"
    return [
        ("killed in step", escape(f"{kill.step}: {doing}")),
        ("  only in Redis", redis),
        ("  in MongoDB", f"{kill.mongodb_checkpoints} of {kill.acknowledged_checkpoints} checkpoints"),
        ("  resumed", f"in step {kill.resumed_step}, {kill.resume_s:.2f} s after the start of a new process"),
        ("  reading the state", f"{kill.read_ms:.1f} ms"),
        ("  steps run again", again),
    ]


def _verdict(report: DemoReport) -> str:
    if report.states_equal:
        return "The final state and the history equal those of the uninterrupted run."
    return "The history is whole (a model's own words can't be compared with another run's)."
