"""A half-space tree for each series, as river's documentation does it: scaled, scored, then learned.

Tuned: river's own defaults but for a window of 250 rows; a loop over dictionaries is the only way in.
"""

import loop
from river import anomaly, preprocessing

models = {}


def score(samples):
    scores = []
    for series, value in samples:
        model = models.get(series)
        if model is None:
            trees = anomaly.HalfSpaceTrees(n_trees=10, height=8, window_size=250, seed=0)
            model = models[series] = preprocessing.MinMaxScaler() | trees
        row = {"value": value}
        scores.append(model.score_one(row))
        model.learn_one(row)
    return scores


loop.run(score)
