# %% [markdown]
# # How sure is it? Calibrating one model
#
# A naive Bayes classifier of handwritten digits, trained on 100 images. Is it right as often as it says?

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB

import postproc

X, y = load_digits(return_X_y=True)
X_train, X, y_train, y = train_test_split(X / 16, y, train_size=100, random_state=0, stratify=y)
X_val, X_test, y_val, y_test = train_test_split(X, y, train_size=600, random_state=0, stratify=y)
model = GaussianNB(var_smoothing=0.01).fit(X_train, y_train)
val, test = model.predict_proba(X_val), model.predict_proba(X_test)

# %% [markdown]
# ## Four maps, fitted to 600 labelled rows

# %%
methods = {
    "temperature": postproc.TemperatureScaling(),
    "bcts": postproc.BiasCorrectedTemperatureScaling(),
    "structured": postproc.StructuredScaling(),
    "pooled": postproc.PooledScaling(),
}
models = {"as given": test} | {
    name: method.fit(val, y_val).predict_proba(test) for name, method in methods.items()
}
report = postproc.accuracy_report(models, y_test, metrics=["accuracy", "log_loss"])
print(report.to_text())

# %% [markdown]
# A temperature mends the confidence and changes no class. The richer maps also mend confusions between classes. The verdicts say which gains chance
# could explain.
#
# ## Said and true
#
# Points below the diagonal are rows in which the model says more than it keeps.

# %%
figure, panels = plt.subplots(1, 3, figsize=(9, 3.2), sharey=True, layout="constrained")
for axes, name in zip(panels, ("as given", "temperature", "pooled"), strict=True):
    right = models[name].argmax(axis=1) == y_test
    bins = postproc.reliability_bins(models[name].max(axis=1), right)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    axes.plot(bins.confidence, bins.accuracy, "o", color="#2463b4", alpha=0.8)
    axes.set(title=name, xlabel="confidence", xlim=(0, 1.02), ylim=(0, 1.02))
panels[0].set_ylabel("accuracy")
plt.show()

# %% [markdown]
# ## How many labelled rows does it take?

# %%
sizes = [30, 60, 120, 240, 480]
losses = {name: [] for name in ("temperature", "structured", "pooled")}
for size in sizes:
    for name in losses:
        probs = methods[name].fit(val[:size], y_val[:size]).predict_proba(test)
        losses[name].append(-np.log(probs[np.arange(len(y_test)), y_test]).mean())
figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
for name, values in losses.items():
    axes.plot(sizes, values, marker="o", label=name)
axes.set(
    xscale="log", xlabel="labelled rows", ylabel="test log-loss", xticks=sizes, xticklabels=sizes
)
axes.minorticks_off()
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# This model favours some digits, so the richer maps pay from 30 rows on. They do not always: equations and other tasks are on the page of [calibration](../methods/calibration.md).
