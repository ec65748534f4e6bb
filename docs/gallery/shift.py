# %% [markdown]
# # When class frequencies change
#
# A model learned from ten classes of equal size. It is used where some are common and others rare. Nobody labels that target: its class prior must be
# estimated from predictions.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

import postproc

X, y = load_digits(return_X_y=True)
X_train, X, y_train, y = train_test_split(X / 16, y, train_size=100, random_state=0, stratify=y)
X_val, X_test, y_val, y_test = train_test_split(X, y, train_size=600, random_state=0, stratify=y)
model = LogisticRegression(C=0.3, max_iter=1000).fit(X_train, y_train)
val, test = model.predict_proba(X_val), model.predict_proba(X_test)

frequencies = np.geomspace(1, 0.02, 10)
rows = np.random.default_rng(0).choice(
    len(y_test), 600, p=frequencies[y_test] / frequencies[y_test].sum()
)
target, truth = test[rows], y_test[rows]
true_prior = np.bincount(truth, minlength=10) / len(truth)

# %% [markdown]
# ## Four estimates of the prior

# %%
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
axes.bar(range(10), 100 * true_prior, color="#dbe2ea", label="truth")
adapted = {"as given": target}
for method, mark in (("em", "o"), ("map", "D"), ("bbse", "^")):
    adapter = postproc.LabelShiftAdapter(method=method).fit(val, y_val)
    result = adapter.adapt_to(target)
    adapted[method] = adapter.predict_proba(target)
    axes.plot(range(10), 100 * result.prior.prior, mark, label=method)
axes.set(xlabel="digit", ylabel="share of the target, %", xticks=range(10))
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Gains, and two ways to lose
#
# `can` and `sinkhorn` are given the prior of the *training* set here, as people do who do not know that there is a shift.

# %%
can = postproc.CAN(prior="uniform").fit(target)
adapted["can, uniform"] = can.predict_proba(target)
adapted["sinkhorn, uniform"] = postproc.joint_normalization(target, np.full(10, 0.1))
report = postproc.accuracy_report(adapted, truth)
print(report.to_text())

# %% [markdown]
# ## No shift: leave it alone
#
# The test for label shift compares mean predictions. On rows as they come:

# %%
calibration = postproc.PooledScaling().fit(val, y_val)
fit_rows = np.exp(calibration.out_of_fold_)
for name, scores in (("rows as they come", test), ("the target", target)):
    found = postproc.no_shift_test(calibration.predict_proba(scores), fit_rows)
    print(f"{name}: p = {found.p_value:.2g}")

# %% [markdown]
# `auto` acts on that test, and rehearses shifts before it trusts an estimate: [auto](../methods/auto.md), [label shift](../methods/shift.md).
