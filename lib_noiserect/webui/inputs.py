"""The pictures beside the settings: key frames and motion masks, from the tab's files or an API request's base64."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Input:
    """One input that is no setting: its name in the API, its label and its explanation."""

    name: str
    label: str
    help: str


INPUTS: dict[str, Input] = {
    row.name: row
    for row in (
        Input(
            "key_frames",
            "Key frames",
            "More pictures, each with its frame's number at the end of its name, such as boat-15.png; frame 0 is the picture "
            "of this tab. AnimateDiff's optional last frame is taken too.",
        ),
        Input(
            "motion_mask",
            "Motion mask",
            "White where things may move. Several change into each other: give each its frame's number, such as mask-8.png.",
        ),
        Input(
            "inpaint_mask",
            "Inpaint mask says what moves",
            "Take the mask of the Inpaint tab as the motion mask, instead of painting anew what is under it.",
        ),
    )
}
