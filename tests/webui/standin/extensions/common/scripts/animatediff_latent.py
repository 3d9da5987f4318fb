"""Stand-in of AnimateDiff's way to let later frames differ: noise is blended into the picture's latent."""

import numpy as np
import torch
from modules import images
from modules.sd_samplers_common import images_tensor_to_samples


def _shares(length, power, scale):
    """Share of the picture that frame i keeps."""
    kept = torch.tensor([1 - i**power / scale for i in range(length)], dtype=torch.float32)
    return kept.clamp(min=0)[:, None, None, None]


class AnimateDiffI2VLatent:
    def randomize(self, p, params):
        first = _shares(params.video_length, params.latent_power, params.latent_scale)
        if params.last_frame is None:
            p.init_latent = p.init_latent * first + p.rng.next() * (1 - first)
            return
        last = _shares(params.video_length, params.latent_power_last, params.latent_scale_last).flip(0)
        total = first + last
        too_much = total > 1
        first[too_much] /= total[too_much]
        last[too_much] /= total[too_much]
        # Both ends stay exactly the pictures.
        first[0], last[0] = 1, 0
        first[-1], last[-1] = 0, 1
        end = self._latent(p, params.last_frame)
        p.init_latent = p.init_latent * first + end * last + p.rng.next() * (1 - first - last)

    def _latent(self, p, picture):
        if isinstance(picture, str):
            from modules.api.api import decode_base64_to_image

            picture = decode_base64_to_image(picture)
        picture = images.resize_image(p.resize_mode, picture.convert("RGB"), p.width, p.height)
        pixels = np.moveaxis(np.asarray(picture, dtype=np.float32) / 255.0, 2, 0)[None]
        return images_tensor_to_samples(torch.from_numpy(pixels), None, p.sd_model)
