"""Stand-in of AnimateDiff's output (A1111): the frames become files, and the files take their place in the result.

Only where the job has a folder for its pictures, which the host always has and a test may leave out to look at the frames.
As in the real one's scripts/animatediff_output.py, PNG alone leaves the frames in the result.
"""

import base64
import traceback
from datetime import datetime
from pathlib import Path

from modules import images
from scripts.animatediff_common import replace_result_in_xyz


class AnimateDiffOutput:
    def output(self, p, res, params):
        if not p.outpath_samples:
            replace_result_in_xyz(res)
            return
        from_xyz = any("xyz_grid" in frame.filename for frame in traceback.extract_stack())
        output_dir = Path(f"{p.outpath_samples}/AnimateDiff/{datetime.now():%Y-%m-%d}")
        output_dir.mkdir(parents=True, exist_ok=True)
        paths, first_frames = [], []
        begin = res.index_of_first_image
        for i in range(begin, len(res.images), max(params.video_length, params.batch_size)):
            if i - begin >= len(res.all_seeds):
                break
            frames = [image.copy() for image in res.images[i : i + params.video_length]]
            first_frames.append(frames[0])
            request = f"-{params.request_id}" if params.request_id else ""
            name = f"{images.get_next_sequence_number(output_dir, ''):05}-{res.all_seeds[i - begin]}{request}"
            paths += self._save(params, self._interp(params, frames), output_dir / name, res, i)
        if not paths:
            return
        res.images = [base64.b64encode(Path(path).read_bytes()).decode() for path in paths] if p.is_api else paths
        if from_xyz:
            res.images = first_frames

    def _interp(self, params, frame_list):
        """More frames than the model made; the real one asks another extension for them."""
        return [frame for frame in frame_list for _ in range(2)] if params.interp == "FILM" else frame_list

    def _save(self, params, frame_list, video_path_prefix, res, index):
        paths = []
        if "PNG" in params.format:
            video_path_prefix.mkdir(exist_ok=True)
            for i, frame in enumerate(frame_list):
                frame.save(video_path_prefix / f"{i:05}.png")
        if "GIF" in params.format:
            paths.append(f"{video_path_prefix}.gif")
            frame_list[0].save(paths[0], save_all=True, append_images=frame_list[1:], comment=res.infotexts[index])
        return paths
