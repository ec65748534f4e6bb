# %% [markdown]
# # From probabilities to decisions
#
# Which rows to label, which to hand to a person, and which classes to offer them.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import train_test_split

import postproc

X, y = load_digits(return_X_y=True)
X_train, X, y_train, y = train_test_split(X / 16, y, train_size=100, random_state=0, stratify=y)
X_val, X_test, y_val, y_test = train_test_split(X, y, train_size=700, random_state=0, stratify=y)
model = ExtraTreesClassifier(50, random_state=0).fit(X_train, y_train)
val, test = model.predict_proba(X_val), model.predict_proba(X_test)

# %% [markdown]
# ## A bound on the error
#
# `max_error` labels as many rows as it can, so that with 95 % confidence at most that share of the labels is wrong.

# %%
right = test.argmax(axis=1) == y_test
order = np.argsort(-test.max(axis=1))
coverage = np.arange(1, len(order) + 1) / len(order)
error = 1 - np.cumsum(right[order]) / np.arange(1, len(order) + 1)
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
axes.plot(100 * coverage, 100 * error, color="#2463b4", label="test rows, most certain first")
for bound in (0.02, 0.05, 0.1):
    choice = postproc.SelectiveClassifier(max_error=bound).fit(val, y_val).predict(test)
    taken = choice >= 0
    wrong = (choice[taken] != y_test[taken]).mean() if taken.any() else 0.0
    print(f"bound {bound:.0%}: {taken.mean():.1%} of the rows labelled, {wrong:.1%} of these wrong")
    axes.plot(100 * taken.mean(), 100 * wrong, "o", color="#c2410c")
axes.set(xlabel="rows that are labelled, %", ylabel="wrong, %")
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# The dots are what the bounds chose on validation rows. They lie below their bound: the guarantee has to hold for unlucky draws, too.
#
# ## Short lists that hold the truth

# %%
for score in ("lac", "aps"):
    sets = postproc.ConformalSets(coverage=0.9, score=score).fit(val, y_val).predict_set(test)
    held = sets[np.arange(len(y_test)), y_test].mean()
    sizes = np.bincount(sets.sum(axis=1), minlength=5)
    print(
        f"{score}: {held:.1%} hold the true class; {sets.sum(axis=1).mean():.2f} classes on average; sizes {sizes[1:8]}"
    )

# %% [markdown]
# ## When mistakes differ in cost
#
# Reading a 1 as a 7 costs ten times any other mistake; a row may also be handed to a person, for a third of a mistake.

# %%
costs = np.ones((10, 11)) - np.eye(10, 11)
costs[1, 7], costs[:, 10] = 10, 0.3
probs = postproc.PooledScaling().fit(val, y_val).predict_proba(test)
for name, decided in (
    ("likeliest class", probs.argmax(axis=1)),
    ("least cost", postproc.decide(probs, costs=costs)),
):
    paid = costs[y_test, np.where(decided < 0, 10, decided)].mean()
    print(f"{name}: {paid:.3f} a row, {(decided < 0).mean():.1%} handed on")

# %% [markdown]
# When these guarantees fail, and how often they held in 400 draws: [decisions](../decisions.md).
