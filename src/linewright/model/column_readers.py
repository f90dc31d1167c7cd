"""What turns the columns of an encoder into numbers that need more bytes than it has: pictures, and texts that an encoder of sentences reads."""

from collections.abc import Mapping

from linewright.errors import Terminal
from linewright.features.facts import Encoder
from linewright.model.pictures import Files, KeptBy, PictureReader, picture_readers
from linewright.model.sentence_encoder import SentenceReader


def readers_of(
    encoder: Encoder, files: Files | None, kept: KeptBy | None = None
) -> Mapping[str, PictureReader | SentenceReader]:
    """Return what reads the columns of pictures and of sentences, by column."""
    return {**picture_readers(encoder, files, kept), **_of_sentences(encoder, files)}


def _of_sentences(encoder: Encoder, files: Files | None) -> Mapping[str, SentenceReader]:
    texts = {one.column: one for one in encoder.texts}
    if encoder.sentences and files is None:
        raise Terminal(
            "nothing gives the bytes of the encoder of sentences",
            where=f"column {encoder.sentences[0].column!r}",
        )
    return {
        one.column: SentenceReader(texts[one.column], one, files)
        for one in encoder.sentences
        if files is not None
    }
