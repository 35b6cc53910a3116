"""Tables of features and labels become an answer: do predicted shapes help to tell classes apart."""
