"""Names in the model registry: aliases of versions, and tags of models."""

CHAMPION = "champion"
CHALLENGER = "challenger"
# Ends the name of the registered model that records the moves of the champion of another.
HISTORY_SUFFIX = ".history"
# Of a tag for each test split: the number of its decisions, and the run of the latest.
DECISIONS = "decisions."
