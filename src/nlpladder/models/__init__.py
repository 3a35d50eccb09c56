"""One folder a model family; families never import each other. Imports are lazy: each family is loaded by name."""
