"""What is measured while a model is trained, read back from the files; also after training was cut off."""

import json
import struct

import pytest
import torch

from local_models.backbone import Backbone, Shape
from local_models.metrics import Metrics, read_metrics
from local_models.trainer import Batch, Schedule, train


def events(folder):
    """The events of all TensorBoard files, in the order of the files' names: length, checksum, message, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted((folder / "tensorboard").iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            found.append(Event.FromString(data[at + 12 : at + 12 + length]))
            at += 12 + length + 4
    return found


def scalars(folder):
    return [(e.step, v.tag, v.simple_value) for e in events(folder) for v in e.summary.value]


def batches(step):
    generator = torch.Generator().manual_seed(step)
    xs, ys = torch.randint(2, (4, 6, 3), generator=generator), torch.randint(2, (4, 6), generator=generator)
    return Batch(xs, ys, ys)


def test_what_is_written_is_in_the_lines_and_in_tensorboard(tmp_path):
    with Metrics(tmp_path, 0) as metrics:
        metrics.write(5, {"loss": 0.5, "tasks": {"parity": {"loss": 0.25, "accuracy": 1.0}}})
    assert read_metrics(tmp_path) == [{"step": 5, "loss": 0.5, "tasks": {"parity": {"loss": 0.25, "accuracy": 1.0}}}]
    assert scalars(tmp_path) == [(5, "loss", 0.5), (5, "tasks/parity/loss", 0.25), (5, "tasks/parity/accuracy", 1.0)]


def test_what_was_measured_after_the_checkpoint_is_forgotten(tmp_path):
    with Metrics(tmp_path, 0) as metrics:
        for step in (2, 4, 6):
            metrics.write(step, {"loss": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 8, "lo')  # killed while it wrote
    with Metrics(tmp_path, 4) as metrics:
        metrics.write(6, {"loss": 2.0})
    assert [(line["step"], line["loss"]) for line in read_metrics(tmp_path)] == [(2, 1.0), (4, 1.0), (6, 2.0)]
    starts = [event.step for event in events(tmp_path) if event.HasField("session_log")]
    assert starts[-1] == 5  # TensorBoard forgets what an earlier file has from this step on


def test_training_that_was_cut_off_has_every_step_once_and_the_same_numbers(tmp_path):
    def stop(progress):
        if progress.step == 5:
            raise KeyboardInterrupt

    def trained(folder, report):
        torch.manual_seed(0)
        model = Backbone(Shape("transformer", 4, width=16, layers=1, tokens=12))
        train(model, Schedule(steps=8, evaluate_every=2), batches, {"random": batches(99)}, folder, report)

    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    trained(tmp_path / "whole", lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", stop)
    assert [line["step"] for line in read_metrics(tmp_path / "cut")] == [2, 4]
    trained(tmp_path / "cut", lambda _: None)
    whole, cut = (
        [{key: value for key, value in line.items() if key != "seconds"} for line in read_metrics(tmp_path / name)]
        for name in ("whole", "cut")
    )
    assert [line["step"] for line in whole] == [2, 4, 6, 8]
    assert json.dumps(cut) == json.dumps(whole)
    assert [step for step, tag, _ in scalars(tmp_path / "whole") if tag == "tasks/random/last_half"] == [2, 4, 6, 8]
