"""Records made by hand, and directories with them."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from untrain import __version__
from untrain.core.estimate import Estimate
from untrain.records import (
    Applied,
    Audit,
    Chain,
    Copies,
    Ground,
    Membership,
    MemoryLeft,
    Models,
    Outcome,
    Record,
    Unchanged,
    Utility,
    Verdict,
    commit,
    read_chain,
    state_digest,
    write_record,
)

KEY = bytes(range(32))
State = dict[str, np.ndarray[Any, Any]]


def state(seed: int) -> State:
    generator = np.random.default_rng(seed)
    return {
        "weight": generator.normal(size=(3, 4)).astype(np.float32),
        "bias": generator.normal(size=3).astype(np.float32),
        "steps": np.array(seed),
    }


def record(
    ids: tuple[str, ...] = ("a", "b", "c"),
    before: int = 0,
    after: int = 1,
    chain: Chain | None = None,
    **changes: Any,
) -> Record:
    made = Record(
        created="2026-05-04T03:02:01Z",
        versions={"untrain": __version__, "python": "3.11.0", "torch": "2.13.0"},
        machine={"device": "cpu", "threads": 2, "platform": "Linux"},
        model=Models(architecture="MLP", before=state_digest(state(before)), after=state_digest(state(after))),
        requested=commit(
            ids, KEY, retained=97, validation=20, classes=10,
            contents=[hashlib.sha256(name.encode()).hexdigest() for name in ids],
        ),
        copies=Copies(
            exact_taken=1, near_taken=2, exact_retained=0, near_retained=4, exact_held_out=5, near_held_out=6,
            measure="distance between inputs", threshold=0.25,
        ),
        applied=Applied(
            method="finetune:default",
            settings={"epochs": 2.0, "optimizer": {"kind": "sgd", "lr": 0.1}, "layers": [1, 2]},
            origin="untrain Finetune", reason="Few are to be forgotten.", seed_commitment="5" * 64, seconds=1.25,
        ),
        utility=Utility(
            on="20 validation examples", examples=20, before=0.95, after=0.94,
            change=Estimate(value=-0.01, low=-0.03, high=0.01),
            since_first=Estimate(value=-0.01, low=-0.03, high=0.01), bound=0.05,
        ),
        membership=Membership(
            before=Estimate(value=0.71, low=0.6, high=0.8), after=Estimate(value=0.52, low=0.4, high=0.6),
            forgotten=3, held_out=20, limits="A stronger attack may see more.",
        ),
        unchanged=Unchanged(same_prediction=0.25, same_label=0.125),
        audit=Audit(
            models=39, words="Close to retrained models.",
            memory=MemoryLeft(
                left=Estimate(value=0.04, low=-0.21, high=0.27), level=0.95, p_value=0.4, different_p_value=0.35,
                original_p_value=0.025, trace_p_value=0.025, limit=0.5, retain_accuracy=0.96, lowest_retrained=0.97,
            ),
        ),
        verdict=Verdict(
            outcome=Outcome.FORGOTTEN, ground=Ground.BY_AUDIT,
            sentences=("The model is not told from models that never saw the examples.",),
        ),
        limits=("It says nothing of other models.",),
        previous=chain.link() if chain else None,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def written(directory: Path, **changes: Any) -> Path:
    """The directory of a first request."""
    write_record(directory, record(**changes), state(1), KEY)
    return directory


def chained(root: Path, length: int = 3) -> Path:
    """The directory of the last of some requests that follow each other, each to forget two examples."""
    chain, directory = None, root
    for number in range(length):
        directory = root / str(number)
        ids = (f"{number}-first", f"{number}-second")
        write_record(directory, record(ids, number, number + 1, chain), state(number + 1), KEY, chain)
        chain = read_chain(directory)
    return directory
