"""Tables of other libraries as rows: pandas, polars, Arrow and Hugging Face data sets.

They are recognised by the methods of their classes; none of the libraries is imported. Definitions:
https://pandas.pydata.org/docs/reference/frame.html, https://docs.pola.rs/api/python/stable/reference/dataframe/,
https://arrow.apache.org/docs/python/generated/pyarrow.Table.html,
https://huggingface.co/docs/datasets/package_reference/main_classes
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from seqkit.errors import DataError, shown

Names = Callable[[Any], Any]


def rows(given: Any) -> Iterable[Any]:
    """The rows of a table as mappings, column → value; of any other iterable its items.

    Args:
        given: a frame of pandas (or Dask, Spark, cuDF, which become such) or polars, a table or column of Arrow, a
            ``Dataset`` of Hugging Face, whose integers with names (``ClassLabel``) become these names, or any other
            iterable.

    Returns:
        The rows, made one by one where the table allows it.

    Raises:
        DataError: two columns have the same name.
    """
    if _has(given, "collect", "collect_schema"):  # a lazy frame of polars
        given = given.collect()
    if _has(given, "read_all", "read_next_batch"):  # a stream of Arrow
        given = given.read_all()
    if _has(given, "to_pylist"):
        if _has(given, "schema"):  # and no single column
            _refuse_repeated(given.schema.names)
        found: Iterable[Any] = given.to_pylist()
        return found
    if _has(given, "iter_rows", "columns"):
        return given.iter_rows(named=True)  # type: ignore[no-any-return]
    for method in ("compute", "toPandas", "to_pandas"):  # of Dask, Spark, cuDF
        if _has(given, "columns", method):
            given = getattr(given, method)()
    if _has(given, "iloc", "columns"):
        names = list(map(str, given.columns))
        _refuse_repeated(names)
        columns = [given.iloc[:, place].tolist() for place in range(len(names))]
        return (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))
    if _has(given, "features", "with_format"):
        return _named_rows(given)
    items: Iterable[Any] = given
    return items


def _has(given: Any, *names: str) -> bool:
    """Whether an object's class has attributes: some objects have any attribute."""
    return all(hasattr(type(given), name) for name in names)


def _refuse_repeated(names: Iterable[str]) -> None:
    name, times = next(iter(Counter(names).most_common(1)), ("", 1))
    if times > 1:
        raise DataError(f"{times} columns are called {shown(name)}; rename all but one")


def _named_rows(dataset: Any) -> Iterator[Any]:
    """The rows of a data set of Hugging Face, with the names of labels."""
    features = dataset.features  # None of a stream that does not know them
    named = {key: names for key, feature in (features or {}).items() if (names := _names(feature))}
    for number, row in enumerate(dataset.with_format(None), start=1):
        try:
            yield {key: named[key](value) if key in named else value for key, value in row.items()} if named else row
        except DataError as error:
            raise DataError(f"row {number}: {error}") from None


def _names(feature: Any) -> Names | None:
    """What gives the values of a feature their names; None of a feature without named integers.

    A ``Sequence``, ``List`` or ``LargeList`` has the feature of its elements; a struct is a mapping of features;
    earlier versions write a list of one feature for a list.
    """
    if isinstance(feature, Mapping):
        inner = {key: names for key, each in feature.items() if (names := _names(each))}
        return (lambda value: _of_struct(value, inner)) if inner else None
    if isinstance(feature, list | tuple):
        return _of_list(_names(feature[0])) if len(feature) == 1 else None
    if _has(feature, "int2str"):
        labels = list(feature.names)
        return lambda value: _name(value, labels)
    element = getattr(feature, "feature", None)
    return _of_list(_names(element)) if element is not None else None


def _of_struct(value: Any, inner: Mapping[str, Names]) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {key: inner[key](each) if key in inner else each for key, each in value.items()}


def _of_list(names: Names | None) -> Names | None:
    def convert(value: Any) -> Any:
        assert names is not None
        if isinstance(value, list | tuple):
            return list(map(names, value))
        if isinstance(value, Mapping):  # a sequence of structs, turned into a struct of lists
            turned = {key: [names({key: each})[key] for each in values] for key, values in value.items()}
            return turned
        return value

    return convert if names is not None else None


def _name(value: Any, labels: list[str]) -> Any:
    """The name of a label; None of -1, which stands for no label."""
    if type(value) is not int:
        return value
    if value < 0:
        return None
    if value >= len(labels):
        raise DataError(f"label {value} has no name: the data set names {len(labels)} labels, from 0")
    return labels[value]
