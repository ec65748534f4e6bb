"""What all encoders have in common."""

from fnmatch import fnmatchcase

import pytest
import torch

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


def test_order_matters_but_to_none_of_width_one():
    torch.manual_seed(0)
    bag = TextCNN(40, 3, widths=(1,)).eval()
    torch.testing.assert_close(bag(TOKENS[:1].flip(1)), bag(TOKENS[:1]))
    for encoder in (TextCNN(40, 3), BidirectionalGRU(40, 3), Transformer(40, 3)):
        encoder.eval()
        assert not torch.allclose(encoder(TOKENS[:1].flip(1)), encoder(TOKENS[:1]))
