"""What turns the columns of an encoder into numbers that need bytes beside it: pictures, and texts that an encoder of sentences reads."""

from collections.abc import Mapping

from linewright.errors import Terminal
from linewright.features.facts import Encoder
from linewright.model.pictures import Files, KeptBy, PictureReader, picture_readers
from linewright.model.sentences import SentenceReader


def readers_of(
    encoder: Encoder, files: Files | None, kept: KeptBy | None = None
) -> Mapping[str, PictureReader | SentenceReader]:
    """Return what reads the columns of pictures and of sentences, by column.

    Parameters
    ----------
    files
        Returns the bytes of pictures, backbones and encoders by their digest.
    kept
        Where the numbers of pictures are found that were computed before.

    Raises
    ------
    Terminal
        If there are some and nothing says where bytes are.
    """
    return {**picture_readers(encoder, files, kept), **_of_sentences(encoder, files)}


def _of_sentences(encoder: Encoder, files: Files | None) -> Mapping[str, SentenceReader]:
    texts = {one.column: one for one in encoder.texts}
    if encoder.sentences and files is None:
        raise Terminal(
            "nothing says where the encoder of sentences is", where=f"column {encoder.sentences[0].column!r}"
        )
    return {
        one.column: SentenceReader(texts[one.column], one, files)
        for one in encoder.sentences
        if files is not None
    }
