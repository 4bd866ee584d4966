"""The container image that the steps run in."""

# A stand-in: `mnist-pipeline compile --image` writes an immutable reference in its place. A local run executes the
# steps in this very Python, and kfp asks there for a name that contains "python".
BASE_IMAGE = "mnist-pipeline:python"
IMAGE_VARIABLE = "STEP_IMAGE"
