"""Trains the networks of a suite on a Ray cluster."""

import os
from pathlib import Path
from typing import Any

from llm_icl.errors import RequestError
from llm_icl.experiments.training.request import TrainingRequest
from llm_icl.suites.crew import Crew, train_one


class RayCluster(Crew):
    """An existing cluster whose nodes share the folder of the runs. Runs of lost workers resume on other nodes."""

    # The maximum number of lost workers per run.
    _RETRIES = 5

    def __init__(self, folder: Path, cpus: float, gpus: float) -> None:
        """Raises RequestError if there is no cluster, or no node has enough cores and GPUs."""
        try:
            import ray
        except ImportError:
            raise RequestError("--on ray needs Ray: pip install 'llm-icl[ray]'") from None
        self._ray = ray
        try:
            ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
        except ConnectionError:
            raise RequestError(
                "--on ray: no Ray cluster found (start one with 'ray start --head', or set RAY_ADDRESS)"
            ) from None
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes):
            raise RequestError(f"--on ray: no node of the cluster has {cpus:g} cores and {gpus:g} GPUs")
        self._cpus, self._gpus = cpus, gpus
        self._folder = folder.resolve()
        self._runs: dict[Any, str] = {}
        self._failed: dict[str, str] = {}

    def give(self, name: str, request: TrainingRequest, folder: Path) -> None:
        work = self._ray.remote(_on_a_node).options(
            name=name, num_cpus=self._cpus, num_gpus=self._gpus, max_retries=self._RETRIES
        )
        self._runs[work.remote(request, self._folder, folder.resolve(), self._cpus)] = name

    def finished(self) -> bool:
        ended, _ = self._ray.wait(list(self._runs), num_returns=len(self._runs), timeout=0) if self._runs else ([], [])
        for reference in ended:
            name = self._runs.pop(reference)
            try:
                answer = self._ray.get(reference)
            except self._ray.exceptions.RayError as problem:
                answer = str(problem).splitlines()[0]
            if answer:
                self._failed[name] = answer
        return not self._runs

    def failures(self) -> dict[str, str]:
        return self._failed

    def stop(self) -> None:
        for reference in self._runs:
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()


def _on_a_node(request: TrainingRequest, shared: Path, folder: Path, cpus: float) -> str:
    import torch

    if not (shared / ".lock").is_file():
        return f"the node {os.uname().nodename} cannot access the folder {shared}: it must be shared by all nodes"
    torch.set_num_threads(max(1, int(cpus)))
    return train_one(request, folder)
