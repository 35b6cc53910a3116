"""What of a folder is paired and what is left out, by names relative to it."""

import os

import pytest

from dispr_cli.errors import InputError
from dispr_cli.inputs.layouts import find_pairs
from dispr_cli.inputs.settings import InputSettings


def found(source, **settings):
    pairing = find_pairs(source, InputSettings(**settings))
    root = source if source.is_dir() else source.parent
    short = [p and os.path.relpath(p, root) for pair in pairing.pairs for p in (pair.image, pair.mask)]
    names = [pair.name for pair in pairing.pairs]
    return dict(zip(names, zip(short[::2], short[1::2], strict=True), strict=True))


def left_out(source, **settings):
    pairing = find_pairs(source, InputSettings(**settings))
    return {str(left.path.relative_to(source)): left.reason for left in pairing.left_out}


def message_of(source, **settings):
    with pytest.raises(InputError) as caught:
        find_pairs(source, InputSettings(**settings))
    return str(caught.value)
