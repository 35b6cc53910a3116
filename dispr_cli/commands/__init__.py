"""One thin file per command: arguments in, the pipeline called, the result printed."""
