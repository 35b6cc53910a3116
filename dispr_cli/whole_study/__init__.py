"""The experiment from cells to classes: folds, networks, shapes, features, comparison."""
