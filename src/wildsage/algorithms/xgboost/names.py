"""The metrics and objectives of the XGBoost container by name. Light: the server reads them too."""

from __future__ import annotations

MAXIMIZED = (
    "accuracy",
    "auc",
    "aucpr",
    "balanced_accuracy",
    "f1",
    "f1_binary",
    "f1_macro",
    "map",
    "ndcg",
    "precision",
    "r2",
    "recall",
    "precision_macro",
    "precision_micro",
    "recall_macro",
    "recall_micro",
)
MINIMIZED = (
    "aft-nloglik",
    "cox-nloglik",
    "error",
    "gamma-deviance",
    "gamma-nloglik",
    "interval-regression-accuracy",
    "logloss",
    "mae",
    "mape",
    "merror",
    "mlogloss",
    "mphe",
    "mse",
    "poisson-nloglik",
    "rmse",
    "rmsle",
    "tweedie-nloglik",
)
THRESHOLD_METRICS = ("error", "ndcg", "map")
OBJECTIVES = (
    "aft_loss_distribution",
    "binary:logistic",
    "binary:logitraw",
    "binary:hinge",
    "count:poisson",
    "multi:softmax",
    "multi:softprob",
    "rank:pairwise",
    "rank:ndcg",
    "rank:map",
    "reg:linear",
    "reg:squarederror",
    "reg:logistic",
    "reg:gamma",
    "reg:pseudohubererror",
    "reg:squaredlogerror",
    "reg:absoluteerror",
    "reg:tweedie",
    "survival:aft",
    "survival:cox",
)
MULTI_CLASS = ("multi:softmax", "multi:softprob")
# What each updater of the past is called now.
UPDATERS = {
    "grow_colmaker": "grow_colmaker",
    "distcol": "grow_colmaker",
    "grow_histmaker": "grow_histmaker",
    "grow_local_histmaker": "grow_histmaker",
    "grow_skmaker": "grow_histmaker",
    "grow_quantile_histmaker": "grow_quantile_histmaker",
    "sync": "sync",
    "refresh": "refresh",
    "prune": "prune",
    "shotgun": "shotgun",
    "coord_descent": "coord_descent",
}
MODEL_FILE = "xgboost-model"
CHECKPOINT_FILE = "xgboost-checkpoint"
# Kept in a model that was trained on LIBSVM: requests then count features as the training data did.
LIBSVM_ATTRIBUTE = "wildsage_libsvm_indices"
