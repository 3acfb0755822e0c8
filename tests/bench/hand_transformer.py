"""The character transformer by hand: rows are (n t, d), heads are views."""

from typing import Any

import numpy as np

from .hand import Array, New, cross_entropy, descend

C = np.float32(np.sqrt(2 / np.pi))
A = np.float32(0.044715)


def transformer(p: list[Array], x: Array, labels: Array, lr: float, new: New) -> Any:
    """Two blocks of causal attention and a wide layer, each behind a layer norm."""
    (n, t), d = x.shape, p[0].shape[1]
    tokens, positions = p[:2]
    blocks = [_Block(p[k : k + 16], n, t, d, new) for k in (2, 18)]
    norm, (w, b) = _LayerNorm(p[34], p[35], n * t, d, new), p[36:]
    H, Z = new(n * t, d), new(n * t, 65)
    GW, G, GT = new(d, 65), new(n * t, d), new(65, d)
    rows, flat = np.arange(n * t), x.reshape(-1)

    def step() -> Any:
        h = np.take(tokens, flat, axis=0, out=H, mode="clip")
        h.reshape(n, t, d)[:] += positions
        for block in blocks:
            h = block.forward(h)
        h = norm.forward(h)
        z = np.dot(h, w, out=Z)
        z += b
        loss, g = cross_entropy(z, labels)
        last = [np.dot(h.T, g, out=GW), g.sum(axis=0)]
        g, *by_norm = norm.backward(np.dot(g, w.T, out=G))
        gradients = [*by_norm, *last]
        for block in reversed(blocks):
            g, by_block = block.backward(g)
            gradients = by_block + gradients
        one_hot = np.zeros((len(flat), 65), np.float32)
        one_hot[rows, flat] = 1
        by_token = np.dot(one_hot.T, g, out=GT)
        by_position = g.reshape(n, t, d).sum(axis=0)
        descend(p, [by_token, by_position, *gradients], lr)
        return loss

    return step


class _LayerNorm:
    def __init__(self, gamma: Array, beta: Array, rows: int, d: int, new: New):
        self.gamma, self.beta, self.d = gamma, beta, d
        self.z_out, self.y_out, self.g_out = (new(rows, d) for _ in range(3))

    def forward(self, x: Array) -> Array:
        z = np.subtract(x, x.mean(axis=1, keepdims=True), out=self.z_out)
        variance = np.einsum("nd,nd->n", z, z)[:, None] / self.d
        self.scale = 1 / np.sqrt(variance + np.float32(1e-5))
        z *= self.scale
        self.z = z
        y = np.multiply(z, self.gamma, out=self.y_out)
        y += self.beta
        return y

    def backward(self, g: Array) -> tuple[Array, Array, Array]:
        z, d = self.z, self.d
        by_gamma, by_beta = np.einsum("nd,nd->d", g, z), g.sum(axis=0)
        g *= self.gamma
        dot = np.einsum("nd,nd->n", g, z)[:, None] / d
        g -= g.mean(axis=1, keepdims=True)
        g -= np.multiply(z, dot, out=self.g_out)
        g *= self.scale
        return g, by_gamma, by_beta


class _Block:
    def __init__(self, p: list[Array], n: int, t: int, d: int, new: New):
        self.shape, rows, k = (n, t, 4, d // 4), n * t, d // 4
        g1, c1, *self.attention, g2, c2, self.wu, self.bu, self.wd, self.bd = p
        self.norm1 = _LayerNorm(g1, c1, rows, d, new)
        self.norm2 = _LayerNorm(g2, c2, rows, d, new)
        self.mask = np.triu(np.full((t, t), -np.inf, np.float32), 1)
        self.scale = np.float32(k**-0.5)
        self.q_out, self.k_out, self.v_out, self.a_out = (
            new(rows, d) for _ in range(4)
        )
        self.s_out, self.gs_out, self.ss_out = (new(n, 4, t, t) for _ in range(3))
        self.c_out, self.gq_out, self.gk_out, self.gv_out = (
            new(n, 4, t, k) for _ in range(4)
        )
        self.u_out, self.t_out, self.f_out, self.gu_out = (
            new(rows, 4 * d) for _ in range(4)
        )
        self.o_out, self.y_out, self.ga_out, self.gh_out, self.gx_out = (
            new(rows, d) for _ in range(5)
        )
        self.gw_out = [new(d, d) for _ in range(4)]
        self.gwu_out, self.gwd_out = new(d, 4 * d), new(4 * d, d)

    def _heads(self, x: Array) -> Array:
        return x.reshape(self.shape).swapaxes(1, 2)

    def forward(self, x: Array) -> Array:
        wq, bq, wk, bk, wv, bv, wo, bo = self.attention
        self.h = h = self.norm1.forward(x)
        q, k, v = (
            np.dot(h, w, out=out)
            for w, out in ((wq, self.q_out), (wk, self.k_out), (wv, self.v_out))
        )
        q += bq
        k += bk
        v += bv
        self.qkv = q, k, v = self._heads(q), self._heads(k), self._heads(v)
        s = np.matmul(q, k.swapaxes(2, 3), out=self.s_out)
        s *= self.scale
        s += self.mask
        s -= s.max(axis=-1, keepdims=True)
        np.exp(s, out=s)
        s /= s.sum(axis=-1, keepdims=True)
        self.s = s
        c = np.matmul(s, v, out=self.c_out)
        self.a = a = np.empty_like(h) if self.a_out is None else self.a_out
        self._heads(a)[:] = c
        y = np.dot(a, wo, out=self.o_out)
        y += bo
        y += x
        return self._wide(y)

    def _wide(self, x: Array) -> Array:
        self.f = f = self.norm2.forward(x)
        u = np.dot(f, self.wu, out=self.u_out)
        u += self.bu
        self.u = u
        th = np.multiply(u, u, out=self.t_out)
        th *= A
        th += 1
        th *= u
        th *= C
        np.tanh(th, out=th)
        self.th = th
        e = np.add(th, 1, out=self.f_out)
        e *= u
        e *= np.float32(0.5)
        self.e = e
        y = np.dot(e, self.wd, out=self.y_out)
        y += self.bd
        y += x
        return y

    def backward(self, g: Array) -> tuple[Array, list[Array]]:
        u, th = self.u, self.th
        by_wd, by_bd = np.dot(self.e.T, g, out=self.gwd_out), g.sum(axis=0)
        gu = np.dot(g, self.wd.T, out=self.gu_out)
        # slope of GELU: (1 + th)/2 + u (1 - th^2) C (1 + 3 A u^2)/2
        slope = np.multiply(u, u, out=self.e)
        slope *= 3 * A * C
        slope += C
        slope *= u
        slope *= 1 - th * th
        slope += th
        slope += 1
        slope *= np.float32(0.5)
        gu *= slope
        by_wu, by_bu = np.dot(self.f.T, gu, out=self.gwu_out), gu.sum(axis=0)
        gx, by_g2, by_c2 = self.norm2.backward(np.dot(gu, self.wu.T, out=self.gx_out))
        gx += g
        gx, before = self._attention_backward(gx)
        return gx, [*before, by_g2, by_c2, by_wu, by_bu, by_wd, by_bd]

    def _attention_backward(self, g: Array) -> tuple[Array, list[Array]]:
        (q, k, v), s, h = self.qkv, self.s, self.h
        wq, _, wk, _, wv, _, wo, _ = self.attention
        by_wo, by_bo = np.dot(self.a.T, g, out=self.gw_out[3]), g.sum(axis=0)
        ga = self._heads(np.dot(g, wo.T, out=self.ga_out))
        gv = np.matmul(s.swapaxes(2, 3), ga, out=self.gv_out)
        gs = np.matmul(ga, v.swapaxes(2, 3), out=self.gs_out)
        gs -= np.einsum("nhij,nhij->nhi", gs, s)[..., None]
        gs *= s
        gs *= self.scale
        gq = np.matmul(gs, k, out=self.gq_out)
        gk = np.matmul(gs.swapaxes(2, 3), q, out=self.gk_out)
        gh, gradients = None, []
        for w, part, out in zip((wq, wk, wv), (gq, gk, gv), self.gw_out, strict=False):
            rows = part.swapaxes(1, 2).reshape(h.shape)
            gradients += [np.dot(h.T, rows, out=out), rows.sum(axis=0)]
            if gh is None:
                gh = np.dot(rows, w.T, out=self.gh_out)
            else:
                gh += rows @ w.T
        gx, by_g1, by_c1 = self.norm1.backward(gh)
        gx += g
        return gx, [by_g1, by_c1, *gradients, by_wo, by_bo]
