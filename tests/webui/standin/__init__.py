"""A stand-in of AUTOMATIC1111 and Forge: loads an extension's script as they do and runs jobs in milliseconds.

`webui/modules` are the web UI's modules, reduced to what an img2img job and a script touch; `forge` holds what Forge has
differently; `extensions` holds AnimateDiff's stand-ins, a nested job and the recorder's probe; `fakes` fill in for
gradio and fastapi where these are not installed. k-diffusion's samplers are the real ones.

Not played: saving of single pictures, "Only masked" inpainting, img2img's batch tab, the hires pass, styles, LoRA, prompt
editing and prompt travel, ControlNet, models other than SD 1.5, the settings' UI, weights of any kind.
"""

from standin.host import Host
from standin.jobs import Job
from standin.pool import used_host
from standin.server import Server

__all__ = ["Host", "Job", "Server", "used_host"]
