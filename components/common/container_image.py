"""The container image that the steps run in."""

# A placeholder: `mnist-pipeline compile --image` writes an immutable reference in its place. A local run executes the
# steps in this Python, and for that kfp requires a name that contains "python".
BASE_IMAGE = "mnist-pipeline:python"
