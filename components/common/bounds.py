"""Bounds on what comes from outside, checked before it is read or inflated."""

from components.common.errors import PipelineError

# A file that is downloaded, and all that an archive unpacks to.
LARGEST_DOWNLOAD = 64 * 2**30
LONGEST_DOWNLOAD = 6 * 3600  # seconds
# A server that sends fewer bytes in so many seconds counts as one that does not answer.
LEAST_BYTES, LEAST_SECONDS = 60 * 2**10, 60.0
MOST_REDIRECTS = 3
# All pixels of one part of a data set, as uint8.
LARGEST_PART = 64 * 2**30
# An array that has to be in memory as a whole, such as labels.
LARGEST_IN_MEMORY = 256 * 2**20
MOST_FILES = 2_000_000
# Batches of labelled images of one data set, one of them as it lies in the store, and the bytes that are read of all,
# packed and unpacked.
MOST_BATCHES = 10_000
LARGEST_BATCH = 2**30
LARGEST_BATCHES = 64 * 2**30
# Of one picture; a scan of a page at 300 dots an inch has 8.7 million.
MOST_PICTURE_PIXELS = 16_000_000
MOST_CLASSES = 10_000
# What the files of a data set say of themselves, as JSON: names of columns, classes and shards.
LARGEST_DESCRIPTION = 16 * 2**20
# A registered version's signature, the description of a Keras model's layers, and all that a Keras file unpacks to.
LARGEST_SIGNATURE = 4 * 2**20
LARGEST_LAYERS = 16 * 2**20
LARGEST_MODEL = 8 * 2**30
# A registered version's reference for `mnist-pipeline monitor`, as a file; it has some hundred kB.
LARGEST_REFERENCE = 16 * 2**20
# Bytes of room on the disk: without so many a run does not start, and with less than so many it warns.
LEAST_FREE = 2**30
LITTLE_FREE = 5 * 2**30
# The embedded store leaves so many free, for its lists and for deletions.
STORE_RESERVE = 128 * 2**20
# The body of one request to `mnist-pipeline serve`, and the bodies of all requests that it works on.
LARGEST_REQUEST = 16 * 2**20
LARGEST_REQUESTS = 4 * LARGEST_REQUEST
# One file of logged requests, packed and unpacked.
LARGEST_REQUEST_LOG = 64 * 2**20


def require_within(found: int, most: int, what: str, way_out: str) -> None:
    """Refuse a quantity above its bound.

    Args:
        found: The quantity.
        most: The bound.
        what: The quantity in words, to stand before "must be at most".
        way_out: What the user can do.

    Raises:
        PipelineError: It is.
    """
    if found > most:
        raise PipelineError(f"{what} must be at most {most:,} but is {found:,}: {way_out}.")
