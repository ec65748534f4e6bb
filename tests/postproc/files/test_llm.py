"""Scores of language models: sample logs of lm-evaluation-harness, top-k log-probabilities."""

import json

import numpy as np
import pytest

from postproc.files import load_labels, load_predictions
from postproc.files.llm import read_lm_eval, read_logprobs
from postproc.files.reading import Reading


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def sample(number, likelihoods, texts, target, **more):
    return {
        "doc_id": number,
        "target": target,
        "arguments": [[f"question {number}", f" {text}"] for text in texts],
        "resps": [[[str(value), "False"]] for value in likelihoods],
        "filtered_resps": [[str(value), "False"] for value in likelihoods],
        "filter": "none",
        **more,
    }


def test_choices_of_different_number_are_padded(tmp_path):
    log = write(
        tmp_path / "samples.jsonl",
        [sample(7, [-1.5, -2.0], ["yes", "no"], 1), sample(3, [-4, -1, -9], ["a", "b", "c"], "2")],
    )
    found, labels = read_lm_eval(log)
    np.testing.assert_array_equal(found.scores, [[-1.5, -2.0, -np.inf], [-4, -1, -9]])
    assert (found.kind, found.classes, found.ids.tolist()) == ("logits", None, ["7", "3"])
    assert labels.tolist() == [1, 2]
    probs = found.probabilities()
    assert probs[0, 2] == 0
    np.testing.assert_allclose(probs.sum(axis=1), 1)


def test_shared_choices_are_class_names_and_targets_may_be_texts(tmp_path):
    log = write(
        tmp_path / "samples.jsonl",
        [sample(0, [-1, -2], ["no", "yes"], "yes"), sample(1, [-3, -2], ["no", "yes"], " no")],
    )
    found, labels = read_lm_eval(log)
    assert found.classes == ("no", "yes")
    assert labels.tolist() == [1, 0]


def test_newer_logs_name_their_arguments_and_older_ones_hold_numbers(tmp_path):
    record = sample(0, [], [], 0, filtered_resps=[[-1.0, True], [-6.0, False]])
    record["arguments"] = {
        "gen_args_0": {"arg_0": "q", "arg_1": " é"},
        "gen_args_1": {"arg_0": "q", "arg_1": " abc"},
    }
    found, _ = read_lm_eval(write(tmp_path / "s.jsonl", [record]), normalize="bytes")
    np.testing.assert_allclose(found.scores, [[-1 / 2, -6 / 3]])


@pytest.mark.parametrize(
    ("target", "texts", "acc", "expected"),
    [
        ("B", ["long text", "other text"], None, 1),
        ("(b)", ["long text", "other text"], 1.0, 1),
        ("B", ["B", "A"], None, 0),
        ("1", ["1", "2"], 1.0, 1),  # the number of a choice
        ("1", ["1", "2"], 0.0, 0),  # its text
        (1, ["yes", "no"], None, 1),
        ("1", ["yes", "no"], 1.0, 1),
    ],
)
def test_targets_are_numbers_texts_or_letters(tmp_path, target, texts, acc, expected):
    record = sample(0, [-2, -1], texts, target, doc={"question": "q", "choices": texts})
    record |= {} if acc is None else {"acc": acc}
    assert read_lm_eval(write(tmp_path / "s.jsonl", [record])).labels.tolist() == [expected]


def test_choices_without_the_question_are_left_out(tmp_path):
    record = sample(0, [-1, -2, -9, -8], ["a", "b", "a", "b"], 0)
    for arguments in record["arguments"][2:]:
        arguments[0] = ""
    found, _ = read_lm_eval(write(tmp_path / "s.jsonl", [record]))
    assert (found.scores.tolist(), found.classes) == ([[-1, -2]], ("a", "b"))


def test_logs_of_questions_that_share_their_answers(tmp_path):
    """As of winogrande: one continuation after several contexts."""
    record = sample(0, [-1, -2], ["end", "end"], "0")
    record["arguments"] = [["one", "end"], ["two", "end"]]
    found, labels = read_lm_eval(write(tmp_path / "s.jsonl", [record]))
    assert (found.classes, labels.tolist()) == (None, [0])


def lettered(number, letters, **more):
    choices = {"text": [f"text {number}{letter}" for letter in letters], "label": list(letters)}
    likelihoods = [-1.0 - place for place in range(len(letters))]
    return sample(number, likelihoods, choices["text"], 1, doc={"choices": choices}, **more)


def test_letters_of_choices_are_class_names_where_all_questions_agree(tmp_path):
    log = write(tmp_path / "s.jsonl", [lettered(0, "ABCD"), lettered(1, "ABCDE")])
    found, labels = read_lm_eval(log)
    assert (found.classes, labels.tolist()) == (tuple("ABCDE"), [1, 1])
    for other in (lettered(2, "1234"), sample(2, [-1, -2], ["x", "y"], 0)):
        log = write(tmp_path / "s.jsonl", [lettered(0, "ABCD"), other])
        assert read_lm_eval(log).predictions.classes is None


def test_characters_are_no_bytes(tmp_path):
    """acc_norm of the harness divides by characters."""
    log = write(tmp_path / "s.jsonl", [sample(0, [-6, -6], ["né", "oui"], 0)])
    scores = {
        unit: read_lm_eval(log, normalize=unit).predictions.scores.tolist()
        for unit in ("characters", "bytes")
    }
    assert scores == {"characters": [[-3, -2]], "bytes": [[-2, -2]]}


def test_all_records_with_positive_log_likelihoods_are_counted(tmp_path):
    rows = [[-1, -2], [-1, 0.5], [-1, -2], [np.nan, 0.25]]
    records = [sample(number, row, "ab", 0) for number, row in enumerate(rows)]
    message = (
        r"must be log-likelihoods at or below 0 in every record, got 2 of 4 records with others "
        r"\(the first on line 2: 0.5\); evaluate these questions again"
    )
    with pytest.raises(ValueError, match=message):
        read_lm_eval(write(tmp_path / "s.jsonl", records))


def test_targets_of_a_newer_log_are_labels(tmp_path):
    arguments = {f"gen_args_{place}": {"arg_0": "q", "arg_1": " t"} for place in range(4)}
    records = [lettered(number, "ABCD") | {"arguments": arguments} for number in range(3)]
    log = write(tmp_path / "s.jsonl", records)
    reading = Reading(label_column="target")
    ids = np.array(["2", "0", "1"])
    labels = load_labels(log, n_classes=4, classes=tuple("ABCD"), ids=ids, reading=reading)
    assert labels.tolist() == [1, 1, 1]


def test_tokens_are_a_field(tmp_path):
    log = write(tmp_path / "s.jsonl", [sample(0, [-6, -6], ["a b", "c"], 0, tokens=[2, 1])])
    np.testing.assert_allclose(read_lm_eval(log, normalize="tokens").predictions.scores, [[-3, -6]])


def test_other_filters_repeat_the_questions(tmp_path):
    log = write(
        tmp_path / "s.jsonl",
        [sample(0, [-1, -2], "ab", 0), sample(0, [-1, -2], "ab", 0, filter="again")],
    )
    assert read_lm_eval(log).predictions.n_rows == 1


def test_unknown_targets_give_no_labels(tmp_path):
    log = write(tmp_path / "s.jsonl", [sample(0, [-1, -2], "ab", "neither")])
    assert read_lm_eval(log).labels is None


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "must be one or more JSON objects"),
        ("[1]\n", {}, "line 1` must be a JSON object"),
        ("{\n", {}, "line 1` must be a JSON object"),
        ('{"a": 1}\n', {}, "no list of two or more responses"),
        ('{"resps": [["text"], ["more"]]}\n', {}, "the response"),
        ('{"resps": [[-1], [2]]}\n', {}, "at or below 0"),
        ('{"resps": [[-1], [-2]]}\n', {"normalize": "bytes"}, "use --normalize none"),
        ('{"resps": [[-1], [-2]]}\n', {"normalize": "tokens"}, "counts in a field `tokens`"),
        ("{}\n", {"normalize": "words"}, "`normalize` must be"),
    ],
)
def test_faults_of_sample_logs(tmp_path, text, options, message):
    path = tmp_path / "s.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_lm_eval(path, **options)


def test_what_a_row_does_not_list_shares_the_rest(tmp_path):
    rows = [
        {"A": np.log(0.6), " B": np.log(0.1), "the": np.log(0.1)},
        {"id": 5, "C": np.log(0.5), "C ": np.log(0.25), "label": "C"},
    ]
    found, labels = read_logprobs(write(tmp_path / "s.jsonl", rows), classes=["A", "B", "C"])
    np.testing.assert_allclose(np.exp(found.scores), [[0.6, 0.1, 0.2], [0.125, 0.125, 0.75]])
    assert labels is None  # the first row has none
    zero = read_logprobs(tmp_path / "s.jsonl", classes=["A", "B", "C"], missing="zero")
    np.testing.assert_allclose(np.exp(zero.predictions.scores)[0], [0.6, 0.1, 0])


@pytest.mark.parametrize("nested", [False, True])
def test_lists_of_tokens_as_servers_give_them(tmp_path, nested):
    top = [{"token": " no", "logprob": -0.5}, {"token": " yes", "logprob": -1.0}]
    record = {"doc_id": "q1", "target": "yes", "top_logprobs": [top] if nested else top}
    found, labels = read_logprobs(write(tmp_path / "s.jsonl", [record]))
    assert (found.classes, found.ids.tolist(), labels.tolist()) == (("no", "yes"), ["q1"], [1])
    np.testing.assert_allclose(found.scores, [[-0.5, -1.0]])


TOP = [{"token": " no", "logprob": -0.5}, {"token": "yes", "logprob": -1.0}]
CHOICE = {"logprobs": {"content": [{"token": " no", "logprob": -0.5, "top_logprobs": TOP}] * 2}}
OLD = {"tokens": [" no"], "token_logprobs": [-0.5], "top_logprobs": [{" no": -0.5, "yes": -1.0}]}


@pytest.mark.parametrize(
    "record",
    [
        CHOICE,
        {"choices": [CHOICE]},
        {"custom_id": "q1", "response": {"body": {"choices": [CHOICE, CHOICE]}}},
        {"choices": [{"text": " no", "logprobs": OLD}]},
        {"logprobs": [TOP, TOP]},
    ],
)
def test_responses_of_openai(tmp_path, record):
    found, _ = read_logprobs(write(tmp_path / "s.jsonl", [record]))
    assert found.classes == ("no", "yes")
    np.testing.assert_allclose(found.scores, [[-0.5, -1.0]])
    assert ("custom_id" in record) == (found.ids is not None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"A": -0.1, "B": -0.2}\n', "probabilities that sum to 1 at most, got 1.724"),
        ('{"A": 0.5, "B": -1}\n', "log-probabilities at or below 0, got 'A': 0.5"),
        ('{"A": "high", "B": -1}\n', "keep the scores in a field `logprobs`"),
        ('{"A": true, "B": -1}\n', "a number for each token"),
        ('{"logprobs": [1, 2]}\n', "a number for each token"),
        ('{"logprobs": {}}\n', "a mapping of tokens"),
        ('{"A": NaN, "B": -1}\n', "at or below 0"),
    ],
)
def test_faults_of_log_probabilities(tmp_path, text, message):
    path = tmp_path / "s.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_logprobs(path)


def test_lines_of_a_batch_go_by_their_custom_ids_and_errors_are_named(tmp_path):
    lines = [
        {"id": f"batch_{i}", "custom_id": f"q{i}", "response": {"body": {"choices": [CHOICE]}}}
        for i in range(2)
    ]
    found, _ = read_logprobs(write(tmp_path / "s.jsonl", lines))
    assert found.ids.tolist() == ["q0", "q1"]
    for failed in ({"response": None}, {"error": {"code": 429}}, {"response": {"body": ERROR}}):
        write(tmp_path / "s.jsonl", [lines[0], lines[1] | failed])
        with pytest.raises(
            ValueError, match=r"line 2` must be a response, got an error; ask again"
        ):
            read_logprobs(tmp_path / "s.jsonl")


ERROR = {"error": {"message": "too many requests"}}
BY_NUMBER = {
    "34": {"logprob": -0.5, "rank": 1, "decoded_token": "no"},
    "12": {"logprob": -1.0, "rank": 2, "decoded_token": "yes"},
}


@pytest.mark.parametrize(
    "record",
    [
        {"logprobs": BY_NUMBER},
        {"logprobs": [BY_NUMBER, BY_NUMBER]},
        {"outputs": [{"text": "no", "token_ids": [34], "logprobs": [BY_NUMBER]}]},
        {"logprobs": {"\u2581no": -0.5, "\u0120yes": -1.0}},
        {"question_id": "q1", "no": -0.5, "yes": -1.0},
    ],
)
def test_tokens_of_vllm_and_with_marks_of_tokenizers(tmp_path, record):
    record = {"request_id": "q1"} | record
    found, _ = read_logprobs(write(tmp_path / "s.jsonl", [record]), classes=["no", "yes"])
    np.testing.assert_allclose(found.scores, [[-0.5, -1.0]])
    assert found.ids.tolist() == ["q1"]


def test_records_without_any_answer_are_refused(tmp_path):
    write(tmp_path / "s.jsonl", [{"a": -0.5, "b": -1.0}, {"A": -0.5, "The": -1.0}, {"a": -0.1}])
    with pytest.raises(ValueError, match=r"line 1` must be tokens with one of the answers A, B, "):
        read_logprobs(tmp_path / "s.jsonl", classes=["A", "B"])
    write(tmp_path / "s.jsonl", [{"B": -0.5}, {"A": -0.5, "The": -1.0}, {"The": 0.0}])
    with pytest.raises(ValueError, match=r"line 3` must be tokens .* got The; give the answers"):
        read_logprobs(tmp_path / "s.jsonl", classes=["A", "B"])


@pytest.mark.parametrize("name", ["s.json", "s.jsonl"])
def test_logs_in_one_array(tmp_path, name):
    records = [{"doc_id": i, "target": 1, "resps": [[-1.0, False], [-2.0, False]]} for i in (3, 4)]
    (tmp_path / name).write_text(json.dumps(records, indent=2))
    found, labels = read_lm_eval(tmp_path / name)
    assert found.ids.tolist() == ["3", "4"]
    assert labels.tolist() == [1, 1]
    with pytest.raises(ValueError, match="convert --layout lm-eval"):
        load_predictions(tmp_path / name)


def test_a_folder_stands_for_its_only_log(tmp_path):
    record = {"doc_id": 3, "target": 1, "filtered_resps": [["-2.0", "False"], ["-1.0", "False"]]}
    inside = tmp_path / "results" / "model"
    inside.mkdir(parents=True)
    with pytest.raises(ValueError, match=r"a folder that holds one, samples_\*.jsonl, got none"):
        read_lm_eval(tmp_path)
    (inside / "samples_task.jsonl").write_text(json.dumps(record) + "\n")
    assert read_lm_eval(tmp_path).labels.tolist() == [1]
    (inside / "samples_other.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(ValueError, match=r"got results/model/samples_other.jsonl, results/"):
        read_lm_eval(tmp_path)
