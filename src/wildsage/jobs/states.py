"""States and allowed transitions of every kind of work, one table per kind.

A training job's document keeps its own state under "State": the secondary status and the list of
transitions as DescribeTrainingJob shows them. `advance` is the only way from one to the next.
"""

from __future__ import annotations

from typing import Any

from wildsage import clock

IN_PROGRESS, STOPPING = "InProgress", "Stopping"
COMPLETED, FAILED, STOPPED = "Completed", "Failed", "Stopped"
ENDED = frozenset({COMPLETED, FAILED, STOPPED})

# Secondary status -> those that may follow.
TRAINING = {
    "Starting": {"Pending", "Downloading", "Stopping", "Failed"},
    "Pending": {"Downloading", "Stopping", "Failed"},
    "Downloading": {"Training", "Stopping", "Failed"},
    "Training": {"Uploading", "Stopping", "Failed"},
    "Stopping": {"Uploading", "Stopped", "Failed"},
    "Uploading": {"Completed", "Stopped", "MaxRuntimeExceeded", "Failed", "Stopping"},
    "Completed": set(),
    "Failed": set(),
    "Stopped": set(),
    "MaxRuntimeExceeded": set(),
}

# Secondary status -> what TrainingJobStatus says.
TRAINING_STATUS = {
    "Stopping": STOPPING,
    "Completed": COMPLETED,
    "Failed": FAILED,
    "Stopped": STOPPED,
    "MaxRuntimeExceeded": STOPPED,
}

# AWS's StatusMessage of each.
TRAINING_MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job stopped because it exceeded MaxRuntimeInSeconds",
}


class BadTransition(RuntimeError):
    """A step of a reconciler that the table does not allow: a bug."""


def begin(message: str | None = None) -> dict[str, Any]:
    """The state of a job that was just created."""
    return {
        "SecondaryStatus": "Starting",
        "Transitions": [_transition("Starting", message or TRAINING_MESSAGES["Starting"])],
    }


def advance(state: dict[str, Any], secondary: str, message: str | None = None) -> dict[str, Any]:
    """The state after a transition to `secondary`; the same status again renews its message."""
    current = state["SecondaryStatus"]
    *earlier, last = state["Transitions"]
    if secondary == current:
        transitions = [*earlier, last | {"StatusMessage": message or last["StatusMessage"]}]
        return state | {"Transitions": transitions}
    if secondary not in TRAINING[current]:
        raise BadTransition(f"from {current} to {secondary}")
    added = _transition(secondary, message or TRAINING_MESSAGES[secondary])
    transitions = [*earlier, last | {"EndTime": added["StartTime"]}, added]
    return state | {"SecondaryStatus": secondary, "Transitions": transitions}


def status_of(secondary: str) -> str:
    return TRAINING_STATUS.get(secondary, IN_PROGRESS)


def _transition(status: str, message: str) -> dict[str, Any]:
    now = round(clock.now(), 3)
    ended = {"EndTime": now} if status_of(status) in ENDED else {}
    return {"Status": status, "StartTime": now, "StatusMessage": message} | ended
