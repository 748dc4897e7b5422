"""Vectors for texts: what asks alike, by the words it uses or by any sentence encoder.

    vectors = text_features(["How many cats?", "How many dogs?", "What colour is it?"])
    vectors @ vectors.T     float32[3, 3], cosines: the first two are near to each other

The default needs no model and no network: TF-IDF over words and pairs of words, brought to 128
dimensions where there are more.
"""

import hashlib
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from otter.build.feature_files import FeatureFiles, Features, read_features, unit
from otter.data import Store

Encoder: TypeAlias = Callable[[Sequence[str]], npt.NDArray[np.floating]]
"""Turns texts into float[texts, dim]."""

TFIDF = "tfidf"
DIMENSIONS = 128
VOCABULARY = 50_000
FITTED_TEXTS = 50_000
CHUNK = 20_000

# Scripts without spaces are cut into signs, so that pairs of these take the place of words.
WORDS = r"(?u)[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+"


def text_features(
    texts: Sequence[str],
    encoder: str | Encoder | None = None,
    *,
    allow_download: bool = False,
) -> npt.NDArray[np.float16]:
    """A vector for each text.

    Args:
        texts: in any language.
        encoder: None for TF-IDF, the id or folder of a model of the package sentence-transformers,
            or any function from texts to vectors.
        allow_download: whether the model of an id may be fetched from the network.

    Returns:
        float16[texts, dim], of length 1; 0 for a text without any known word.

    Raises:
        ImportError: scikit-learn or sentence-transformers is needed and not installed.
        ValueError: an encoder gives something else than a finite vector for each text.
    """
    if encoder is None or encoder == TFIDF:
        return _tfidf(texts)
    encode = _sentence_encoder(encoder, allow_download) if isinstance(encoder, str) else encoder
    chunks = [_encoded(encode, texts[i : i + CHUNK]) for i in range(0, len(texts), CHUNK)]
    return np.concatenate(chunks) if chunks else np.zeros((0, 1), dtype=np.float16)


def instruction_features(
    store: Store,
    texts: Sequence[str],
    encoder: str | Encoder | None = None,
    *,
    allow_download: bool = False,
) -> Features:
    """As :func:`text_features`, kept in the folder of a store.

    What a function makes is not kept, for nobody can tell whether it is still the same function.

    Args:
        store: where to keep the vectors.
        texts: the distinct instructions of the store.
        encoder: as in :func:`text_features`.
        allow_download: likewise.
    """
    if encoder is not None and not isinstance(encoder, str):
        return Features(text_features(texts, encoder))
    name = encoder or TFIDF
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{len(text)} {text}".encode())
    made = {"of": "instructions", "model": name, "checksum": digest.hexdigest()}
    # The number of dimensions is known only afterwards, so what is kept is looked at first.
    if (kept := read_features(store.folder, f"instructions-{name}", made, len(texts))) is not None:
        return kept
    vectors = text_features(texts, encoder, allow_download=allow_download)
    files = FeatureFiles(store.folder, f"instructions-{name}", made, vectors.shape)
    files.begin()
    files.write(vectors[files.done :], [])
    files.finish()
    return Features(vectors, files.name, files.made)


def _tfidf(texts: Sequence[str]) -> npt.NDArray[np.float16]:
    if not len(texts):
        return np.zeros((0, 1), dtype=np.float16)
    text_module = _imported("sklearn.feature_extraction.text", "scikit-learn")
    decomposition = _imported("sklearn.decomposition", "scikit-learn")
    vectorizer = text_module.TfidfVectorizer(
        token_pattern=WORDS,
        ngram_range=(1, 2),
        max_features=VOCABULARY,
        sublinear_tf=True,
        dtype=np.float32,
    )
    sample = _sample(texts)
    try:
        fitted = vectorizer.fit_transform(sample)
    except ValueError:  # not a single word: an empty vocabulary
        return np.zeros((len(texts), 1), dtype=np.float16)
    reduce: Any = None
    if min(fitted.shape) > DIMENSIONS:
        reduce = decomposition.TruncatedSVD(DIMENSIONS, random_state=0).fit(fitted)
    # Few texts have few directions: with no more words than these nothing is gained by reducing.
    width = DIMENSIONS if reduce is not None else fitted.shape[1]
    vectors = np.empty((len(texts), width), dtype=np.float16)
    for start in range(0, len(texts), CHUNK):
        counted = vectorizer.transform(texts[start : start + CHUNK])
        dense = counted.toarray() if reduce is None else reduce.transform(counted)
        vectors[start : start + CHUNK] = unit(dense)
    return vectors


def _sample(texts: Sequence[str]) -> Sequence[str]:
    """What the vocabulary is made from: of very many texts only some."""
    if len(texts) <= FITTED_TEXTS:
        return texts
    chosen = np.random.default_rng(0).choice(len(texts), FITTED_TEXTS, replace=False)
    return [texts[place] for place in np.sort(chosen).tolist()]


def _encoded(encode: Encoder, texts: Sequence[str]) -> npt.NDArray[np.float16]:
    vectors = np.asarray(encode(texts))
    if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
        raise ValueError(
            f"the encoder gave an array of shape {vectors.shape} for {len(texts)} texts: expected "
            f"finite numbers of shape ({len(texts)}, dim)"
        )
    return unit(vectors).astype(np.float16)


def _sentence_encoder(name: str, allow_download: bool) -> Encoder:
    module = _imported("sentence_transformers", "sentence-transformers")
    model = module.SentenceTransformer(name, local_files_only=not allow_download)
    return lambda texts: model.encode(list(texts), show_progress_bar=False)


def _imported(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"vectors of texts need the package {package}, which is not installed; "
            f"pip install {package}, or give a function as the encoder"
        ) from error
