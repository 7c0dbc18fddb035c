"""How to train: the settings, the recipes that come with edgecnn, and how they are read."""

from edgecnn.training.recipe.augment import Augment
from edgecnn.training.recipe.load import load_recipe, recipes
from edgecnn.training.recipe.settings import AtTest, Recipe
from edgecnn.training.recipe.toml import as_toml
from edgecnn.training.recipe.transfer import Distill, Transfer

__all__ = [
    "AtTest",
    "Augment",
    "Distill",
    "Recipe",
    "Transfer",
    "as_toml",
    "load_recipe",
    "recipes",
]
