"""What all encoders have in common."""

from fnmatch import fnmatchcase

import pytest
import torch
from torch import nn

from ensemble.training.text import BidirectionalGRU, TextCNN, Transformer
from postproc import embedding_dimension

TOKENS = torch.tensor([[3, 4, 5, 6, 7], [8, 9, 0, 0, 0], [1, 0, 0, 0, 0]])


@pytest.fixture(params=[TextCNN, BidirectionalGRU, Transformer])
def encoder(request):
    torch.manual_seed(0)
    return request.param(40, 3).eval()


def test_shapes_and_names(encoder):
    assert encoder(TOKENS).shape == (3, 3)
    assert encoder.represent(TOKENS).shape == (3, encoder.width)
    assert encoder.embedding.weight.shape == (40, embedding_dimension(40))
    names = [name for name, _ in encoder.named_parameters() if fnmatchcase(name, "embedding.*")]
    assert names == ["embedding.weight"]


def test_logits_do_not_depend_on_the_other_texts(encoder):
    together = encoder(TOKENS)
    alone = torch.cat([encoder(row[row != 0][None]) for row in TOKENS])
    torch.testing.assert_close(alone, together)
    torch.testing.assert_close(encoder(TOKENS.flip(0)).flip(0), together)


def test_embeddings_are_inputs_too(encoder):
    torch.testing.assert_close(encoder(encoder.embedding(TOKENS)), encoder(TOKENS))


def test_padding_is_never_heard(encoder):
    with torch.no_grad():
        before = encoder(TOKENS)
        encoder.embedding.weight[0] = 5.0  # as a perturbation of the whole matrix would
        torch.testing.assert_close(encoder(TOKENS), before)


def test_every_parameter_has_a_gradient(encoder):
    encoder(TOKENS).logsumexp(dim=1).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
    assert encoder.embedding.weight.grad[0].abs().sum() == 0


def test_two_dropout_masks_give_two_representations(encoder):
    assert not torch.equal(*(encoder.train().represent(TOKENS) for _ in range(2)))


def test_convolutions_are_torchs_own():
    torch.manual_seed(0)
    encoder = TextCNN(40, 3, n_maps=5, widths=(1, 2, 3, 4)).eval()
    x = encoder.embedding(TOKENS[:1])
    maps = [c(x.transpose(1, 2))[:, :, :5] for c in encoder.convolutions]
    wanted = torch.cat(maps, dim=1).relu().transpose(1, 2)
    torch.testing.assert_close(encoder.word_states(TOKENS[:1])[0], wanted)
    logits = encoder.output(wanted.amax(dim=1))
    torch.testing.assert_close(encoder(TOKENS[:1]), logits)


def test_recurrent_units_are_torchs_own_on_texts_without_padding():
    torch.manual_seed(0)
    encoder = BidirectionalGRU(40, 3).eval()
    states, _ = encoder.word_states(TOKENS)
    for row, text in enumerate(TOKENS):
        words = text[text != 0]
        wanted = encoder.units(encoder.embedding(words)[None])[0][0]
        torch.testing.assert_close(states[row, : len(words)], wanted)


@pytest.mark.parametrize("n_layers", [1, 2])
def test_layers_of_attention_are_torchs_own_on_texts_without_padding(n_layers):
    torch.manual_seed(0)
    encoder = Transformer(40, 3, n_layers=n_layers).eval()
    layer = nn.TransformerEncoderLayer(48, 4, 96, batch_first=True, norm_first=True)
    stack = nn.TransformerEncoder(layer, n_layers, enable_nested_tensor=False).eval()
    for own, layer in zip(stack.layers, encoder.layers, strict=True):
        own.load_state_dict(layer.state_dict())
    states, _ = encoder.word_states(TOKENS)
    for row, text in enumerate(TOKENS):
        words = text[text != 0]
        placed = encoder.project(encoder.embedding(words)) + encoder.positions[: len(words)]
        torch.testing.assert_close(states[row, : len(words)], stack(placed[None])[0])


def test_embeddings_lose_the_same_features_in_all_words_of_a_text():
    encoder = BidirectionalGRU(40, 3, dropout=0.5).train()
    seen = []
    encoder.states = lambda embedded, inside: seen.append(embedded) or embedded
    torch.manual_seed(0)
    encoder.word_states(TOKENS[[0, 0]])
    lost = seen[0] == 0
    assert torch.equal(lost.all(dim=1), lost.any(dim=1))
    assert not torch.equal(lost[0], lost[1])
    kept = torch.where(lost, 0.0, 2 * encoder.embedding(TOKENS[[0, 0]]))
    torch.testing.assert_close(seen[0], kept)


def test_order_matters_but_to_none_of_width_one():
    torch.manual_seed(0)
    bag = TextCNN(40, 3, widths=(1,)).eval()
    torch.testing.assert_close(bag(TOKENS[:1].flip(1)), bag(TOKENS[:1]))
    for encoder in (TextCNN(40, 3), BidirectionalGRU(40, 3), Transformer(40, 3)):
        encoder.eval()
        assert not torch.allclose(encoder(TOKENS[:1].flip(1)), encoder(TOKENS[:1]))
