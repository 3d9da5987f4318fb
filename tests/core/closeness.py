"""`torch.testing.assert_close` without the second that its first call takes to import a compiler."""


def assert_close(actual, expected, rtol=1e-6, atol=1e-6):
    assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype)
    beyond = (actual - expected).abs() - rtol * expected.abs() - atol
    assert (beyond <= 0).all(), f"{float(beyond.max())} beyond rtol = {rtol}, atol = {atol}: {actual} and {expected}"
