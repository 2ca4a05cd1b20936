"""Single operators."""

import torch
from torch.nn import functional as F


def passes(forward, operands, which):
    """The forward pass alone, or with the gradients of all operands for an incoming gradient of ones."""
    if which == "forward":

        def run():
            with torch.no_grad():
                forward(*operands)

        return run
    for operand in operands:
        operand.requires_grad_()
    ones = torch.ones_like(forward(*operands))

    def run():
        torch.autograd.grad(forward(*operands), operands, ones)

    return run


def conv(n, c_in, c_out, size, kernel, stride, padding, transposed, **rest):
    x = torch.randn(n, c_in, size, size)
    if transposed:
        weight = torch.randn(c_in, c_out, kernel, kernel)
        forward = lambda x, w: F.conv_transpose2d(x, w, stride=stride, padding=padding)
    else:
        weight = torch.randn(c_out, c_in, kernel, kernel)
        forward = lambda x, w: F.conv2d(x, w, stride=stride, padding=padding)
    return passes(forward, [x, weight], rest["pass"])


def matmul(batch, m, n, k, a_transposed, b_transposed):
    def operand(rows, cols, transposed):
        if transposed:
            return torch.randn(batch, cols, rows).transpose(1, 2)
        return torch.randn(batch, rows, cols)

    a, b = operand(m, k, a_transposed), operand(k, n, b_transposed)
    if batch == 1:
        a, b = a[0], b[0]
    return passes(torch.matmul, [a, b], "forward")


def attention(n, tokens, heads, causal, **rest):
    """From [n, tokens, width] to the same, with PyTorch's own fused attention between."""

    def forward(q, k, v):
        q, k, v = (t.view(n, tokens, heads, 64).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return y.transpose(1, 2).reshape(n, tokens, heads * 64)

    return passes(forward, [torch.randn(n, tokens, heads * 64) for _ in range(3)], rest["pass"])
