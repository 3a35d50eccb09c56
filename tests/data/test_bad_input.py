"""Every kind of broken data is refused with its place and a remedy, before any training."""

from __future__ import annotations

import csv
import gzip
import io
import json

import pytest

from nlpladder.data.loading import load_text_dataset
from nlpladder.errors import ConfigError, DataError

GOOD = "".join(f"text number {i},{'pos' if i % 2 else 'neg'}\n" for i in range(20))


def refusal(path, **options):
    with pytest.raises(DataError) as caught:
        load_text_dataset(str(path), **options)
    return str(caught.value)


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def test_missing_file_names_the_nearest(tmp_path, write):
    write("text,label\n" + GOOD, "train.csv")
    message = refusal(tmp_path / "trian.csv")
    assert "no file or folder" in message
    assert "train.csv" in message
    assert "deep" in refusal(tmp_path / "deep" / "x.csv")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.txt", "a.parquet", "a.tsv"])
def test_empty_file(write, name):
    assert "is empty" in refusal(write("", name))


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json"])
def test_blank_file(write, name):
    assert "only blank lines" in refusal(write("\n\n \n", name))


def test_header_only(write):
    assert "header (text, label) and no rows" in refusal(write("text,label\n"))


def test_duplicate_header_names(write):
    message = refusal(write("text,label,text\na,b,c\n"))
    assert "line 1" in message
    assert "'text' more than once" in message


def test_missing_columns_are_listed_with_the_nearest(write):
    path = write("sentence,label\n" + GOOD)
    message = refusal(path, text_column="sentense")
    assert "Did you mean 'sentence'?" in message
    assert "label (string)" in message
    assert "'labl'" in refusal(path, label_column="labl")


def test_bad_rows_are_counted_and_named_then_dropped(write):
    path = write('text,label\n"two\nlines",pos\n,neg\n"  ",pos\nfine,\n' + GOOD)
    message = refusal(path)
    assert "2 rows without text: lines 4, 5" in message
    assert "1 row without a label (label): line 6" in message
    assert "drop_bad_rows" in message
    loaded = load_text_dataset(str(path), drop_bad_rows=True)
    assert sum(len(split) for split in loaded.splits.values()) == 21
    assert any(note.startswith("Dropped from train: 2 rows without text") for note in loaded.notes)


def test_null_text_and_label_in_jsonl(write):
    rows = [{"text": None, "label": 1}, {"text": "x", "label": None}, {"label": 0}]
    rows += [{"text": f"t{i}", "label": i % 2} for i in range(20)]
    message = refusal(write("\n".join(map(json.dumps, rows)), "a.jsonl"))
    assert "2 rows without text: lines 1, 3" in message
    assert "1 row without a label (label): line 2" in message


def test_evaluation_label_never_seen_in_training(tmp_path, write):
    write("text,label\n" + GOOD, "train.csv")
    write("text,label\n" + GOOD, "validation.csv")
    write("text,label\n" + GOOD + "odd,Positive\nodd,nope\n", "test.csv")
    message = refusal(tmp_path)
    assert "test.csv (test), line 22" in message
    assert "'Positive' never occurs" in message
    assert "Did you mean 'pos'?" in message


def test_a_misspelt_label_is_named_with_its_line_and_the_label_that_was_meant(write):
    message = refusal(write("text,label\n" + GOOD + "a typo,negg\n"))
    assert "too few rows of the classes 'negg' (1: line 22; did you mean 'neg'?)" in message
    message = refusal(write("text,label\n" + "odd,qqq\n" + GOOD + "odd,qqq\nmore,zzz\n"))
    assert "'qqq' (1: lines 2, 23)" in message  # two copies of one text
    assert "'zzz' (1: line 24)" in message
    assert "did you mean" not in message


def test_a_misspelt_label_of_several_rows_is_noted_with_its_lines_and_the_label_that_was_meant(write):
    rows = "".join(f"text {i},{'negative' if i % 2 else 'positive'}\n" for i in range(40))
    odd = "".join(f"odd {i},negativ\n" for i in range(5))
    notes = load_text_dataset(str(write("text,label\n" + rows + odd))).notes
    (note,) = (note for note in notes if "misspelt" in note)
    assert note.startswith("The class 'negativ' has 5 training rows (lines 42, 43")
    assert note.endswith("is it 'negative', which has 20, misspelt?")
    others = "".join(f"odd {i},{label}\n" for i in range(5) for label in ("neutral", "level1", "level2"))
    notes = load_text_dataset(str(write("text,label\n" + rows + others))).notes
    assert not any("misspelt" in note for note in notes)


def test_all_mistakes_of_labels_are_told_at_once(tmp_path, write):
    message = refusal(write("text,label\nno label here,\n" + GOOD + "a typo,negg\n"))
    assert "1 row without a label (label): line 2" in message
    assert " Also: " in message
    assert "'negg' (1: line 23; did you mean 'neg'?)" in message
    assert message.count("data.csv") == 2
    assert "'negg'" in refusal(tmp_path / "data.csv", drop_bad_rows=True)

    (tmp_path / "s").mkdir()
    write("text,label\nno label,\n" + GOOD, "s/train.csv")
    write("text,label\n,pos\n" + GOOD + "odd,Positive\n", "s/test.csv")
    message = refusal(tmp_path / "s")
    parts = message.split(" Also: ")
    assert len(parts) == 3
    assert "train.csv (train" in parts[0]
    assert "1 row without text: line 2" in parts[1]
    assert "'Positive' never occurs" in parts[2]


def test_one_mistake_is_told_as_before_and_a_file_without_any_good_row_once(write):
    message = refusal(write("text,label\nno label here,\n" + GOOD))
    assert "Also" not in message
    assert refusal(write("text,label\n,pos\n,neg\n")).count("no row with a text and a label") <= 1


def test_wrong_encoding_names_byte_line_and_remedy(write):
    path = write(("text,label\n" + GOOD).encode() + "café,pos\n".encode("latin-1"))
    message = refusal(path)
    offset = len(("text,label\n" + GOOD).encode()) + 3
    assert f"byte 0xe9 at offset {offset}, on line 22" in message
    assert "latin-1" in message
    assert "café" in message
    assert load_text_dataset(str(path), encoding="latin-1").splits["train"].num_rows > 0


def test_decoding_error_far_into_the_file_and_at_its_end(write):
    body = ("text,label\n" + "".join(f"{'x' * 1000},{i % 2}\n" for i in range(3000))).encode()
    assert f"offset {len(body)}, on line 3002" in refusal(write(body + b"\xff,1\n"))
    assert f"offset {len(body)}, on line 3002" in refusal(write(body + "é".encode()[:1]))


def test_utf16_with_and_without_mark(write):
    text = "text,label\n" + GOOD
    assert "--encoding utf-16" in refusal(write(text.encode("utf-16")))
    assert "--encoding utf-16-le" in refusal(write(text.encode("utf-16-le")))
    assert len(load_text_dataset(str(write(text.encode("utf-16"))), encoding="utf-16").splits) == 3
    assert len(load_text_dataset(str(write(text.encode("utf-16-le"))), encoding="utf-16-le").splits) == 3


def test_unknown_encoding(write):
    assert "Did you mean 'utf-8'?" in refusal(write("text,label\n" + GOOD), encoding="utf-88")


def test_byte_order_mark_is_dropped(write):
    loaded = load_text_dataset(str(write("\ufefftext,label\n" + GOOD)))
    assert loaded.text_columns == ("text",)
    rows = "\n".join(json.dumps({"text": f"t{i}", "label": i % 2}) for i in range(20))
    assert load_text_dataset(str(write("\ufeff" + rows, "a.jsonl"))).text_columns == ("text",)


def test_truncated_gzip(write):
    rows = "\n".join(json.dumps({"text": f"text {i * 7919}", "label": i % 2}) for i in range(5000))
    whole = gzip.compress(rows.encode())
    assert "broken gzip" in refusal(write(whole[: len(whole) // 2], "a.jsonl.gz"))
    assert "broken gzip" in refusal(write(whole[:50] + b"\0" * 50 + whole[100:], "b.jsonl.gz"))
    assert "is not gzip" in refusal(write("text,label\na,b\n", "c.csv.gz"))


def test_broken_json(write):
    good = json.dumps({"text": "a", "label": 1})
    assert "line 2, column" in refusal(write(f'{good}\n{{"text": "b", "lab\n{good}', "a.jsonl"))
    assert "line 2: expected a JSON object" in refusal(write(f"{good}\n[1, 2]\n", "a.jsonl"))
    assert "line 3" in refusal(write(f"[{good},\n{good},\n]", "a.json"))
    assert "row 2: expected a JSON object" in refusal(write(f"[{good}, 3]", "a.json"))
    assert "indented JSON" in refusal(write('{\n  "text": "a"\n}', "a.json"))


def test_ragged_row(write):
    message = refusal(write("text,label\n" + GOOD + "well, this one,pos\n"))
    assert "line 22" in message
    assert "3 cells where the header has 2" in message
    assert "line 22" in refusal(write("text,label\n" + GOOD + "short\n"))


def test_unclosed_quote(write):
    message = refusal(write("text,label\n" + GOOD + '"never closed,pos\n' + GOOD))
    assert "line 22" in message
    assert "never closed" in message


def test_quote_inside_a_quoted_cell(write):
    message = refusal(write("text,label\n" + GOOD + '"he said "no" to me",pos\n' + GOOD))
    assert "line 22" in message
    assert "twice" in message


def test_stray_quotes_that_swallow_rows_without_breaking_the_rules(write):
    # The first quote opens a cell that the inch sign five rows later closes: valid csv, four rows lost.
    stray = '"Great film,pos\nfine,neg\nbad,neg\nso so,pos\nit is 5",pos\n'
    message = refusal(write("text,label\n" + GOOD + stray + GOOD))
    assert "line 22" in message
    assert "several rows would be read as one" in message


def test_a_text_with_line_breaks_and_delimiters_is_not_taken_for_swallowed_rows(write):
    loaded = load_text_dataset(str(write("text,label\n" + GOOD + '"one, two\nthree, four",pos\n')))
    assert "one, two\nthree, four" in [text for split in loaded.splits.values() for text in split["text"]]


def test_tsv_without_quoting_keeps_its_quotes(write):
    body = "text\tlabel\n" + GOOD.replace(",", "\t") + '"Fine" is what it is\tpos\n"Bad\tneg\n5" tall\tneg\n'
    loaded = load_text_dataset(str(write(body, "a.tsv")))
    texts = [text for split in loaded.splits.values() for text in split["text"]]
    assert {'"Fine" is what it is', '"Bad', '5" tall'} <= set(texts)
    assert any("double quotes are plain characters" in note for note in loaded.notes)


def test_cells_beyond_the_limit_of_the_csv_module(write):
    before = csv.field_size_limit()
    long = "word " * 60_000
    loaded = load_text_dataset(str(write("text,label\n" + GOOD + f'"{long}",pos\n')))
    assert max(len(text) for split in loaded.splits.values() for text in split["text"]) == len(long)
    assert csv.field_size_limit() == before


def test_one_class_only(write):
    assert "every training label is 'pos'" in refusal(write("text,label\n" + "".join(f"t{i},pos\n" for i in range(9))))


def test_class_with_fewer_rows_than_splits(write):
    message = refusal(write("text,label\n" + GOOD + "rare one,other\nrare two,other\n"))
    assert "'other' (2: lines 22, 23)" in message
    assert "needs 3 different texts" in message


def test_nearly_one_class_a_row(write):
    assert "nearly one class a row" in refusal(write("text,label\n" + "".join(f"t{i},name{i}\n" for i in range(30))))


def test_broken_parquet(write):
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table({"text": ["a"] * 50, "label": [0, 1] * 25}), sink)
    assert "no whole parquet file" in refusal(write(sink.getvalue()[:200], "a.parquet"))


def test_unknown_formats(write):
    assert "Save the sheet as csv" in refusal(write("x", "a.xlsx"))
    assert "Unpack it" in refusal(write("x", "a.zip"))
    assert "unknown format" in refusal(write("x", "a.bin"))


def test_conll_is_refused_for_text_classification(write):
    body = "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n"
    assert "read_conll" in refusal(write(body, "a.txt"))
    assert "read_conll" in refusal(write("a\tB\n\n", "a.conll"))


def test_plain_text_without_labels(write):
    assert "line 1: plain text has no labels" in refusal(write("just text\nmore\n", "a.txt"))


def test_text_with_text_is_refused(write):
    body = "mr,ref\n" + "".join(f"name[{i}],The place {i}.\n" for i in range(30))
    assert "no column is named like a label" in refusal(write(body))


def test_lists_are_no_text(write):
    rows = "\n".join(json.dumps({"text": ["a", "b"], "label": i % 2}) for i in range(9))
    assert "not text" in refusal(write(rows, "a.jsonl"), text_column="text")


@pytest.mark.parametrize(
    "options",
    [{"validation_fraction": 0.0}, {"test_fraction": 1.5}, {"max_train_samples": 0}, {"task": "classification"},
     {"validation_fraction": 0.6, "test_fraction": 0.5}],
)  # fmt: skip
def test_options_without_sense(write, options):
    with pytest.raises(ConfigError):
        load_text_dataset(str(write("text,label\n" + GOOD)), **options)
