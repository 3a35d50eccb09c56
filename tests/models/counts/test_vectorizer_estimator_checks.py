from __future__ import annotations

import warnings

import pytest
from sklearn.feature_extraction import text as sklearn_text
from sklearn.utils import estimator_checks

from nlpladder.models.counts import vectorizer

NAMES = ["CountVectorizer", "TfidfVectorizer", "HashingVectorizer"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_get_params_invariance",
        "check_set_params",
        "check_estimator_tags_renamed",
        "check_valid_tag_types",
        "check_param_validation",
    ],
)
def test_estimator_checks_that_fit_text_input(name, check):
    getattr(estimator_checks, check)(name, getattr(vectorizer, name)())


@pytest.mark.parametrize("name", NAMES)
def test_estimator_checks_run_as_many_as_for_sklearn(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = [
            check.func.__name__ for _, check in estimator_checks.estimator_checks_generator(getattr(vectorizer, name)())
        ]
        theirs = [
            check.func.__name__
            for _, check in estimator_checks.estimator_checks_generator(getattr(sklearn_text, name)())
        ]
        estimator_checks.check_estimator(getattr(vectorizer, name)())
    assert ours == theirs
