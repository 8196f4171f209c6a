import json

import pytest

from stock_pipeline.aws.policies import policy_files, render
from stock_pipeline.errors import UserError

NAMES = {
    "Account": "123456789012",
    "Bucket": "lake",
    "CrawlerRole": "arn:aws:iam::123456789012:role/crawler",
    "Database": "db",
    "Partition": "aws",
    "Region": "eu-west-1",
    "Workgroup": "wg",
}


@pytest.mark.parametrize("file", policy_files(), ids=lambda file: file.stem)
def test_every_policy_is_whole_once_its_names_are_put_in(file):
    policy = render(file.read_text(), NAMES)
    assert "${" not in json.dumps(policy)
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            assert "*" not in action
        # Glue checks no resource when a crawler is made.
        assert statement["Resource"] != "*" or actions == "glue:CreateCrawler"


@pytest.mark.parametrize("value", ["", "*", "a*", "a?", 'a"', "a\\", "a\n", "${aws:username}"])
def test_a_name_that_could_widen_a_policy_is_refused(value):
    with pytest.raises(UserError, match="Bucket cannot be"):
        render('{"Resource": "arn:aws:s3:::${Bucket}"}', {"Bucket": value})


def test_a_name_without_value_is_an_error():
    with pytest.raises(UserError, match="names Bucket, which has no value"):
        render('{"Resource": "${Bucket}"}', {})
