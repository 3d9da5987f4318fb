"""A stand-in of the AUTOMATIC1111 web UI and of Forge, to load an extension's script and run jobs in milliseconds."""

from standin.host import Host
from standin.jobs import Job

__all__ = ["Host", "Job"]
