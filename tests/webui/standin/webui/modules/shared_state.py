"""Stand-in of the progress state, which the sampler's callback and the Interrupt button change."""

import time

from modules import shared


class State:
    # What is running
    job, job_timestamp = "", "0"
    textinfo = time_start = server_command = None
    # How far it is
    job_no = job_count = sampling_step = sampling_steps = 0
    # What there is to see of it
    current_latent = current_image = None
    current_image_sampling_step = 0
    # What the buttons ask for
    interrupted = skipped = stopping_generation = False
    # Whether a job has more passes than the host counts
    processing_has_refined_job_count = False

    def skip(self):
        self.skipped = True

    def interrupt(self):
        self.interrupted = True

    def stop_generating(self):
        self.stopping_generation = True

    def nextjob(self):
        self.job_no += 1
        self.sampling_step = 0
        self.current_image_sampling_step = 0

    def begin(self, job: str = "(unknown)"):
        self.job = job
        self.job_no = 0
        self.job_count = -1
        self.processing_has_refined_job_count = False
        self.time_start = time.time()
        self.sampling_step = 0
        self.current_latent = None
        self.current_image = None
        self.textinfo = None
        self.clear_requests()

    def end(self):
        self.job = ""
        self.job_count = 0

    def clear_requests(self):
        self.skipped = False
        self.interrupted = False
        self.stopping_generation = False

    def dict(self):
        names = (
            "skipped",
            "interrupted",
            "stopping_generation",
            "job",
            "job_count",
            "job_timestamp",
            "job_no",
            "sampling_step",
            "sampling_steps",
        )
        return {name: getattr(self, name) for name in names}

    def set_current_image(self):
        pass

    def assign_current_image(self, image):
        self.current_image = image


shared.state = State()
