"""The figures as Markdown, ready for the README."""

import statistics

from load import Sample

Samples = dict[tuple[int, str], list[Sample]]  # by clients and contender, in the order of the rounds


def proxying(samples: Samples, labels: dict[str, str]) -> str:
    """A row for each count of clients and contender: medians over the rounds; ratios are taken round by round."""
    rows = []
    for (clients, name), of_contender in samples.items():
        haproxy = samples.get((clients, "haproxy"))
        rows.append([
            str(clients),
            labels[name],
            f"{_median(of_contender, 'cpu'):.1f}",
            _parts(of_contender),
            f"{_median(of_contender, 'requests_per_second'):,.0f}",
            f"{_median(of_contender, 'p50'):.0f}",
            f"{_median(of_contender, 'p99'):.0f}",
            _ratio(of_contender, haproxy, "cpu"),
            _ratio(of_contender, haproxy, "p50"),
        ])
    heads = [
        "clients", "gateway", "CPU µs/request", "of which", "requests/s", "p50 µs", "p99 µs",
        "CPU ÷ HAProxy", "p50 ÷ HAProxy",
    ]
    return table(heads, rows)


def noise(samples: Samples) -> str:
    """What shared the machine, so that a reader can tell a quiet run from a worthless one."""
    every = [sample for of_contender in samples.values() for sample in of_contender]
    return (
        f"`wrk` took {min(sample.wrk_cores for sample in every):.2f} – {max(sample.wrk_cores for sample in every):.2f} "
        f"cores. Everything else on the machine (neither gateway, upstream nor wrk) took "
        f"{statistics.median(sample.other_cores for sample in every):.2f} cores in the median run, "
        f"{max(sample.other_cores for sample in every):.2f} in the worst."
    )


def idle(bytes_by_label: dict[str, float]) -> str:
    rows = [[label, f"{taken / 1024:.2f}"] for label, taken in bytes_by_label.items()]
    return table(["proxy", "KB per idle kept-alive connection"], rows)


def goals(figures: dict[str, tuple[float | None, str, float]]) -> str:
    """Each figure with its bound (`≤` or `≥`) and whether it was reached. Figures not measured are left out."""
    rows = []
    for name, (measured, comparison, bound) in figures.items():
        if measured is not None:
            reached = measured <= bound if comparison == "≤" else measured >= bound
            rows.append([name, f"{comparison} {bound:,g}", f"{measured:,.6g}", "yes" if reached else "**no**"])
    return table(["figure", "to reach", "measured", "reached"], rows) if rows else ""


def ratio(samples: Samples, clients: int, name: str, figure: str) -> float | None:
    """The median over the rounds of a contender's figure over bare HAProxy's, or nothing where one wasn't measured."""
    ratios = _ratios(samples.get((clients, name)), samples.get((clients, "haproxy")), figure)
    return round(statistics.median(ratios), 2) if ratios else None


def spread(ratios: list[float]) -> str:
    """The median, with the smallest and the largest."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} – {max(ratios):.2f})"


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads)] + rows
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _ratios(of_contender: list[Sample] | None, of_haproxy: list[Sample] | None, figure: str) -> list[float]:
    return [
        getattr(sample, figure) / getattr(reference, figure)
        for sample, reference in zip(of_contender or [], of_haproxy or [])
    ]


def _ratio(of_contender: list[Sample], of_haproxy: list[Sample] | None, figure: str) -> str:
    ratios = _ratios(of_contender, of_haproxy, figure)
    if not ratios or of_contender is of_haproxy:
        return "1" if ratios else "–"
    return spread(ratios)


def _parts(of_contender: list[Sample]) -> str:
    parts = of_contender[0].cpu_per_request
    if len(parts) == 1:
        return ""
    medians = {part: statistics.median(sample.cpu_per_request[part] for sample in of_contender) for part in parts}
    return ", ".join(f"{part} {taken:.1f}" for part, taken in reversed(medians.items()))


def _median(of_contender: list[Sample], figure: str) -> float:
    return statistics.median(getattr(sample, figure) for sample in of_contender)
