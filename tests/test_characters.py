import numpy as np
import pytest

from backproplab.data import CharacterText, read_text
from backproplab.errors import RangeError


def test_a_text_comes_back_from_its_numbers():
    text = CharacterText("to be or not to be")

    assert " benort" == text.alphabet
    assert "to be or not to be" == text.decode(text.sequence)
    assert text.sequence.tolist() == text.encode("to be or not to be").tolist()


def test_a_file_is_read_with_its_umlauts_and_without_its_mark(tmp_path):
    path = tmp_path / "german.txt"
    path.write_bytes("Öl\r\nfällt".encode("utf-8-sig"))

    text = read_text(str(path))

    assert "Öl\nfällt" == text.text
    assert "CharacterText(8 characters, 6 different)" == repr(text)


def test_entropies_are_those_of_a_known_text():
    coin = CharacterText("ab" * 50 + "a")

    p = np.array([51, 50]) / 101
    assert np.isclose(-(p * np.log(p)).sum(), coin.unigram_entropy)
    assert np.isclose(0, coin.bigram_entropy, atol=1e-12)


def test_a_character_without_a_number_is_named():
    with pytest.raises(RangeError) as said:
        CharacterText("hello").encode("help")

    assert str(said.value) == (
        "encode: 'p' is none of the 4 characters of this text; only those have a "
        "number.\n  help: leave it out, or read a text in which it occurs."
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"caf\xe9",
            "is not UTF-8 (byte 3 is 0xe9); a plain text is required.\n"
            "  help: save it as plain text, with the encoding UTF-8.",
        ),
        (
            b"aaaa",
            "has 1 different characters; at least 2 are required.\n"
            "  help: choose a longer text.",
        ),
        (
            b"",
            "has 0 different characters; at least 2 are required.\n"
            "  help: choose a longer text.",
        ),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, content, said):
    path = tmp_path / "x.txt"
    path.write_bytes(content)

    with pytest.raises(ValueError, match="read_text") as error:
        read_text(path)

    assert f"read_text: {path} {said}" == str(error.value)


def test_a_missing_file_is_said_to_be_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(FileNotFoundError) as missing:
        read_text("mine.txt")
    with pytest.raises(FileNotFoundError) as folder:
        read_text(tmp_path)

    help = f"  help: the path is seen from {tmp_path}; upload the file there."
    assert str(missing.value) == (
        f"read_text: mine.txt does not exist; a text file is required.\n{help}"
    )
    assert str(folder.value) == (
        f"read_text: {tmp_path} is a folder; a text file is required.\n{help}"
    )
