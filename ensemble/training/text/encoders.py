"""Three small text encoders, unlike each other, from numbers of words to logits."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ensemble.training.text.vocabulary import PADDING
from postproc.calibration.dimension import embedding_dimension


class TextEncoder(nn.Module):  # type: ignore[misc]  # torch is unknown to mypy here
    """Embeddings, states of the words, the largest of each state over the text, and logits.

    A subclass has `states`. The parameters of the embeddings match ``"embedding.*"``.

    Parameters
    ----------
    n_words : int
        Numbers of words, those of padding, unknown and hidden words included.
    n_classes : int
        C.
    width : int
        Number of states of a word.
    dropout : float
        Share of the features of a text's embeddings, the same for all its words, and of its
        representation, that are dropped in training.
    """

    def __init__(self, n_words: int, n_classes: int, width: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        size = embedding_dimension(n_words)
        self.embedding = nn.Embedding(n_words, size, padding_idx=PADDING)
        with torch.no_grad():  # words of length 1: less to unlearn where rows are few
            self.embedding.weight /= size**0.5
        self.feature_dropout = nn.Dropout1d(dropout)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, n_classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits.

        Parameters
        ----------
        inputs : tensor of shape (b, L), int64, or (b, L, d)
            Numbers of words, or embeddings of words, zeros beyond a text's end.

        Returns
        -------
        tensor of shape (b, C)
            Logits.
        """
        return self.output(self.represent(inputs))

    def represent(self, inputs: torch.Tensor) -> torch.Tensor:
        """Representations of texts, shape (b, width), under a dropout mask of their own.

        Parameters
        ----------
        inputs : tensor
            As for `forward`.
        """
        states, inside = self.word_states(inputs)
        states = states.masked_fill(~inside[:, :, None], torch.finfo(states.dtype).min)
        return self.dropout(states.amax(dim=1))

    def word_states(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """States of the words, (b, L, width), and which places are inside the text, (b, L)."""
        if inputs.is_floating_point():
            embedded, inside = inputs, (inputs != 0).any(dim=2)
        else:
            inside = inputs != PADDING
            embedded = self.embedding(inputs) * inside[:, :, None]
        dropped = self.feature_dropout(embedded.transpose(1, 2)).transpose(1, 2)
        return self.states(dropped, inside), inside

    def states(self, embedded: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """States of the words, shape (b, L, width), from embeddings of shape (b, L, d)."""
        raise NotImplementedError


class TextCNN(TextEncoder):
    """Convolutions of several widths over the words.

    Parameters
    ----------
    n_words, n_classes, dropout
        As for all encoders.
    n_maps : int
        Maps of each width.
    widths : tuple of int
        Words that a convolution covers.

    References
    ----------
    Kim (2014). Convolutional Neural Networks for Sentence Classification. EMNLP.
    """

    def __init__(
        self,
        n_words: int,
        n_classes: int,
        n_maps: int = 32,
        widths: tuple[int, ...] = (1, 2, 3),
        dropout: float = 0.3,
    ) -> None:
        super().__init__(n_words, n_classes, n_maps * len(widths), dropout)
        size = self.embedding.embedding_dim
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size, n_maps, width, padding=width // 2) for width in widths
        )

    def states(self, embedded: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """States of the words, shape (b, L, width), from embeddings of shape (b, L, d)."""
        return torch.relu(torch.cat([words_seen(c, embedded) for c in self.convolutions], dim=2))


def words_seen(convolution: nn.Conv1d, x: torch.Tensor) -> torch.Tensor:
    """Maps (b, L, k) of words (b, L, d), as one product, which is faster for small ones."""
    (width,), (before,), length = convolution.kernel_size, convolution.padding, x.shape[1]
    padded = functional.pad(x, (0, 0, before, width - 1 - before))
    windows = torch.cat([padded[:, at : at + length] for at in range(width)], dim=2)
    weight = convolution.weight.transpose(1, 2).flatten(1)
    return functional.linear(windows, weight, convolution.bias)


class BidirectionalGRU(TextEncoder):
    """Gated recurrent units that read the words forwards and backwards.

    Parameters
    ----------
    n_words, n_classes, dropout
        As for all encoders.
    n_units : int
        Units of each direction.

    References
    ----------
    Cho et al. (2014). Learning Phrase Representations using RNN Encoder-Decoder for Statistical
    Machine Translation. EMNLP.
    """

    def __init__(
        self, n_words: int, n_classes: int, n_units: int = 32, dropout: float = 0.3
    ) -> None:
        super().__init__(n_words, n_classes, 2 * n_units, dropout)
        size = self.embedding.embedding_dim
        self.units = nn.GRU(size, n_units, batch_first=True, bidirectional=True)

    def states(self, embedded: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """States of the words, shape (b, L, width), from embeddings of shape (b, L, d)."""
        lengths = inside.sum(dim=1).cpu()
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(
            self.units(packed)[0], batch_first=True, total_length=embedded.shape[1]
        )[0]


class Transformer(TextEncoder):
    """One or more layers of self-attention, with learned positions.

    Parameters
    ----------
    n_words, n_classes, dropout
        As for all encoders.
    size : int
        Size of the states, a multiple of `n_heads`.
    n_layers, n_heads : int
        Layers, and heads of each.
    length : int
        Longest text, in words.

    References
    ----------
    Vaswani et al. (2017). Attention Is All You Need. NeurIPS.
    """

    def __init__(
        self,
        n_words: int,
        n_classes: int,
        size: int = 48,
        n_layers: int = 1,
        n_heads: int = 4,
        dropout: float = 0.3,
        length: int = 64,
    ) -> None:
        super().__init__(n_words, n_classes, size, dropout)
        self.project = nn.Linear(self.embedding.embedding_dim, size)
        self.positions = nn.Parameter(0.1 * torch.randn(length, size))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                size, n_heads, 2 * size, 0.0, batch_first=True, norm_first=True
            )
            for _ in range(n_layers)
        )

    def states(self, embedded: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """States of the words, shape (b, L, width), from embeddings of shape (b, L, d)."""
        x = self.project(embedded) + self.positions[: embedded.shape[1]]
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=~inside)
        return x
