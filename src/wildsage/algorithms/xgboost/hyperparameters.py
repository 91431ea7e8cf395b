"""Every hyperparameter of the XGBoost container: type, range, what a tuning job searches."""

from __future__ import annotations

from wildsage.algorithms.spec import Choice, Hyperparameter, Integer, Real, Tunable
from wildsage.algorithms.xgboost.dialect import IntegerTuple, NestedIntegers, WordList
from wildsage.algorithms.xgboost.names import MAXIMIZED, MINIMIZED, OBJECTIVES, UPDATERS


def _tuned(low: float, high: float) -> Tunable:
    return Tunable(low, high, "Linear")


def _switch(name: str, default: int | None, description: str) -> Integer:
    return Integer(name, minimum=0, maximum=1, default=default, description=description)


def _share(name: str, low: float, description: str) -> Real:
    """A share of rows or columns, more than none."""
    return Real(
        name,
        minimum=0,
        maximum=1,
        exclusive_minimum=True,
        default=1.0,
        tunable=_tuned(low, 1),
        description=description,
    )


def _unused(name: str, *choices: str) -> Choice:
    return Choice(name, choices=choices, description="Accepted; today's library has no such thing.")


_RUN: tuple[Hyperparameter, ...] = (
    Integer(
        "num_round",
        minimum=1,
        required=True,
        tunable=_tuned(1, 4000),
        description="Rounds of boosting.",
    ),
    _switch("csv_weights", 0, "1: the second column of CSV is the row's weight."),
    Integer(
        "early_stopping_rounds",
        minimum=1,
        description="Stop when the last metric of `validation` has not improved for so many "
        "rounds, and keep the best.",
    ),
    Choice(
        "booster",
        choices=("gbtree", "gblinear", "dart"),
        default="gbtree",
        description="Trees, linear functions, or trees with dropout.",
    ),
    Integer("verbosity", minimum=0, maximum=3, default=1, description="How much the library says."),
    _switch("silent", None, "Of the images up to 0.90: 1 is `verbosity` 0."),
    Integer("nthread", minimum=1, description="Threads; all cores if not given."),
    Choice(
        "save_model_on_termination",
        choices=("true", "false"),
        description="A stopped job saves the rounds it has done, unless this is `false`.",
    ),
    Choice(
        "use_dask_gpu_training",
        choices=("true", "false"),
        default="false",
        description="Only `false`: there is no Dask training.",
    ),
)
_TREES: tuple[Hyperparameter, ...] = (
    Real(
        "eta",
        minimum=0,
        maximum=1,
        default=0.3,
        tunable=_tuned(0.1, 0.5),
        description="Learning rate, also under the name `learning_rate`.",
    ),
    Real(
        "gamma",
        minimum=0,
        default=0.0,
        tunable=_tuned(0, 5),
        description="Least loss reduction for a split, also `min_split_loss`.",
    ),
    Integer(
        "max_depth",
        minimum=0,
        default=6,
        tunable=_tuned(0, 10),
        description="Depth of a tree; 0: no limit.",
    ),
    Real(
        "min_child_weight",
        minimum=0,
        default=1.0,
        tunable=_tuned(0, 120),
        description="Least sum of hessians in a leaf.",
    ),
    Real(
        "max_delta_step",
        minimum=0,
        default=0.0,
        tunable=_tuned(0, 10),
        description="Largest step of a leaf; 0: no limit.",
    ),
    _share("subsample", 0.5, "Share of rows for each tree."),
    _share("colsample_bytree", 0.5, "Share of columns for each tree."),
    _share("colsample_bylevel", 0.1, "Share of these for each level."),
    _share("colsample_bynode", 0.1, "Share of these for each split."),
    Real(
        "lambda",
        minimum=0,
        default=1.0,
        tunable=_tuned(0, 1000),
        description="L2 regularization, also `reg_lambda`.",
    ),
    Real(
        "alpha",
        minimum=0,
        default=0.0,
        tunable=_tuned(0, 1000),
        description="L1 regularization, also `reg_alpha`.",
    ),
    Choice(
        "tree_method",
        choices=("auto", "exact", "approx", "hist", "gpu_hist"),
        default="auto",
        description="How splits are found; `gpu_hist` is `hist` on the CPU.",
    ),
    Real(
        "sketch_eps",
        minimum=0,
        maximum=1,
        exclusive_minimum=True,
        exclusive_maximum=True,
        description="Of the past: with `approx` it sets `max_bin` to its inverse.",
    ),
    Real(
        "scale_pos_weight",
        minimum=0,
        exclusive_minimum=True,
        default=1.0,
        description="Weight of the positive class.",
    ),
    WordList("updater", words=tuple(UPDATERS), description="Which updaters run, in order."),
    _unused("dsplit", "row", "col"),
    _switch("refresh_leaf", 1, "1: the updater `refresh` also renews leaves."),
    Choice(
        "process_type",
        choices=("default", "update"),
        default="default",
        description="`update`: renew the trees of the checkpoint instead of adding any.",
    ),
    Choice(
        "grow_policy",
        choices=("depthwise", "lossguide"),
        default="depthwise",
        description="Which node is split next.",
    ),
    Integer("max_leaves", minimum=0, default=0, description="Leaves of a tree; 0: no limit."),
    Integer("max_bin", minimum=0, default=256, description="Bins of a feature's histogram."),
    _unused("predictor", "auto", "cpu_predictor", "gpu_predictor"),
    IntegerTuple(
        "monotone_constraints",
        values=(-1, 0, 1),
        description="For each feature: falling, free or rising.",
    ),
    NestedIntegers(
        "interaction_constraints", description="Groups of features that may meet in a branch."
    ),
    Integer("num_parallel_tree", minimum=1, default=1, description="Trees in each round."),
    _unused("deterministic_histogram", "true", "false"),
    Choice(
        "sampling_method",
        choices=("uniform", "gradient_based"),
        default="uniform",
        description="How `subsample` chooses rows.",
    ),
    Integer(
        "prob_buffer_row",
        minimum=1.0,
        exclusive_minimum=True,
        description="Accepted; today's library has no such thing.",
    ),
)
_DART: tuple[Hyperparameter, ...] = (
    Choice(
        "sample_type",
        choices=("uniform", "weighted"),
        default="uniform",
        description="dart: how dropped trees are chosen.",
    ),
    Choice(
        "normalize_type",
        choices=("tree", "forest"),
        default="tree",
        description="dart: what new trees weigh.",
    ),
    Real(
        "rate_drop",
        minimum=0,
        maximum=1,
        default=0.0,
        description="dart: share of trees dropped.",
    ),
    _switch("one_drop", 0, "dart: 1 drops at least one tree."),
    Real(
        "skip_drop",
        minimum=0,
        maximum=1,
        default=0.0,
        description="dart: probability of dropping none.",
    ),
)
_TASK: tuple[Hyperparameter, ...] = (
    Real(
        "lambda_bias",
        minimum=0,
        maximum=1,
        description="Accepted; today's library has no such thing.",
    ),
    Real(
        "tweedie_variance_power",
        minimum=1,
        maximum=2,
        exclusive_minimum=True,
        exclusive_maximum=True,
        default=1.5,
        description="reg:tweedie: near 2 is gamma, near 1 is Poisson.",
    ),
    Choice(
        "objective", choices=OBJECTIVES, default="reg:squarederror", description="What is learned."
    ),
    Integer("num_class", minimum=2, description="Classes, for `multi:` objectives."),
    Real("base_score", minimum=0, description="The first prediction; estimated if not given."),
    Integer("_kfold", minimum=2, description="Cross validation with so many folds."),
    Integer("_num_cv_round", minimum=1, description="How often the cross validation is done."),
    Choice(
        "_tuning_objective_metric",
        choices=tuple(f"validation:{name}" for name in (*MAXIMIZED, *MINIMIZED)),
        description="Set by tuning jobs.",
    ),
    WordList(
        "eval_metric", description="Metrics, separated by commas; the objective's own if none."
    ),
    Integer(
        "seed",
        minimum=-(2**31),
        maximum=2**31 - 1,
        exclusive_minimum=True,
        exclusive_maximum=True,
        default=0,
        description="Of the random choices.",
    ),
    Choice(
        "aft_loss_distribution",
        choices=("normal", "logistic", "extreme"),
        description="survival:aft: distribution of the noise.",
    ),
    Real("aft_loss_distribution_scale", minimum=0, description="survival:aft: its scale."),
)
HYPERPARAMETERS = (*_RUN, *_TREES, *_DART, *_TASK)
ALIASES = (
    ("learning_rate", "eta"),
    ("min_split_loss", "gamma"),
    ("reg_lambda", "lambda"),
    ("reg_alpha", "alpha"),
)
