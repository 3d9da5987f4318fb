"""UniPC (Zhao et al. 2023, the B(h) variants) with the host's settings, written from the paper."""

import torch


class NoiseScheduleVP:
    """Continuous time: t = (n + 1) / N for the n-th of N levels; log α is linear between them."""

    def __init__(self, alphas_cumprod):
        self.total_N = len(alphas_cumprod)
        self.log_alphas = alphas_cumprod.log() / 2

    def log_alpha(self, t):
        place = t * self.total_N - 1
        low = place.floor().long().clamp(0, self.total_N - 2)
        share = place - low
        return (1 - share) * self.log_alphas[low] + share * self.log_alphas[low + 1]

    def scales(self, t):
        """(α, σ, λ) at t, with λ = log(α/σ)."""
        log_alpha = self.log_alpha(t)
        sigma = (1 - (2 * log_alpha).exp()).sqrt()
        return log_alpha.exp(), sigma, log_alpha - sigma.log()


def _times(schedule, skip_type, start, end, steps):
    if skip_type == "time_uniform":
        return torch.linspace(start, end, steps + 1)
    if skip_type == "time_quadratic":
        return torch.linspace(start**0.5, end**0.5, steps + 1) ** 2
    raise NotImplementedError(f"the stand-in has no skip type {skip_type!r}")


def _coefficients(ratios, h, variant):
    """The matrix of powers r^k, the right side b_k, and B(h), for data prediction."""
    minus_h = -h
    scale = {"bh1": minus_h, "bh2": torch.expm1(minus_h)}[variant]
    phi = torch.expm1(minus_h) / minus_h - 1
    factorial = 1
    rows, right = [], []
    for k in range(1, len(ratios) + 1):
        rows.append(ratios ** (k - 1))
        right.append(phi * factorial / scale)
        factorial *= k + 1
        phi = phi / minus_h - 1 / factorial
    return torch.stack(rows), torch.stack(right), scale


def _step(x, history, now, order, evaluate, variant):
    """`history`: [(λ, x0)] oldest first; `now`: (α, σ, λ) to go to. `evaluate` is None for the last step."""
    alpha, sigma, lam = now
    (_, previous_sigma, previous_lam), newest = history[-1]
    h = lam - previous_lam
    older = history[-order:-1][::-1]
    ratios = torch.stack([(scales[2] - previous_lam) / h for scales, _ in older] + [torch.ones(())])
    differences = [(x0 - newest) / ratio for (_, x0), ratio in zip(older, ratios)]
    matrix, right, scale = _coefficients(ratios, h, variant)

    def combined(weights):
        return sum((w * d for w, d in zip(weights, differences)), torch.zeros_like(x))

    base = sigma / previous_sigma * x - alpha * torch.expm1(-h) * newest
    if order == 1:
        weights = []
    elif order == 2:
        weights = torch.tensor([0.5])
    else:
        weights = torch.linalg.solve(matrix[:-1, :-1], right[:-1])
    predicted = base - alpha * scale * combined(weights)
    if evaluate is None:
        return predicted, None
    x0 = evaluate(predicted)
    weights = torch.tensor([0.5]) if order == 1 else torch.linalg.solve(matrix, right)
    return base - alpha * scale * (combined(weights[:-1]) + weights[-1] * (x0 - newest)), x0


@torch.no_grad()
def sample(
    model,
    x,
    alphas_cumprod,
    steps,
    t_start=None,
    order=3,
    variant="bh1",
    skip_type="time_uniform",
    lower_order_final=True,
    callback=None,
):
    """`model(x, timestep [B])` answers eps; the timestep is fractional. The last step calls no model."""
    schedule = NoiseScheduleVP(alphas_cumprod)
    assert steps >= order, f"UniPC of order {order} needs at least as many steps, not {steps}"
    times = _times(schedule, skip_type, 1.0 if t_start is None else float(t_start), 1 / schedule.total_N, steps)

    def x0_at(t):
        alpha, sigma, _ = schedule.scales(t)

        def evaluate(state):
            timestep = (t - 1 / schedule.total_N) * 1000
            return (state - sigma * model(state, timestep.expand(state.shape[0]))) / alpha

        return evaluate

    history = [(schedule.scales(times[0]), x0_at(times[0])(x))]
    for index in range(1, steps + 1):
        step_order = min(order, index)
        if lower_order_final:
            step_order = min(step_order, steps + 1 - index)
        evaluate = x0_at(times[index]) if index < steps else None
        x, x0 = _step(x, history, schedule.scales(times[index]), step_order, evaluate, variant)
        if callback is not None:
            callback({"x": x, "i": index - 1, "sigma": 0, "sigma_hat": 0, "denoised": x0})
        history = [*history, (schedule.scales(times[index]), x0)][-order:]
    return x
