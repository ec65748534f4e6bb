"""Codes of warnings and errors: how each is detected, what it means, and how to mend it.

PP1xx and PP4xx are errors of files and of data, PP2xx and PP3xx warnings of data and of methods,
PP9xx what only we can mend. `docs/codes.md` is written from here by `docs/codes.py`.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Code(NamedTuple):
    """One kind of warning or error."""

    number: str
    title: str
    found: str
    meaning: str
    mend: str

    @property
    def is_warning(self) -> bool:
        """Whether it is a warning, which can be silenced."""
        return self.number[2] in "23"


#: Each kind by the name that code calls it by.
CODES = {
    "missing-file": Code(
        "PP101",
        "No such file",
        "A path names no file or folder, with or without one of the known suffixes.",
        "Nothing can be read from it or written to it: the folder of an output must exist.",
        "Check the path and the current folder; create the folder of the output first.",
    ),
    "in-the-way": Code(
        "PP102",
        "Output in the way",
        "The output exists, is being written by another job, or is a folder with other files.",
        "Nothing is replaced unless that was asked for.",
        "Name another output, or allow replacing with `--overwrite`. Wait for the other job.",
    ),
    "system": Code(
        "PP103",
        "Refused by the system",
        "Reading or writing failed: missing rights, a full disk, a file that changed meanwhile.",
        "The file itself may be intact.",
        "Mend what the message names, then repeat the command.",
    ),
    "content": Code(
        "PP104",
        "Unreadable content",
        "The file is damaged, empty, of an unknown format, or of another shape than is needed.",
        "The file was found, but holds no predictions, labels or texts of the expected form.",
        "`postproc inspect FILE` shows what is read; *File layouts* lists what can be, and "
        "`postproc convert` writes other layouts as one of these.",
    ),
    "extra": Code(
        "PP105",
        "Extra not installed",
        "A format, page or engine needs a package that is not installed.",
        "Parquet files, HTML pages, Zarr arrays and Dask are optional.",
        "Run the command for pip that the message ends with.",
    ),
    "model": Code(
        "PP106",
        "Unusable model or configuration",
        "A saved model or configuration is damaged, or gives no probabilities when tried out.",
        "Models are tried out as they are loaded, so that no wrong number is ever written.",
        "Fit and save it again.",
    ),
    "resume": Code(
        "PP107",
        "Job stopped or not resumable",
        "A job stopped between blocks, or `--resume` met blocks of another job.",
        "Finished blocks are kept, and belong to one command with the same options and inputs.",
        "Mend what stopped it and repeat the command with `--resume`, or omit `--resume`.",
    ),
    "cluster": Code(
        "PP108",
        "Dask does not answer",
        "The scheduler or its workers cannot be reached, or have died.",
        "Blocks that are finished are kept.",
        "Start the scheduler and workers with the same version of postproc, then use `--resume`.",
    ),
    "memory": Code(
        "PP109",
        "Out of memory",
        "The system or the device gave no more memory.",
        "Work goes by blocks of rows, so this is mostly a fit to very many rows or classes.",
        "Fit to fewer rows, use `--device cpu`, or choose a method with fewer parameters.",
    ),
    "run-directory": Code(
        "PP110",
        "Incomplete run directory",
        "A folder lacks the splits, models or labels of a run directory.",
        "Its files are called `<model>.<split>.npy` and `labels.<split>.npy`.",
        "Add or rename the files that the message names.",
    ),
    "interrupted": Code(
        "PP111",
        "Interrupted",
        "The command was stopped by the user or the system.",
        "Outputs are whole or not there; the message says what is left.",
        "Run the command again, with `--resume` where the message says so.",
    ),
    "read": Code(
        "PP201",
        "Not read as it stands",
        "Columns or rows were left out, a common prefix of names was dropped, rows were "
        "renormalized, percentages were divided by 100, labels were recognized by their form, or "
        "members by names of files without words such as oof and test.",
        "The message says what was done; it is given once for each file.",
        "Declare it: `--columns`, `--id-column`, `--label-column`, `--key`, `--classes`, "
        "`--probs`.",
    ),
    "kind": Code(
        "PP202",
        "Doubtful kind of scores",
        "The rows sampled do not look like the kind that they are read as: logits whose rows sum "
        "to 1 or 100, shards unlike the others, labels of a multi-label task that sum to 1.",
        "A wrong kind changes every probability, though rarely the predicted class.",
        "Declare `--logits`, `--probs` or `--votes`, or omit `--multilabel`.",
    ),
    "sorted-scores": Code(
        "PP203",
        "Scores fall from left to right",
        "In every row sampled, no score is larger than the one before it.",
        "Columns may be ranks of a top-k list, which stand for other classes in each row.",
        "Save one column for each class; `postproc convert --layout` reads such lists.",
    ),
    "far-prior": Code(
        "PP204",
        "Target far from the prior",
        "The mean prediction of the target is further from the prior (total variation) than "
        "0.08, and than chance allows.",
        "CAN pulls ambiguous rows towards the prior, and loses accuracy if the target's classes "
        "are distributed differently.",
        "Pass the target's own prior, or estimate it with `postproc adapt`. If it is the target's "
        "own, the scores are far from calibrated: calibrate them first.",
    ),
    "by-position": Code(
        "PP205",
        "Matched by position",
        "Some files have class names or row ids, and others have none.",
        "Columns or rows of the latter are taken to be in the order of the former.",
        "Give all files names: `--classes`, or tables with headings and ids.",
    ),
    "chance": Code(
        "PP206",
        "Labels agree only by chance",
        "Labels in random order would agree with the predictions just as well (z below 1.645).",
        "Rows or classes of the two files are probably in different orders.",
        "Match them by ids and class names, or mend the order.",
    ),
    "unlabelled-class": Code(
        "PP207",
        "Predicted class without labels",
        "A class is predicted too often for none of its rows to have that label.",
        "Labels may be numbered or named otherwise than the columns.",
        "Name the classes with `--classes`, or number labels from 0.",
    ),
    "members-differ": Code(
        "PP208",
        "Members disagree on the target",
        "On the target, a member agrees with the closest other less than half as often as on the "
        "rows fitted to.",
        "Rows or classes of its two files are probably in different orders.",
        "Match them by ids and class names, or mend the order.",
    ),
    "unknown-labels": Code(
        "PP209",
        "Unknown labels",
        "Some labels are not among the classes of the predictions.",
        "No model can be right on these rows, so they count as wrong.",
        "Check the names of the classes, or leave these rows out.",
    ),
    "labels-only": Code(
        "PP210",
        "Predicted labels only",
        "A file holds one predicted label a row, and no scores.",
        "Metrics of predicted classes and hard votes can be computed, those of probabilities "
        "cannot.",
        "Save probabilities or logits.",
    ),
    "same-rows": Code(
        "PP211",
        "Judged on the rows fitted to",
        "Predictions hold rows that `--fit` holds too, or that a saved model was fitted to.",
        "A gain on the rows that a method was fitted to does not carry over to others.",
        "Fit to other labelled rows. `postproc calibrate`, `ensemble` and `auto` write honest "
        "predictions of the rows of `--fit` with `--oof`: each by a fit to others.",
    ),
    "leakage": Code(
        "PP212",
        "Fit rows that the model may have seen",
        "Mean confidence on the target, also after a temperature, lies far below the accuracy "
        "on the fit split.",
        "The model was trained on the fit rows, or the rows of the target are harder: of classes "
        "that the model knows less well, or of another kind.",
        "Fit to rows that no model was trained on. If these are, nothing need be done.",
    ),
    "lost-ids": Code(
        "PP213",
        "Row ids are lost",
        "The format of the output has no place for the row ids of the input.",
        "Rows are in the order of the input.",
        "Choose another format with `-o`: .npz, .csv or .parquet.",
    ),
    "suspicious": Code(
        "PP214",
        "Suspicious predictions",
        "`postproc inspect` found identical rows, ties, exact zeros, classes that are never "
        "predicted, or a softmax applied twice.",
        "Such predictions may be right, but often come from a fault in what wrote them.",
        "Check what wrote the file; `postproc convert --undo-softmax` undoes a softmax.",
    ),
    "answers": Code(
        "PP215",
        "Every token is a class",
        "Log-probabilities of a language model are read without a list of the answers.",
        "Tokens that are not answers count as classes, too.",
        "Name the answers with `--classes`.",
    ),
    "lacking-classes": Code(
        "PP216",
        "Members that lack classes",
        "With `--missing-class zero`, a member has no column for a class that others have.",
        "It gives that class probability zero.",
        "Nothing need be done if the member was trained without that class.",
    ),
    "labels-in-texts": Code(
        "PP217",
        "Variants that reveal their labels",
        "`postproc augment --method roles` has varied texts with the help of their own labels.",
        "The words that were inserted or kept tell a model the labels.",
        "Use such variants for training only; to judge by variants, learn the roles from other "
        "texts with `--fit`.",
    ),
    "order-of-classes": Code(
        "PP218",
        "Order of named classes",
        "`quadratic_kappa` is asked of classes whose names are words.",
        "It counts how far apart two classes are, by the order of the columns.",
        "Put the columns in their order (`--classes`); take `kappa` if classes have none.",
    ),
    "saturated-logits": Code(
        "PP219",
        "Logits on another scale",
        "In most rows sampled, logits are so far apart (over 36.8) that probabilities round to 0 "
        "and 1.",
        "Log-loss, Brier score and calibration error say nothing of such scores, nor does 1/2 as a "
        "threshold. AUC and average precision rank logits of two classes and of labels as they "
        "are; those of more classes tie.",
        "`postproc calibrate SCORES --logits --fit ...` makes probabilities of scores on any "
        "scale; `postproc ensemble rank SCORES --logits --over rows` ranks them in [0, 1]. Divide "
        "log-odds that were multiplied by a factor.",
    ),
    "unlike-scores": Code(
        "PP220",
        "Fit rows and target are not scored alike",
        "Mean confidence of the rows of `--fit` and of PREDS differs by more than 0.03, four "
        "standard errors, and what class frequencies explain; or only one of them is adapted to "
        "label shift.",
        "Class weights, thresholds and guarantees that are fitted to the one do not hold for the "
        "other. What made the fit rows was fitted to them, or only one file is calibrated, "
        "combined, adapted or a mean of several models.",
        "Take out-of-fold predictions of what made PREDS (`--oof` of `postproc calibrate`, "
        "`ensemble` and `auto`), or treat both files in the same way.",
    ),
    "reversed": Code(
        "PP221",
        "Scores in reverse order",
        "The AUC of two classes and its whole interval lie below 50 %.",
        "Rows of the positive class tend to have lower scores than the others: a higher score may "
        "mean safer. The AUC of the negated scores is 100 % less this one.",
        "`FILE:-COLUMN` reads one column as the score of the other class, 1 - p or -z; "
        "`--positive NAME` names the class that all columns score. Check that rows are in the same "
        "order.",
    ),
    "converged": Code(
        "PP301",
        "Not converged",
        "An iteration or optimiser reached its limit before it settled.",
        "The result may be less accurate than it could be.",
        "Raise `max_iter` where there is one; check the scale of the scores.",
    ),
    "unseen-classes": Code(
        "PP302",
        "Classes without fit rows",
        "Some classes have no label among the rows fitted to.",
        "Nothing is learned about them; the message says what they are given.",
        "Fit to rows of all classes, or pass the prior where it is known.",
    ),
    "few-rows": Code(
        "PP303",
        "Too few rows",
        "There are fewer rows than a fit, an estimate or a guarantee needs.",
        "The message says what is left out, or how far to trust it.",
        "Give more rows, or use a method with regularization.",
    ),
    "reference": Code(
        "PP304",
        "Poor reference for CAN",
        "No row is confident, or a class has no prior or less than one confident row's mass.",
        "Such a class gets nearly every ambiguous row, or none.",
        "Raise the threshold, use another reference, or `--smoothing 1`.",
    ),
    "no-shift": Code(
        "PP305",
        "No label shift",
        "The test of label shift is not significant (p >= 0.05).",
        "The class prior of the target may be that of the fit rows; predictions that are adapted "
        "to an estimate of it may be worse.",
        "Use `postproc calibrate` instead, or `postproc auto`, which decides. If you want the "
        "shares only, `--method em` estimates them from the target alone, with an interval.",
    ),
    "at-bound": Code(
        "PP306",
        "Temperature at its bound",
        "The fitted temperature reached an end of its range.",
        "The scores are not on the scale of log-odds.",
        "Scale the scores to log-odds first.",
    ),
    "all-alike": Code(
        "PP307",
        "Nothing to learn from",
        "All rows of the fit split are identical.",
        "Predictions are left as they are.",
        "Check what wrote the file.",
    ),
    "structured": Code(
        "PP308",
        "Structured instead of matrix scaling",
        "There are more than 3,000 classes.",
        "A matrix for so many classes would fill the memory.",
        "Nothing need be done; with `--method structured` there is no warning.",
    ),
    "poorly-calibrated": Code(
        "PP309",
        "Costs differ from those expected",
        "On labelled rows, decisions cost clearly more or less than the probabilities say.",
        "Decisions of least cost are only as good as the probabilities.",
        "Run `postproc calibrate` first.",
    ),
    "no-change": Code(
        "PP310",
        "Nothing changes",
        "A configuration leaves every row as it is, or a method adds nothing for these data.",
        "The output is correct, but nothing was gained by the method as it was called.",
        "The message names the method or option, where there is one.",
    ),
    "job": Code(
        "PP311",
        "Traces of an earlier job",
        "Blocks of a stopped job were discarded or lost, or a replaced folder was restored.",
        "The output is whole; some work was done twice.",
        "Repeat a stopped command with `--resume` to keep its finished blocks.",
    ),
    "slow-start": Code(
        "PP312",
        "Dask started for a short job",
        "Starting workers took longer than a third of the job.",
        "The result is the same, but took longer.",
        "Use `--engine local`.",
    ),
    "skipped": Code(
        "PP313",
        "Left out of the benchmark",
        "A run directory is incomplete, or a method failed on it.",
        "The tables hold the rest; the exit code is 1.",
        "Mend what the message names.",
    ),
    "exact-zeros": Code(
        "PP314",
        "Exact zeros",
        "More than 10 % of the probabilities that a method is fitted on are exactly 0; of logits, "
        "where a class of -inf turns out true in some row.",
        "Votes of few neighbours or trees, rounding and hard labels give such zeros, also to "
        "classes that turn out true. In logarithms they, and lower probabilities of later rows, "
        "count as half of the least positive one of the fit rows.",
        "Nothing need be done. Smoothed probabilities, (votes + 1) / (k + C), are as good; more "
        "digits are better than few.",
    ),
    "not-label-shift": Code(
        "PP315",
        "More than class frequencies differ",
        "No class frequencies explain the means of the target's calibrated probabilities and of "
        "their square roots: the rest is more than 7 times the sampling noise, and 15 % of the "
        "difference.",
        "Adaptation assumes that rows of one class look alike in the fit rows and in the target. "
        "They do not, so the estimated frequencies are wrong. `postproc auto` does not adapt then.",
        "Check that the same model made both files, from rows that were prepared alike. If the "
        "rows themselves have changed, label some new ones and fit to them.",
    ),
    "argument": Code(
        "PP401",
        "Invalid value",
        "A value, array or combination of options is not what a function or command takes.",
        "Nothing was computed.",
        "The message says what must be given, and what was.",
    ),
    "command-line": Code(
        "PP402",
        "Invalid command line",
        "A command, option or argument is unknown, missing, or excluded by another.",
        "Nothing was read or written; the exit code is 2.",
        "`postproc COMMAND -h` shows all options, with examples.",
    ),
    "columns": Code(
        "PP403",
        "Which columns are scores?",
        "Columns of a table might be labels, predictions, folds or row numbers, or hold text.",
        "Which columns are scores is never guessed.",
        "Name them with `--columns`, `--id-column` and `--label-column`; or list the classes in a "
        "file for `--classes`: columns called so, perhaps with a prefix, are the scores.",
    ),
    "scores": Code(
        "PP404",
        "Unusable scores",
        "Scores are NaN or infinite, were never predicted, or are neither clearly logits nor "
        "clearly probabilities.",
        "Their kind is decided once for a whole file, and never guessed.",
        "Declare `--logits`, `--probs`, `--votes` or `--multilabel`; `--skip-unpredicted` leaves "
        "out rows that were never predicted.",
    ),
    "names": Code(
        "PP405",
        "Classes or rows do not match",
        "Class names, row ids or shapes of two inputs differ.",
        "Nothing is averaged or compared across unlike rows or classes.",
        "Correct the names or ids; `--missing-class zero` allows members that lack classes, "
        "`--common-rows` keeps the rows that all files have.",
    ),
    "labels": Code(
        "PP406",
        "Unusable labels",
        "Labels are of no class, of another number of rows, or of several columns.",
        "Labels are whole numbers from 0, or names of classes.",
        "Name the column with `--label-column`, the classes with `--classes`.",
    ),
    "prior": Code(
        "PP407",
        "Unusable prior",
        "A prior has another length, negative entries, or could be labels as well as counts.",
        "A prior has one number for each class, or is counted from labels.",
        "Say which with `--prior-kind`.",
    ),
    "fault": Code(
        "PP901",
        "Fault of postproc",
        "An error came from inside, not from a check of the data.",
        "It is not your data's fault.",
        "Please report it with the traceback. `--resume` keeps the blocks that were finished.",
    ),
}  # fmt: skip

CODED = re.compile(r" \[(PP\d{3})\]$")


def coded(kind: str, message: str) -> str:
    """A message with its code at the end."""
    return f"{message} [{CODES[kind].number}]"


def code_in(message: str) -> str | None:
    """The code that a message ends with."""
    found = CODED.search(message)
    return found and found[1]
