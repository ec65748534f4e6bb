# %% [markdown]
# # Five models, one vote
#
# Five small classifiers of handwritten digits. Which rule combines them best, and how many labelled rows does learning it take?

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

import ensemble
import postproc

X, y = load_digits(return_X_y=True)
X_train, X, y_train, y = train_test_split(X / 16, y, train_size=100, random_state=1, stratify=y)
X_val, X_test, y_val, y_test = train_test_split(X, y, train_size=600, random_state=1, stratify=y)
models = {
    "logistic": LogisticRegression(max_iter=1000),
    "lda": LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1),
    "bayes": GaussianNB(var_smoothing=0.01),
    "near": KNeighborsClassifier(5),
    "forest": ExtraTreesClassifier(50, random_state=0),
}
for model in models.values():
    model.fit(X_train, y_train)
val = [model.predict_proba(X_val) for model in models.values()]
test = [model.predict_proba(X_test) for model in models.values()]

# %% [markdown]
# ## Do they err alike?
#
# The share of rows in which exactly one of two models is right: what an ensemble can win.

# %%
diversity = ensemble.pairwise_diversity(test, y_test)
figure, axes = plt.subplots(figsize=(4.2, 3.6), layout="constrained")
shown = axes.imshow(100 * diversity.disagreement, cmap="Blues")
axes.set_xticks(range(5), models, rotation=45)
axes.set_yticks(range(5), models)
figure.colorbar(shown, label="one of the two is right, % of rows")
plt.show()

# %% [markdown]
# ## Rules and learned ensembles

# %%
fitted = {
    "calibrated": ensemble.CalibratedVoting(),
    "weights": ensemble.LearnedLogPool(),
    "greedy": ensemble.GreedySelection(),
    "gumbel": ensemble.GumbelSelection(size=3),
    "blend": ensemble.DiscriminantPool(),
}
combined = {"best single": test[int(np.argmax([(p.argmax(axis=1) == y_val).mean() for p in val]))]}
combined["soft"] = ensemble.soft_vote(test)
for name, method in fitted.items():
    combined[name] = method.fit(val, y_val).predict_proba(test)
print(postproc.accuracy_report(combined, y_test).to_text())

# %% [markdown]
# ## How many labelled rows?

# %%
sizes = [60, 120, 240, 480]
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
for name in ("calibrated", "weights", "blend"):
    right = [
        100
        * (fitted[name].fit([p[:size] for p in val], y_val[:size]).predict(test) == y_test).mean()
        for size in sizes
    ]
    axes.plot(sizes, right, marker="o", label=name)
axes.axhline(
    100 * (combined["soft"].argmax(axis=1) == y_test).mean(),
    color="#999999",
    label="soft, no labels",
)
axes.set(
    xscale="log", xlabel="labelled rows", ylabel="accuracy, %", xticks=sizes, xticklabels=sizes
)
axes.minorticks_off()
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# One draw of rows, so small differences mean nothing; [learned ensembles](../methods/learned.md) has seven tasks.
