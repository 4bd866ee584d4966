"""Aliases in the model registry."""

CHAMPION = "champion"
CHALLENGER = "challenger"
