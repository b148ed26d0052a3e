"""Shows a verdict to people: an HTML page in one file, without scripts."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from html import escape
from pathlib import Path

from loadtests.onsale import charts, timeline
from loadtests.onsale.charts import Bar, Line
from loadtests.onsale.timeline import Latencies, Timeline
from loadtests.onsale.verdict import Verdict
from loadtests.proof.ledger import TAKES, Kind, Ledger

TEMPLATE = Path(__file__).with_name("page.html")

BREACHES_SHOWN_MAX = 100

OPTIONS_SHOWN_MAX = 10

KINDS: dict[Kind, str] = {
    "read": "reads",
    "purchase": "purchases",
    "hold": "holds",
    "hold purchase": "purchases of holds",
    "release": "releases",
    "return": "returns",
    "capacity": "changes of capacity",
    "nonsense": "nonsense",
}
"""The kinds of requests, as the page calls them."""

HELD = '<span class="green">held, according to buyers</span>'

OUTCOMES = {"acknowledged": "blue", "refused": "grey", "unknown": "red"}
"""The outcomes, with their colours."""


def render(verdict: Verdict) -> str:
    """The page, as HTML."""
    ledger = verdict.ledger
    course = Timeline(ledger)
    word, _, sentence = verdict.sentence().partition(": ")
    return string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        word=word,
        style="good" if verdict.is_good else "bad",
        sentence=escape(sentence[:1].upper() + sentence[1:]) + ".",
        title=escape(ledger.title[:1].upper() + ledger.title[1:]),
        begun=_begun(ledger),
        wrong=_wrong(verdict),
        figures=_figures(ledger, course),
        held=HELD if _has_holds(ledger) else "",
        tickets=_tickets_chart(ledger, course),
        requests=_requests_chart(course),
        latencies=_latencies_chart(course),
        latency_table=_latency_table(ledger),
        totals_table=_totals_table(ledger),
        options_title=_options_title(ledger),
        options_table=_options_table(ledger),
    )


def _begun(ledger: Ledger) -> str:
    if not ledger.entries:
        return "No request was sent."
    first = datetime.fromtimestamp(min(each.sent_at for each in ledger.entries), timezone.utc)
    return f"{first:%Y-%m-%d %H:%M:%S} UTC."


def _wrong(verdict: Verdict) -> str:
    """The reasons for a bad verdict; empty for a good one."""
    sections = []
    if verdict.doubts:
        doubts = "".join(f"<li>{escape(doubt)}</li>" for doubt in verdict.doubts)
        sections.append(f"<section><h2>Why nothing is proven</h2><ul>{doubts}</ul></section>")
    if verdict.breaches:
        rows = [
            (
                escape(breach.sentence),
                f"<code>{escape(breach.option_id)}</code>",
                escape(breach.details),
            )
            for breach in verdict.breaches[:BREACHES_SHOWN_MAX]
        ]
        hidden = len(verdict.breaches) - len(rows)
        sections.append(
            "<section><h2>What the audit found</h2>"
            f'<div class="scroll">{_table(["Breach", "Option", "Details"], rows)}</div>'
            + (f'<p class="note">And {hidden:,} more.</p>' if hidden else "")
            + "</section>"
        )
    return "\n".join(sections)


def _figures(ledger: Ledger, course: Timeline) -> str:
    sold = course.sold()[-1][1]
    requests = len(ledger.entries)
    totals = ledger.totals()
    figures = {
        f"of {sum(ledger.capacities.values()):,} tickets sold": f"{sold:,.0f}",
        "purchases acknowledged": f"{totals['purchase acknowledged']:,}",
        "purchases refused": f"{totals['purchase refused']:,}",
        "purchases unknown, counting retries": f"{totals['purchase unknown']:,}",
        f"requests in {course.seconds:.0f} s": f"{requests:,}",
        "requests per second": f"{requests / course.seconds:,.0f}",
    }
    if _has_holds(ledger):
        figures |= {
            "holds acknowledged": f"{totals['hold acknowledged']:,}",
            "holds purchased": f"{totals['hold purchase acknowledged']:,}",
            "holds released": f"{totals['release acknowledged']:,}",
        }
    return "\n".join(f"<div><b>{value}</b> {escape(name)}</div>" for name, value in figures.items())


def _tickets_chart(ledger: Ledger, course: Timeline) -> str:
    on_sale = sum(ledger.capacities.values())
    lines = [
        Line("grey dashed", [(0, on_sale), (course.seconds, on_sale)]),
        Line("orange", course.left()),
        Line("blue", course.sold()),
    ]
    if _has_holds(ledger):
        lines.append(Line("green", course.held()))
    return charts.line_chart(
        lines,
        seconds=course.seconds,
        unit="tickets",
        label="Tickets sold, held and left, over the course of the sale",
    )


def _has_holds(ledger: Ledger) -> bool:
    return any(each.kind == "hold" for each in ledger.entries)


def _requests_chart(course: Timeline) -> str:
    bars = []
    for each in course.intervals():
        length = each.ends - each.begins
        parts = [(style, each.outcomes[outcome] / length) for outcome, style in OUTCOMES.items()]
        bars.append(Bar(each.begins, each.ends, parts))
    return charts.bar_chart(
        bars,
        seconds=course.seconds,
        unit="requests per second",
        label="Requests per second by outcome, over the course of the sale",
    )


def _latencies_chart(course: Timeline) -> str:
    answered = [
        ((each.begins + each.ends) / 2, each.latencies)
        for each in course.intervals()
        if each.latencies is not None
    ]
    return charts.line_chart(
        [
            Line("red", [(at, latencies.p99) for at, latencies in answered]),
            Line("orange", [(at, latencies.p90) for at, latencies in answered]),
            Line("blue", [(at, latencies.p50) for at, latencies in answered]),
        ],
        seconds=course.seconds,
        unit="milliseconds",
        label="Latency percentiles, over the course of the sale",
    )


def _latency_table(ledger: Ledger) -> str:
    found: list[tuple[str, Latencies]] = []
    for kind, name in KINDS.items():
        latencies = timeline.latencies(each for each in ledger.entries if each.kind == kind)
        if latencies is not None:
            found.append((name, latencies))
    return _table(
        ["Milliseconds", "answers", "p50", "p90", "p99", "max"],
        [(name, f"{each[0]:,}", *(f"{value:,.1f}" for value in each[1:])) for name, each in found],
        numbers_from=1,
    )


def _totals_table(ledger: Ledger) -> str:
    totals = ledger.totals()
    rows = []
    for kind, name in KINDS.items():
        counts = [totals[f"{kind} {outcome}"] for outcome in OUTCOMES]
        if not any(counts):
            continue
        rows.append((name, *(f"{count:,}" for count in [*counts, sum(counts)])))
    return _table(["Requests", *OUTCOMES, "all"], rows, numbers_from=1)


def _options_title(ledger: Ledger) -> str:
    count = len(ledger.capacities)
    if count > OPTIONS_SHOWN_MAX:
        return f"The {OPTIONS_SHOWN_MAX} most requested of {count:,} ticket options"
    return "Ticket options"


def _options_table(ledger: Ledger) -> str:
    wanted: Counter[str] = Counter()
    sold: Counter[str] = Counter()
    left = dict(ledger.capacities)
    for option_id, entries in ledger.by_option().items():
        asked = {each.user_id: each for each in entries if each.kind in TAKES}
        wanted[option_id] = sum(each.quantity or 0 for each in asked.values())
        sold[option_id] = sum(change for _, change in timeline.sold(entries))
        reads = [each for each in entries if each.left is not None]
        if reads:
            left[option_id] = max(reads, key=lambda each: each.answered_at).left or 0
    return _table(
        ["Option", "on sale", "requested", "sold", "last read"],
        [
            (
                f"<code>{escape(option_id)}</code>",
                f"{ledger.capacities[option_id]:,}",
                f"{count:,}",
                f"{sold[option_id]:,}",
                f"{left[option_id]:,}",
            )
            for option_id, count in wanted.most_common(OPTIONS_SHOWN_MAX)
        ],
        numbers_from=1,
    )


def _table(
    names: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int | None = None
) -> str:
    """A table whose cells are HTML; from column `numbers_from` on, they are numbers."""

    def row(tag: str, cells: Sequence[str]) -> str:
        shown = []
        for place, cell in enumerate(cells):
            is_number = numbers_from is not None and place >= numbers_from
            style = ' class="number"' if is_number else ""
            shown.append(f"<{tag}{style}>{cell}</{tag}>")
        return f"<tr>{''.join(shown)}</tr>"

    return f"<table>{row('th', names)}{''.join(row('td', each) for each in rows)}</table>"
