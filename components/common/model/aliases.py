"""Names in the model registry: aliases of versions, and tags of models."""

CHAMPION = "champion"
CHALLENGER = "challenger"
# Of a tag for each test split: the number of its decisions, and the run of the latest.
DECISIONS = "decisions."
