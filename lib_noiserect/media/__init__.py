"""Images and videos: reading, writing, measuring and laying out."""
