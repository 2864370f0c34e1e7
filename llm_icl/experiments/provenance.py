"""Where a run's numbers come from: its command, when and how long it ran, what was asked and paid, the versions."""

import json
import math
from collections.abc import Mapping
from typing import Any

from llm_icl.experiments.tally import perhaps_paid
from llm_icl.reports.document import Provenance


def provenance_of(record: Mapping[str, Any]) -> Provenance:
    """The provenance of a run of any kind, by its record; what was asked, of kinds that ask models."""
    facts = {
        "started": record["started"],
        "wall time": f"{record['wall_seconds']:.1f} s",
        **(_asked(record) if "calls" in record else {}),
        "versions": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
    }
    return Provenance(record["command"], {name: fact for name, fact in facts.items() if fact})


def _asked(record: Mapping[str, Any]) -> dict[str, str]:
    calls = record["calls"]
    return {
        "time by learner": ", ".join(f"{name} {time:.1f} s" for name, time in record["seconds"].items()),
        "calls to models": f"{calls['new']} made, {calls['cached']} from the cache",
        "retries": _counted(record.get("retries", {})),
        "failed": _counted(record.get("failed", {})),
        "perhaps charged without a reply": perhaps_paid(record),
        "tokens (including cached replies)": _counted(record.get("tokens", {})),
        "cost": _cost(record),
        "models": "; ".join(f"{name}: {json.dumps(identity)}" for name, identity in record["models"].items()) or "none",
    }


def _cost(record: Mapping[str, Any]) -> str:
    if not math.isfinite(record["cost"]):
        return ""
    dollars, unpriced = f"{record['cost']:.4f} USD", ", ".join(record.get("unpriced", []))
    if not unpriced:
        return dollars
    return f"{dollars}, without {unpriced}: price unknown" if record["cost"] else f"unknown, as the price of {unpriced}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
