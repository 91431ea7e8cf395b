"""A plain PyTorch twin tower: the peer that object2vec is measured against."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from wildsage.algorithms.object2vec import Object2Vec
from wildsage.algorithms.object2vec.model import Encoder, PairModel, shares

LAYERS = 4


class Tower(nn.Module):
    """Padded tokens to an embedding; token 0 after the end is masked."""

    def __init__(self, network: str, size: int, width: int, enc_dim: int, embedding: Any) -> None:
        super().__init__()
        self.network, self.enc_dim = network, enc_dim
        self.embedding = embedding or nn.Embedding(size, width)
        if network == "hcnn":
            sizes = shares(enc_dim, LAYERS)
            inputs = [width, *sizes[:-1]]
            self.convolutions = nn.ModuleList(
                nn.Conv1d(i, o, 3, padding=1) for i, o in zip(inputs, sizes, strict=True)
            )
        elif network == "bilstm":
            self.lstm = nn.LSTM(width, enc_dim // 2, batch_first=True, bidirectional=True)
        else:
            self.projection = nn.Linear(width, enc_dim)

    def forward(self, tokens: Any, lengths: Any) -> Any:
        mask = torch.arange(tokens.shape[1]) < lengths[:, None]
        state = self.embedding(tokens) * mask[:, :, None]
        if self.network == "pooled_embedding":
            return self.projection(state.sum(1) / lengths[:, None])
        if self.network == "bilstm":
            packed = nn.utils.rnn.pack_padded_sequence(
                state, lengths, batch_first=True, enforce_sorted=False
            )
            found, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
            outside = torch.arange(found.shape[1]) >= lengths[:, None]
            return found.masked_fill(outside[:, :, None], -torch.inf).max(1)[0]
        state, parts = state.transpose(1, 2), []
        for convolution in self.convolutions:
            state = torch.relu(convolution(state)) * mask[:, None]
            parts.append(state.max(2)[0])
        return torch.cat(parts, 1)


class TwinTower(nn.Module):
    def __init__(self, options: dict[str, Any], sizes: list[int], outputs: int) -> None:
        super().__init__()
        width, enc_dim = options["enc0_token_embedding_dim"], options["enc_dim"]
        network, hidden = options["enc0_network"], options["mlp_dim"]
        self.one = Tower(network, sizes[0], width, enc_dim, None)
        shared = self.one.embedding if options["tied_token_embedding_weight"] else None
        self.two = Tower(network, sizes[1], width, enc_dim, shared)
        self.layers = nn.ModuleList(
            [nn.Linear(4 * enc_dim, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, outputs)]
        )
        self.activation = {"linear": nn.Identity(), "tanh": nn.Tanh(), "relu": nn.ReLU()}[
            options["mlp_activation"]
        ]

    def forward(self, one: Any, two: Any) -> Any:
        u, v = self.one(*one), self.two(*two)
        state = torch.cat([u * v, u, v, (u - v).abs()], 1)
        for layer in list(self.layers)[:-1]:
            state = self.activation(layer(state))
        return self.layers[-1](state)


def fit(ours: Object2Vec, train: Any, batch: int, rate: float) -> PairModel:
    torch.manual_seed(0)
    options = ours.get_params()
    (one, two), labels = (_padded(train[0], side) for side in (0, 1)), train[1]
    sizes = [int(one[0].max()) + 1, int(two[0].max()) + 1]
    if options["tied_token_embedding_weight"]:
        sizes = [max(sizes)] * 2
    classifies = ours.kind == "classifier"
    model = TwinTower(options, sizes, 2 if classifies else 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    target = torch.tensor(labels) if classifies else torch.tensor(labels)[:, None]
    loss_of = nn.CrossEntropyLoss() if classifies else nn.MSELoss()
    for _ in range(options["epochs"]):
        for rows in torch.randperm(len(labels)).split(batch):
            scores = model((one[0][rows], one[1][rows]), (two[0][rows], two[1][rows]))
            loss = loss_of(scores, target[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return _exported(model, options, sizes, classifies)


def _padded(pairs: Any, side: int) -> tuple[Any, Any]:
    lengths = [len(pair[side]) for pair in pairs]
    table = np.zeros((len(pairs), max(lengths)), np.int64)
    for row, pair in enumerate(pairs):
        table[row, : lengths[row]] = pair[side]
    return torch.from_numpy(table), torch.tensor(lengths)


def _exported(
    model: TwinTower, options: dict[str, Any], sizes: list[int], classifies: bool
) -> PairModel:
    one, two = (_encoder(t, size) for t, size in zip((model.one, model.two), sizes, strict=True))
    layers = [(_array(layer.weight.T), _array(layer.bias)) for layer in model.layers]
    names = [name.strip() for name in options["comparator_list"].split(",")]
    return PairModel((one, two), layers, names, options["mlp_activation"], classifies)


def _encoder(tower: Any, size: int) -> Encoder:
    arrays = {"embedding": _array(tower.embedding.weight)}
    if tower.network == "hcnn":
        for number, convolution in enumerate(tower.convolutions):
            arrays[f"conv_weight_{number}"] = _array(convolution.weight.permute(2, 1, 0))
            arrays[f"conv_bias_{number}"] = _array(convolution.bias)
    elif tower.network == "bilstm":
        for name, ending in (("forward", ""), ("backward", "_reverse")):
            own = {
                kind: getattr(tower.lstm, f"{kind}_l0{ending}")
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            }
            arrays[f"lstm_0_{name}_input"] = _array(own["weight_ih"].T)
            arrays[f"lstm_0_{name}_state"] = _array(own["weight_hh"].T)
            arrays[f"lstm_0_{name}_bias"] = _array(own["bias_ih"] + own["bias_hh"])
    else:
        arrays["projection_weight"] = _array(tower.projection.weight.T)
        arrays["projection_bias"] = _array(tower.projection.bias)
    return Encoder(tower.network, tower.enc_dim, 5000, size, arrays)


def _array(tensor: Any) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().numpy())
