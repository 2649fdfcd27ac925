# pyright: standard
"""Every trainer's own way of writing, rebuilt from what its code prints: a training in, its log out.

    write(FORMATS["pix2pix"], training, folder)      # folder/loss_log.txt

Each writes what its trainer would have written of the same steps: as rarely, with as few digits, as a sum or a mean. A
trainer that prints more than losses of one objective writes those only (a perceptual loss says nothing here).
"""

import csv
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.foreign.games import BATCH, GAMES, Game, Training

Write = Callable[[Training, Path], Path]
PER_EPOCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFormat:
    """How one trainer writes, and of which objectives it can."""

    name: str
    write: Write
    games: tuple[Game, ...] = GAMES
    run: str = ""
    """Which of several runs in it is the training."""


def _total(t: Training) -> NDArray[np.float64]:
    """The whole loss of the discriminator, with its penalty."""
    return t.signal("d_loss_real") + t.signal("d_loss_fake") + t.signal("penalty")


def _every(t: Training, steps: int) -> Iterator[int]:
    return iter(range(0, len(t.steps), steps))


def _lines(path: Path, lines: Iterator[str] | list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _means(values: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """Of each whole part of so many steps."""
    return values[: len(values) // steps * steps].reshape(-1, steps).mean(axis=1)


# --- what is printed --------------------------------------------------------------------------------------------


def dcgan(t: Training, folder: Path) -> Path:
    """pytorch/examples: every 50th step, four digits, the sum."""
    total, g = _total(t), t.signal("g_loss")
    x, before, after = (t.signal(name) for name in ("d_x", "d_g_z", "d_g_z_after"))
    return _lines(
        folder / "train.txt",
        [
            f"[{i // PER_EPOCH}/{len(t.steps) // PER_EPOCH}][{i % PER_EPOCH}/{PER_EPOCH}]\tLoss_D: {total[i]:.4f}\t"
            f"Loss_G: {g[i]:.4f}\tD(x): {x[i]:.4f}\tD(G(z)): {before[i]:.4f} / {after[i]:.4f}"
            for i in _every(t, 50)
        ],
    )


def pytorch_gan(t: Training, folder: Path) -> Path:
    """eriklindernoren/PyTorch-GAN: every step, six digits, the mean."""
    mean, g = _total(t) / (1 if t.game == "wgan-gp" else 2), t.signal("g_loss")
    return _lines(
        folder / "out.txt",
        [
            f"[Epoch {i // PER_EPOCH}/{len(t.steps) // PER_EPOCH}] [Batch {i % PER_EPOCH}/{PER_EPOCH}] "
            f"[D loss: {mean[i]:f}] [G loss: {g[i]:f}]"
            for i in _every(t, 1)
        ],
    )


def keras_gan(t: Training, folder: Path) -> Path:
    """eriklindernoren/Keras-GAN: every step, the mean, and one accuracy in percent."""
    mean, g = _total(t) / 2, t.signal("g_loss")
    pooled = (t.signal("d_acc_real") + t.signal("d_acc_fake")) / 2
    return _lines(
        folder / "keras.txt",
        [f"{i} [D loss: {mean[i]:f}, acc.: {100 * pooled[i]:.2f}%] [G loss: {g[i]:f}]" for i in _every(t, 1)],
    )


def pix2pix(t: Training, folder: Path) -> Path:
    """pytorch-CycleGAN-and-pix2pix: `print_freq` images, three digits."""
    names = {"G_GAN": "g_loss", "D_real": "d_loss_real", "D_fake": "d_loss_fake"}
    lines = ["================ Training Loss (Thu Jan 23 10:00:00 2020) ================"]
    for i in _every(t, 10):
        epoch, place = 1 + i // PER_EPOCH, i % PER_EPOCH + 10
        values = {name: t.signal(signal)[i] for name, signal in names.items()}
        losses = " ".join(f"{name}: {value:.3f}" for name, value in (values | {"G_L1": 1.5}).items())
        lines.append(f"(epoch: {epoch}, iters: {place}, time: 0.069, data: 0.001) {losses} ")
    return _lines(folder / "loss_log.txt", lines)


def studiogan(t: Training, folder: Path) -> Path:
    """StudioGAN's logger: every 100th step, four significant digits, the sum."""
    total, g = _total(t), t.signal("g_loss")
    return _lines(
        folder / "run.log",
        [
            f"[INFO] 2022-11-02 23:50:13 > Step: {i:>6} Progress: {i / len(t.steps):.1%} Elapsed: 0:07:59 "
            f"Gen_loss: {g[i]:.4} Dis_loss: {total[i]:.4} Cls_loss: N/A "
            for i in _every(t, 100)
            if i
        ],
    )


def lucidrains(t: Training, folder: Path) -> Path:
    """lightweight-gan: a progress bar, every 50th step, two digits, the sum."""
    total, g, penalty = _total(t) - t.signal("penalty"), t.signal("g_loss"), t.signal("penalty")
    return _lines(
        folder / "nohup.out",
        [
            f"data:   1%|1    | {i}/{len(t.steps)} [10:20<25:00:10,  1.65it/s]"
            f"G: {g[i]:.2f} | D: {total[i]:.2f} | GP: {penalty[i]:.2f} | SS: 0.30"
            for i in _every(t, 50)
        ],
    )


def basicsr(t: Training, folder: Path) -> Path:
    """BasicSR: every 100th step, five significant digits, the generator's loss with its weight."""
    names = {"l_d_real": "d_loss_real", "out_d_real": "d_logit_real", "l_d_fake": "d_loss_fake"}
    lines: list[str] = []
    for i in _every(t, 50):
        values = {name: t.signal(signal)[i] for name, signal in names.items()}
        values |= {"out_d_fake": t.signal("d_logit_fake")[i], "l_g_gan": 0.1 * t.signal("g_loss")[i]}
        losses = " ".join(f"{name}: {value:.4e}" for name, value in values.items())
        lines.append(
            f"2023-01-01 10:00:00,123 INFO: [train..][epoch:{i // PER_EPOCH:3d}, iter:{i:8,d}, lr:(1.000e-04,)] "
            f"[eta: 1 day, 3:00:00, time (data): 0.1 (0.0)] l_g_pix: 5.1234e-02 {losses} "
        )
    return _lines(folder / "train_run.log", lines)


# --- as logs come to be ---------------------------------------------------------------------------------------------

LOST_START = 600
"""Steps of a start that was given up, with losses three times as high."""


def begun_anew(t: Training, folder: Path) -> Path:
    """A DCGAN whose loop was killed and begun anew into the same file."""
    lost = replace(t, steps=3 * t.steps[:LOST_START])
    first = dcgan(lost, folder).read_text("utf-8")
    path = dcgan(t, folder)
    path.write_text(f"{first}KeyboardInterrupt\n{path.read_text('utf-8')}", encoding="utf-8")
    return path


def with_validation(t: Training, folder: Path) -> Path:
    """A loop that prints losses on held-out data after each epoch in the words of the training, three times as high."""
    path = pytorch_gan(t, folder)
    lines: list[str] = []
    for i, line in enumerate(path.read_text("utf-8").splitlines()):
        lines.append(line)
        if (i + 1) % PER_EPOCH == 0:
            d, g = 3 * _total(t)[i] / 2, 3 * t.signal("g_loss")[i]
            lines.append(f"[Validation] [Epoch {i // PER_EPOCH}] [D loss: {d:f}] [G loss: {g:f}]")
    return _lines(path, lines)


def keras_bars(t: Training, folder: Path) -> Path:
    """Keras' `fit`: a bar for each epoch, at whose end stand its means, four digits."""
    means = {"d_loss": _means(_total(t) / 2, PER_EPOCH), "g_loss": _means(t.signal("g_loss"), PER_EPOCH)}
    epochs = len(t.steps) // PER_EPOCH
    bar = f"{PER_EPOCH}/{PER_EPOCH} [==============================] - 1s 11ms/step"
    lines: list[str] = []
    for epoch in range(epochs):
        losses = " - ".join(f"{name}: {values[epoch]:.4f}" for name, values in means.items())
        lines += [f"Epoch {epoch + 1}/{epochs}", f"{bar} - {losses}"]
    return _lines(folder / "fit.txt", lines)


def two_runs(t: Training, folder: Path) -> Path:
    """TensorBoard's CSV of two runs in one folder, a tag a file; the other one has half of the steps."""
    root = folder / "tags"
    root.mkdir()
    tags = {"Loss_D": _total(t), "Loss_G": t.signal("g_loss")}
    for run, most in (("a", len(t.steps)), ("b", len(t.steps) // 2)):
        for tag, values in tags.items():
            rows = [f"{1660001624.0 + i:.5f},{i},{values[i]:.9f}" for i in _every(t, 10) if i < most]
            _lines(root / f"run-{run}-tag-{tag}.csv", ["Wall time,Step,Value", *rows])
    return root


# --- what is written as data ------------------------------------------------------------------------------------


def stylegan(t: Training, folder: Path) -> Path:
    """stats.jsonl of StyleGAN2-ADA: an object a tick of 4 kimg, means over it, the sum; signs pool G's and D's pass."""
    per_tick = round(4000 / BATCH)
    sign_fake = (1 - 2 * t.signal("d_acc_fake") + 2 * t.signal("g_acc") - 1) / 2
    series = {
        "Loss/scores/fake": t.signal("d_logit_fake"),
        "Loss/signs/fake": sign_fake,
        "Loss/G/loss": t.signal("g_loss"),
        "Loss/scores/real": t.signal("d_logit_real"),
        "Loss/signs/real": 2 * t.signal("d_acc_real") - 1,
        "Loss/D/loss": _total(t),
    }
    means = {name: _means(values, per_tick) for name, values in series.items()}
    lines: list[str] = []
    for tick in range(len(t.steps) // per_tick):
        row = {name: {"num": 4000, "mean": float(values[tick]), "std": 1.0} for name, values in means.items()}
        kimg = (tick + 1) * per_tick * BATCH / 1000
        row |= {"Progress/tick": {"num": 1, "mean": float(tick), "std": 0.0}}
        row |= {"Progress/kimg": {"num": 1, "mean": kimg, "std": 0.0}, "timestamp": 1660001624.0 + tick}
        lines.append(json.dumps(row))
    return _lines(folder / "stats.jsonl", lines)


def biggan(t: Training, folder: Path) -> Path:
    """BigGAN-PyTorch: a file a metric, every step."""
    root = folder / "biggan"
    root.mkdir()
    names = {"G_loss": "g_loss", "D_loss_real": "d_loss_real", "D_loss_fake": "d_loss_fake"}
    for name, signal in names.items():
        _lines(root / f"{name}.log", [f"{i}: {t.signal(signal)[i]}" for i in _every(t, 1)])
    return root


def mmgen(t: Training, folder: Path) -> Path:
    """mmgeneration: JSON lines, the first of them the environment; means over 20 steps, five digits."""
    names = {"loss_disc_fake": "d_loss_fake", "loss_disc_real": "d_loss_real", "loss_disc_fake_g": "g_loss"}
    means = {name: _means(t.signal(signal), 20) for name, signal in names.items()}
    lines = [json.dumps({"env_info": "sys.platform: linux", "seed": 0, "exp_name": "dcgan.py"})]
    for row in range(len(t.steps) // 20):
        values = {name: round(float(series[row]), 5) for name, series in means.items()}
        values["loss_disc"] = round(values["loss_disc_fake"] + values["loss_disc_real"], 5)
        head = {"mode": "train", "epoch": 1, "iter": 20 * (row + 1), "lr": {"generator": [2e-4]}, "time": 0.05}
        lines.append(json.dumps(head | values))
    return _lines(folder / "20230101_100000.log.json", lines)


def chainer(t: Training, folder: Path) -> Path:
    """chainer-gan-lib: a JSON array, means over 100 iterations, the sum."""
    total, g = _means(_total(t), 100), _means(t.signal("g_loss"), 100)
    rows = [
        {
            "loss_gen": float(g[i]),
            "loss_dis": float(total[i]),
            "epoch": i,
            "iteration": 100 * (i + 1),
            "elapsed_time": 17.4 * i,
        }
        for i in range(len(g))
    ]
    path = folder / "log"
    path.write_text(json.dumps(rows, indent=4), encoding="utf-8")
    return path


def lightning(t: Training, folder: Path) -> Path:
    """Lightning's CSVLogger: every 50th step, each metric in a row of its own; empty cells."""
    path = folder / "metrics.csv"
    total, g = _total(t) / 2, t.signal("g_loss")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["d_loss", "epoch", "g_loss", "step"])
        for i in range(49, len(t.steps), 50):
            writer.writerow(["", i // PER_EPOCH, repr(float(np.float32(g[i]))), i])
            writer.writerow([repr(float(np.float32(total[i]))), i // PER_EPOCH, "", i])
    return path


def wandb(t: Training, folder: Path) -> Path:
    """A chart that was exported from W&B: a run's name before each column, and its least and most."""
    path = folder / "wandb_export.csv"
    columns = {"d_loss": _total(t), "g_loss": t.signal("g_loss")}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        names = [f"dcgan-7 - {name}{end}" for name in columns for end in ("", "__MIN", "__MAX")]
        writer.writerow(["Step", *names])
        for i in _every(t, 10):
            writer.writerow([i, *(f"{values[i]:.6f}" for values in columns.values() for _ in range(3))])
    return path


def keras_history(t: Training, folder: Path) -> Path:
    """`json.dump(history.history)`: means of epochs, the mean of both parts."""
    path = folder / "history.json"
    series = {"d_loss": _means(_total(t) / 2, 20), "g_loss": _means(t.signal("g_loss"), 20)}
    path.write_text(json.dumps({name: [float(v) for v in values] for name, values in series.items()}))
    return path


def tensorboard(t: Training, folder: Path) -> Path:
    """An event file as `SummaryWriter` makes it, tags as torch-mimicry has them, every 10th step."""
    root = folder / "events"
    root.mkdir()
    tags = {"errD": _total(t), "errG": t.signal("g_loss"), "D(x)": t.signal("d_x"), "D(G(z))": t.signal("d_g_z")}
    with (root / "events.out.tfevents.1660001624.host.1.0").open("wb") as file:
        file.write(_record(b"\x09" + struct.pack("<d", 1660001624.0) + _field(3, b"brain.Event:2")))
        for i in _every(t, 10):
            for tag, values in tags.items():
                value = _field(1, tag.encode()) + b"\x15" + struct.pack("<f", float(values[i]))
                wall = b"\x09" + struct.pack("<d", 1660001624.0 + i)
                file.write(_record(wall + b"\x10" + _varint(i) + _field(5, _field(1, value))))
    return root


def _field(number: int, data: bytes) -> bytes:
    """A field of bytes, as protocol buffers have it."""
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _record(data: bytes) -> bytes:
    """A record of TensorFlow: its length and its bytes, each with a masked CRC-32C."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


CRC = [_crc_of(byte) for byte in range(256)]

LOG_FORMATS: tuple[LogFormat, ...] = (
    LogFormat(name="pytorch/examples DCGAN", write=dcgan, games=("bce", "lsgan")),
    LogFormat(name="PyTorch-GAN", write=pytorch_gan, games=("bce", "lsgan", "wgan-gp", "relativistic")),
    LogFormat(name="Keras-GAN", write=keras_gan, games=("bce", "lsgan")),
    LogFormat(name="pix2pix", write=pix2pix, games=("bce", "lsgan")),
    LogFormat(name="StyleGAN2-ADA", write=stylegan, games=("bce",)),
    LogFormat(name="StudioGAN", write=studiogan),
    LogFormat(name="BigGAN-PyTorch", write=biggan, games=("hinge",)),
    LogFormat(name="lightweight-gan", write=lucidrains, games=("hinge",)),
    LogFormat(name="mmgeneration", write=mmgen),
    LogFormat(name="BasicSR", write=basicsr, games=("bce", "relativistic")),
    LogFormat(name="chainer-gan-lib", write=chainer, games=("bce", "hinge", "wgan-gp")),
    LogFormat(name="TensorBoard events", write=tensorboard),
    LogFormat(name="Lightning metrics.csv", write=lightning),
    LogFormat(name="W&B chart export", write=wandb),
    LogFormat(name="Keras history", write=keras_history, games=("bce", "lsgan", "wgan-gp")),
    LogFormat(name="DCGAN, begun anew", write=begun_anew, games=("bce", "lsgan")),
    LogFormat(name="PyTorch-GAN, with validation", write=with_validation, games=("bce", "lsgan")),
    LogFormat(name="Keras bars", write=keras_bars, games=("bce", "lsgan")),
    LogFormat(name="TensorBoard CSV, two runs", write=two_runs, games=("bce", "hinge"), run="a"),
)
"""Each with the objectives that its trainer, or who uses it, trains."""
