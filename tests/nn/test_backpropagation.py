"""Back-propagation through time, derived by hand, against the gradients of the layers (Werbos 1990).

With δh_t the whole gradient of h_t, what comes from the loss and what comes back from step t + 1.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqkit.nn.recurrent import RecurrentLayer, make_layer

BATCH, T, IN, H = 3, 7, 4, 5


def random_layer(cell: str) -> RecurrentLayer:
    layer = make_layer(cell, IN, H).double()
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_(0, 0.7)
    return layer


def gradients(layer: RecurrentLayer, x: Tensor, state: tuple[Tensor, ...], pull: Tensor) -> dict[str, Tensor]:
    """What the layer itself finds for L = Σ pull · h: by x, by the state before, by W, U and both biases."""
    x, state = x.requires_grad_(), tuple(part.requires_grad_() for part in state)
    (layer(x, state)[0] * pull).sum().backward()
    names = {"W": "rnn.weight_ih_l0", "U": "rnn.weight_hh_l0", "b": "rnn.bias_ih_l0", "b'": "rnn.bias_hh_l0"}
    found = {name: layer.get_parameter(weight).grad for name, weight in names.items()}
    return {"x": x.grad, **{f"state {n}": part.grad for n, part in enumerate(state)}, **found}


@pytest.mark.parametrize("cell", ["rnn_tanh", "rnn_relu"])
def test_simple_network(cell: str) -> None:
    torch.manual_seed(1)
    layer = random_layer(cell)
    W, U = layer.get_parameter("rnn.weight_ih_l0").detach(), layer.get_parameter("rnn.weight_hh_l0").detach()
    x, start = torch.randn(BATCH, T, IN).double(), torch.randn(BATCH, H).double()
    pull = torch.randn(BATCH, T, H).double()
    found = gradients(layer, x.clone(), (start.clone(),), pull)
    h = torch.cat([start.unsqueeze(1), layer(x, (start,))[0].detach()], 1)  # h_0 … h_T

    dW, dU, db, dx = (
        torch.zeros(H, IN).double(),
        torch.zeros(H, H).double(),
        torch.zeros(H).double(),
        torch.zeros_like(x),
    )
    dh = torch.zeros(BATCH, H).double()
    for t in range(T, 0, -1):
        dh = dh + pull[:, t - 1]
        slope = 1 - h[:, t] ** 2 if cell == "rnn_tanh" else (h[:, t] > 0).double()
        da = dh * slope  # δa_t = δh_t ⊙ f'(a_t)
        dW += da.T @ x[:, t - 1]  # ∂L/∂W = Σ δa_t x_tᵀ
        dU += da.T @ h[:, t - 1]  # ∂L/∂U = Σ δa_t h_{t−1}ᵀ
        db += da.sum(0)
        dx[:, t - 1] = da @ W  # ∂L/∂x_t = Wᵀ δa_t
        dh = da @ U  # what flows back: Uᵀ δa_t
    expected = {"x": dx, "state 0": dh, "W": dW, "U": dU, "b": db, "b'": db}
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_long_short_term_memory() -> None:
    torch.manual_seed(2)
    layer = random_layer("lstm")
    W, U = layer.get_parameter("rnn.weight_ih_l0").detach(), layer.get_parameter("rnn.weight_hh_l0").detach()
    bias = (layer.get_parameter("rnn.bias_ih_l0") + layer.get_parameter("rnn.bias_hh_l0")).detach()
    x, pull = torch.randn(BATCH, T, IN).double(), torch.randn(BATCH, T, H).double()
    h, c = torch.randn(BATCH, H).double(), torch.randn(BATCH, H).double()
    found = gradients(layer, x.clone(), (h.clone(), c.clone()), pull)

    memory = []
    for t in range(T):
        i, f, g, o = (x[:, t] @ W.T + h @ U.T + bias).chunk(4, 1)
        i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
        after = f * c + i * g
        memory.append((h, c, i, f, g, o, after))
        h, c = o * torch.tanh(after), after

    dW, dU, db, dx = torch.zeros_like(W), torch.zeros_like(U), torch.zeros_like(bias), torch.zeros_like(x)
    dh, dc = torch.zeros(BATCH, H).double(), torch.zeros(BATCH, H).double()
    for t in reversed(range(T)):
        h, c, i, f, g, o, after = memory[t]
        dh = dh + pull[:, t]
        do = dh * torch.tanh(after) * o * (1 - o)
        dc = dc + dh * o * (1 - torch.tanh(after) ** 2)  # from h_t, and from c_{t+1} = f_{t+1} ⊙ c_t + …
        di = dc * g * i * (1 - i)
        df = dc * c * f * (1 - f)
        dg = dc * i * (1 - g**2)
        da = torch.cat([di, df, dg, do], 1)
        dW += da.T @ x[:, t]
        dU += da.T @ h
        db += da.sum(0)
        dx[:, t] = da @ W
        dh, dc = da @ U, dc * f  # the carousel: what flows back through c is scaled by the forget gate alone
    expected = {"x": dx, "state 0": dh, "state 1": dc, "W": dW, "U": dU, "b": db, "b'": db}
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
