"""What the networks of a section are, and what training them took."""

from typing import Any

from tabulate import tabulate

NETWORK_HEADERS = (
    "network", "trained on", "parameters", "frozen", "steps", "tokens", "FLOPs", "minutes", "last half of the points",
)  # fmt: skip


def network_row(name: str, about: dict[str, Any]) -> list[str]:
    """`about` is what a trained network tells of itself; the last half is of held-out problems of its own tasks."""
    last = about["metrics"][-1]
    return [
        name,
        " + ".join(about["trained_on"]),
        f"{about['parameters']:,}",
        f"{about['frozen']:,}" if about["frozen"] else "",
        f"{about['steps']:,}",
        _short(about["tokens"]),
        _short(about["flops"]),
        f"{about['wall_seconds'] / 60:.1f}",
        f"{100 * last['last_half']:.1f}",
    ]


def networks_table(networks: dict[str, dict[str, Any]]) -> str:
    rows = [network_row(name, about) for name, about in networks.items()]
    return tabulate(rows, NETWORK_HEADERS, tablefmt="github", disable_numparse=True)


def _short(number: float) -> str:
    """Three digits and a power of ten: 4.61e6."""
    mantissa, exponent = f"{number:.2e}".split("e")
    return f"{mantissa}e{int(exponent)}"
