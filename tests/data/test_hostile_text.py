"""Whatever text is written to a csv or jsonl file comes back unchanged, row for row."""

from __future__ import annotations

import csv
import gzip
import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nlpladder.data.csv_files import CsvFormat, detect_format, read_csv
from nlpladder.data.json_files import is_json_array, read_json_array, read_json_lines
from nlpladder.data.loading import load_text_dataset

HOSTILE = st.text(
    st.one_of(
        st.sampled_from(list("\"',;\t|\n\r\\ a\0\u2028\u2029\x85\x0b\x0c\x1c\ufeff\u200bé😀\U0010ffff語")),
        st.characters(blacklist_categories=["Cs"]),
    ),
    max_size=30,
)
LABELS = st.sampled_from(["label one", "label\ntwo", 'label "three"'])
ROWS = st.lists(st.tuples(HOSTILE, LABELS), min_size=1, max_size=12)
FEW = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def rows_of(chunks):
    return [tuple(row.values()) for chunk in chunks for row in chunk.table.to_pylist()]


@FEW
@given(rows=ROWS, delimiter=st.sampled_from([",", ";", "\t", "|"]), line_end=st.sampled_from(["\n", "\r\n"]))
def test_csv_round_trip(rows, delimiter, line_end):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator=line_end)
            writer.writerow(["text", "label"])
            writer.writerows(rows)
        csv_format = detect_format(path, "utf-8")
        assert csv_format.delimiter == delimiter
        chunks = list(read_csv(path, "utf-8", csv_format))
        assert rows_of(chunks) == rows
        # Each number is the line that the row begins on, as an editor counts lines.
        text = path.read_bytes().decode()
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for number, (value, _) in zip(chunks[0].numbers, rows, strict=True):
            first_piece = value.replace("\r\n", "\n").replace("\r", "\n").split("\n")[0].replace('"', '""')
            assert lines[number - 1].startswith('"' + first_piece)


@FEW
@given(rows=ROWS)
def test_csv_minimal_quoting_round_trip(rows):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv.gz"
        with gzip.open(path, "wt", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow(["text", "label"])
            writer.writerows(rows)
        assert rows_of(read_csv(path, "utf-8", CsvFormat(","))) == rows


@FEW
@given(rows=ROWS, escaped=st.booleans())
def test_json_lines_and_array_round_trip(rows, escaped):
    objects = [{"text": text, "label": label} for text, label in rows]
    with tempfile.TemporaryDirectory() as folder:
        lines, array = Path(folder) / "rows.jsonl", Path(folder) / "rows.json"
        written = [json.dumps(row, ensure_ascii=escaped) for row in objects]
        lines.write_bytes("\n".join(written).encode())
        array.write_bytes(("[" + ",\n".join(written) + "]").encode())
        assert not is_json_array(lines, "utf-8")
        assert is_json_array(array, "utf-8")
        read = list(read_json_lines(lines, "utf-8"))
        assert rows_of(read) == rows
        assert read[0].numbers.tolist() == list(range(1, len(rows) + 1))
        assert rows_of(read_json_array(array, "utf-8")) == rows


@settings(deadline=None, max_examples=15)
@given(texts=st.lists(HOSTILE.filter(str.strip), min_size=12, max_size=20, unique=True), data=st.data())
def test_formats_give_the_same_dataset_and_fingerprint(texts, data):
    labels = [data.draw(st.sampled_from(["no", "yes"])) for _ in texts]
    labels[:8] = ["no", "yes"] * 4
    loaded = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("rows.csv", "rows.jsonl", "rows.json.gz"):
            path = Path(folder) / name
            opener = gzip.open if name.endswith(".gz") else open
            with opener(path, "wt", encoding="utf-8", newline="") as handle:
                if name.endswith(".csv"):
                    writer = csv.writer(handle, quoting=csv.QUOTE_ALL)
                    writer.writerows([("text", "label"), *zip(texts, labels, strict=True)])
                else:
                    objects = [{"text": t, "label": y} for t, y in zip(texts, labels, strict=True)]
                    lines = [json.dumps(row) for row in objects]
                    handle.write("\n".join(lines) if name.endswith(".jsonl") else f"[{','.join(lines)}]")
            loaded.append(load_text_dataset(str(path)))
        assert len({one.fingerprint for one in loaded}) == 1
        for one in loaded:
            rows = [row for split in one.splits.values() for row in zip(split["text"], split["label"], strict=True)]
            assert sorted(rows) == sorted((t, one.label2id[y]) for t, y in zip(texts, labels, strict=True))
